"""The words of the part "Load": the loss as sentence and table, question, mathematics, sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from model_runtime.moe import load as router_load
from pages.moe.drawing import Routed
from pages.shared.escape import counted
from pages.shared.settings import url_state as state
from viz.moe.routing import named
from viz.style import share, three_digits

QUESTION = (
    "Set the capacity factor to 1: places for exactly the average load. Which tokens will be dropped, the "
    "first or the last of the text? Then add noise: does the load get more even, or less?"
)
ANSWER = (
    "The last ones: places are given in the order of the text, and who comes late to a popular expert finds "
    "it full. A dropped token skips the MLP, only the residual stream carries it on. A little noise sends "
    "tokens whose best experts are close to another one, which often evens out the load; much noise makes "
    "the choice a matter of chance, even but without sense. That is why noise helps in training and is off "
    "in use."
)
SOURCES = """
- Shazeer et al. 2017, [Outrageously large neural networks](https://arxiv.org/abs/1701.06538), section 2.1 and
  appendix A: noisy top-k, the coefficient of variation as a measure of balance.
- Lepikhin et al. 2020, [GShard](https://arxiv.org/abs/2006.16668), algorithm 1: capacity and places for two
  experts a token.
- Fedus et al. 2021, [Switch transformers](https://arxiv.org/abs/2101.03961), section 2.2: capacity factor
  (eq. 3) and the balancing loss (eq. 4 to 6).
- The loss for top-k as transformers computes it: `load_balancing_loss_func` in
  `transformers/models/mixtral/modeling_mixtral.py`.
"""
_MOST_ROWS = 8


def balance_sentence(balance: router_load.Balance, layer: int) -> str:
    """The layer's loss, and how far it is from balance."""
    over = balance.loss / balance.k - 1
    far = f"{share(over)} above" if over >= 0.001 else f"{share(-over)} below" if over <= -0.001 else "at"
    return (
        f"Balancing loss of layer {layer}: $N \\sum f_i P_i$ = **{three_digits(balance.loss)}**, {far} the "
        f"{balance.k} of a perfectly even router."
    )


def balance_table(balance: router_load.Balance) -> str:
    """f, P and their product by expert, the busiest first where there are many."""
    order = range(len(balance.counts))
    if len(balance.counts) > _MOST_ROWS:
        order = np.argsort(-balance.counts, kind="stable")[:_MOST_ROWS].tolist()
    lines = ["| expert | $f$ | $P$ | $f P$ |", "|---|---:|---:|---:|"]
    for e in order:
        f, p = float(balance.fraction[e]), float(balance.probability[e])
        cells = (named(e), three_digits(f), three_digits(p), three_digits(f * p))
        lines.append(f"| {' | '.join(cells)} |")
    n = len(balance.counts)
    name = "all" if n == len(order) else f"all {n}"
    sums = (float(balance.k), 1.0, balance.loss / n)
    lines.append(f"| {name} | {' | '.join(map(three_digits, sums))} |")
    return "\n".join(lines)


def pooled_words(routing: Any, pooled: float) -> str:
    """What f and P are, and the loss that a training would see on this prompt."""
    layers = len(routing.layers)
    return (
        f"f: slots per token that go to the expert. P: its mean probability in the router's softmax. Over "
        f"{counted(layers, 'layer')} taken together, as transformers computes it for training: "
        f"{three_digits(pooled)}."
    )


def mathematics(drawing: Routed) -> str:
    """Loss, variation, noise and capacity with the numbers of the layer."""
    routing = drawing.routing()
    row = routing.row(drawing.layer)
    balance = router_load.balance_loss(routing.logits[row], routing.indices[row])
    n, n_tokens, k = routing.n_experts, routing.indices.shape[1], balance.k
    busiest = int(balance.counts.argmax())
    factor = state.get("capacity") or 1.0
    places = router_load.expert_capacity(n_tokens, n, k, factor)
    spread = float(routing.logits[row].std())
    return (
        "The balancing loss of one layer (Switch, eq. 4 to 6), for $N$ experts and $T$ tokens:\n\n"
        r"$$L = N \sum_{i=1}^{N} f_i P_i, \qquad f_i = \frac{\text{slots of expert } i}{T}, \qquad "
        r"P_i = \frac{1}{T} \sum_t p_i(x_t)$$"
        f"\n\nHere $N = {n}$, $T = {n_tokens}$, and {named(busiest)} has $f = {balance.counts[busiest]} / "
        f"{n_tokens} = {balance.fraction[busiest]:.4f}$ and $P = {balance.probability[busiest]:.4f}$; all in "
        f"all $L = {n} \\cdot {balance.loss / n:.5f} = {balance.loss:.4f}$. Only $P$ has a gradient: it is "
        f"pushed down most where $f$ is large. Switch sends a token to one expert, so its $f$ sum to 1 and "
        f"the least value at balance is 1. With $k = {k}$ experts a token transformers counts every slot, so "
        f"the $f$ sum to {k} and balance has $L = {k}$; divided by $k$ this prompt has "
        f"${balance.per_slot:.4f}$.\n\n"
        r"$$\mathrm{CV} = \frac{\text{standard deviation of the slots}}{\text{mean}} = "
        f"{router_load.variation(balance.counts):.4f}$$\n\n"
        "Noisy top-k (Shazeer, eq. 3 to 5) picks the $k$ largest of\n\n"
        r"$$H_i(x) = (x W_g)_i + \varepsilon_i \, \mathrm{softplus}((x W_\mathrm{noise})_i), \qquad "
        r"\varepsilon_i \sim \mathcal{N}(0, 1)$$"
        "\n\nThe learned $W_\\mathrm{noise}$ does not exist in this model, so the slider's σ stands in its "
        "place, the same for all tokens and experts; the ε are drawn once with seed "
        f"{router_load.NOISE_SEED}. The real scores of this layer have a standard deviation of "
        f"{spread:.3f}.\n\n"
        r"$$\text{places} = \left\lfloor \text{capacity factor} \cdot \frac{k\,T}{N} \right\rfloor = "
        f"\\left\\lfloor {factor:g} \\cdot \\frac{{{k} \\cdot {n_tokens}}}{{{n}}} \\right\\rfloor = "
        f"{places}$$\n\n"
        "(at least 1). Places are given in the order of the text, all first choices before all second ones."
    )
