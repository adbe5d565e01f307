"""The words of the part "All heads": question, mathematics with the selection's numbers, sources."""

from __future__ import annotations

from pages.shared.escape import quoted
from pages.shared.frame.sides import Drawing
from viz.attention.pattern import AttentionPattern, strongest_keys
from viz.attention.softmax_fraction import softmax_fraction


def mathematics(drawing: Drawing, pattern: AttentionPattern) -> str:
    """Scaled dot-product attention with the numbers of the selected query and its key: the chosen one, or
    the one it reads most."""
    trace = drawing.trace()
    query = pattern.selected
    key = strongest_keys(pattern, 1)[0][0] if pattern.key is None else pattern.key
    probability = pattern.row[key]
    scores = trace.get("attn_scores", drawing.layer, drawing.head)[query]
    fraction = softmax_fraction(scores, key, pattern.sink)
    return (
        "One head compares the query of each token with the keys of all tokens up to it, and reads their "
        "values in proportion (Vaswani et al. 2017):\n\n"
        r"$$s_{qk} = \frac{q \cdot k}{\sqrt{d_\mathrm{head}}}, \qquad "
        r"p_{qk} = \frac{e^{s_{qk} - \max s_q}}{\sum_{j \le q} e^{s_{qj} - \max s_q}}, \qquad "
        r"z_q = \sum_{k \le q} p_{qk} v_k$$"
        f"\n\nHere query {query} is {quoted(pattern.tokens[query])} and key {key} is "
        f"{quoted(pattern.tokens[key])}, with $d_\\mathrm{{head}} = {trace.spec.d_head}$:\n\n"
        rf"$$s = {fraction.score:.4g}, \quad \max s_q = {fraction.top:.4g}, \quad "
        rf"p = \frac{{{fraction.numerator:.4g}}}{{{fraction.denominator:.4g}}} = {probability:.4g}$$"
        f"\n\nThe sum runs over the {fraction.n_keys:,} tokens this query may read. (Some families scale "
        "differently, cap the scores, or add a learned sink to the sum; the numbers are as this model used "
        "them.)"
    )


QUESTION = (
    "The prompt `Mr and Mrs Dursley of number four. Mr and Mrs` begins to say something again. Which "
    "token will a head read that looks for what followed the last word before? Type the prompt in and "
    "choose an induction head in the list of kinds."
)
ANSWER = (
    "The last `Mrs` reads the token after the first one, where the name begins, and so the model can "
    "say it again. Two heads work together for this: one in an earlier layer tells each token what "
    "stands before it, and a later one looks for a token whose predecessor is the present one (Olsson "
    "et al. 2022)."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2: attention, heads.
- Elhage et al. 2021, [A mathematical framework for transformer circuits][circuits]: previous-token heads and
  how they feed induction.
- Olsson et al. 2022, [In-context learning and induction heads](https://arxiv.org/abs/2209.11895).
- Wang et al. 2022, [Interpretability in the wild](https://arxiv.org/abs/2211.00593): duplicate-token heads.
- Vig and Belinkov 2019, [Analyzing the structure of attention](https://arxiv.org/abs/1906.04284): mean
  distance and entropy of heads, in GPT-2.
- Clark et al. 2019, [What does BERT look at?](https://arxiv.org/abs/1906.04341), 3: broad heads.
- Xiao et al. 2023, [Efficient streaming language models with attention sinks][sinks].

The bounds from which a head is given a name here (induction and duplicate 30 %, previous token 40 %, sink
50 %, broad 80 % of the largest entropy, local a quarter of the distance of a head that reads evenly) are
ours: the papers describe the heads, not a bound. Induction is measured on the prompt itself, not on random
repeated tokens as in the paper. A pattern says what a head reads, not what it does with it.

[circuits]: https://transformer-circuits.pub/2021/framework/index.html
[sinks]: https://arxiv.org/abs/2309.17453
"""
