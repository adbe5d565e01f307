"""The words of the part "Who is asked": table, rule, question, mathematics with the selection's numbers."""

from __future__ import annotations

import math
from typing import Any

from viz.moe.routing import RouterBars, named, rule_words
from viz.style import share, three_digits

QUESTION = (
    "A comma, a name, a verb: which decides more about the expert a token is sent to, what the token is or "
    "what the sentence is about? Guess, then put the same word into two different sentences, pin one run, "
    "and compare the rows of the map."
)
ANSWER = (
    "In the first layers mostly the token itself: the router reads the stream, and early on that holds "
    "little but the token. Later layers mix in the context, and the same word may go elsewhere. Jiang et al. "
    "(2024) found the experts of Mixtral to follow syntax more than topic: the same words, indents of code "
    "and neighbouring tokens tend to share experts."
)
SOURCES = """
- Shazeer et al. 2017, [Outrageously large neural networks](https://arxiv.org/abs/1701.06538): the sparsely
  gated mixture-of-experts layer.
- Fedus et al. 2021, [Switch transformers](https://arxiv.org/abs/2101.03961): one expert a token.
- Jiang et al. 2024, [Mixtral of experts](https://arxiv.org/abs/2401.04088), 2.1 and 5: the router used here,
  and an analysis of what experts take.
- Muennighoff et al. 2024, [OLMoE](https://arxiv.org/abs/2409.02060): 64 experts, 8 chosen, weights not
  divided by their sum.
- Qwen team 2024, [Qwen1.5-MoE](https://qwenlm.github.io/blog/qwen-moe/): a shared expert beside the chosen.
"""
_MOST_ROWS = 8


def table(record: RouterBars) -> str:
    """Score, probability and weight of the chosen experts and of the best that was not chosen."""
    lines = ["| expert | score | probability | weight |", "|---|---:|---:|---:|"]
    for expert, weight in list(zip(record.experts, record.weights, strict=True))[:_MOST_ROWS]:
        lines.append(_row(record, expert, share(weight)))
    chosen = {*record.experts}
    rest = [expert for expert in range(len(record.logits)) if expert not in chosen]
    if rest:
        best = max(rest, key=lambda expert: record.logits[expert])
        lines.append(_row(record, best, "not asked"))
    return "\n".join(lines)


def _row(record: RouterBars, expert: int, last: str) -> str:
    score, probability = record.logits[expert], record.probabilities[expert]
    return f"| {named(expert)} | {three_digits(score)} | {share(probability)} | {last} |"


def rule(routing: Any) -> str:
    """How this family makes weights of scores, and how well that gives the numbers it used."""
    rule = routing.rule
    said = f"In this model {rule_words(rule.over, rule.renormalised, rule.bias, rule.shared)}."
    if not math.isnan(routing.largest_error):
        said += (
            f" Computed from the scores by that rule, all weights of this prompt agree with those the model "
            f"used to within {three_digits(routing.largest_error)}."
        )
    if rule.over == "chosen":
        said += " The probabilities over all experts are shown for comparison; the model never computes them."
    if routing.edited:
        said += f" Edited routers: layer {', '.join(map(str, routing.edited))}."
    return said


def mathematics(record: RouterBars, routing: Any) -> str:
    """The router with the numbers of the selected token and layer."""
    rule, k, n = routing.rule, len(record.experts), len(record.logits)
    expert, weight = record.experts[0], record.weights[0]
    score = record.logits[expert]
    return (
        "The router is one small matrix. It scores each of the $N$ experts for the token's vector $x$ and "
        f"keeps the $k$ best; here $N = {n}$ and $k = {k}$:\n\n"
        r"$$s = W_r x" + (" + b" if rule.bias else "") + r", \qquad T = \mathrm{top}_k(s)$$"
        f"\n\n{_formula(rule)}\n\n"
        r"$$\mathrm{MLP}(x) = \sum_{i \in T} w_i \, E_i(x)"
        + (r" + \sigma(g \cdot x)\, E_\mathrm{shared}(x)" if rule.shared else "")
        + "$$"
        f"\n\nFor token {record.position} in layer {record.layer}, the first choice is {named(expert)}:\n\n"
        rf"$$s_{{{expert}}} = {score:.4g}, \qquad p_{{{expert}}} = {record.probabilities[expert]:.4g}, "
        rf"\qquad w_{{{expert}}} = {_fraction(record, rule)} = {weight:.4g}$$"
    )


def _formula(rule: Any) -> str:
    if rule.over == "chosen":
        return r"$$w_i = \frac{e^{s_i}}{\sum_{j \in T} e^{s_j}} \quad (i \in T)$$"
    probability = r"p_i = \frac{e^{s_i}}{\sum_{j=1}^{N} e^{s_j}}"
    if rule.renormalised:
        return rf"$${probability}, \qquad w_i = \frac{{p_i}}{{\sum_{{j \in T}} p_j}} \quad (i \in T)$$"
    return rf"$${probability}, \qquad w_i = p_i \quad (i \in T)$$"


def _fraction(record: RouterBars, rule: Any) -> str:
    """The weight of the first choice with its numbers put in."""
    first = record.probabilities[record.experts[0]]
    if not rule.sums_to_one:
        return f"p_{{{record.experts[0]}}}"
    total = sum(record.probabilities[expert] for expert in record.experts)
    return rf"\frac{{{first:.4g}}}{{{total:.4g}}}"
