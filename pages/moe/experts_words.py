"""The words of the part "What an expert did": question, sums, mathematics with the selection's numbers."""

from __future__ import annotations

import math
from typing import Any

from model_runtime.interventions import ForceExperts, Intervention
from pages.shared.settings.edit_codes import describe
from viz.moe.experts import ExpertShares
from viz.moe.routing import named
from viz.style import three_digits

QUESTION = (
    "The first choice has the largest weight. If it is switched off, will the model say something else, or "
    "do the other experts carry the sentence? Guess for the first layer and for the last, then switch."
)
ANSWER = (
    "Look at the two texts, not only at the first token: a small change of one probability can be the one "
    "that turns the sentence. Early layers tend to matter more, since everything after them reads what they "
    "added. With the others scaled up the layer adds as much as before, but something else. Which domain "
    "suffers tells what an expert had learned."
)
SOURCES = """
- Shazeer et al. 2017, [Outrageously large neural networks](https://arxiv.org/abs/1701.06538), 2: the output
  is the weighted sum of the chosen experts.
- Shazeer 2020, [GLU variants improve transformer](https://arxiv.org/abs/2002.05202): the gated MLP that each
  expert is.
- Jiang et al. 2024, [Mixtral of experts](https://arxiv.org/abs/2401.04088).
- OpenAI 2025, [gpt-oss model card](https://arxiv.org/abs/2508.10925): clamped experts with biases.
- Fedus et al. 2021, [Switch transformers](https://arxiv.org/abs/2101.03961).
"""
SHARES = (
    "Bar: the part of the sum that points along the sum itself (a projection); these add up to 100 %, and a "
    "part against the sum is below 0. Diamond: the length of the part as a share of all lengths together."
)
COSINES = "1: the same direction, 0: nothing in common, −1: opposite. Framed and bold: the asked experts."


def adds_up(outputs: Any) -> str:
    """How well the experts' weighted outputs give what the layer added."""
    if math.isnan(outputs.largest_error):
        return (
            "An edit changed the output of this MLP after its experts were added, so the sum is not compared."
        )
    return (
        "The weighted outputs, computed one expert at a time, add up to what this layer added: the largest "
        f"error over all tokens is {three_digits(outputs.largest_error)}, where the largest number is "
        f"{three_digits(outputs.largest)}."
    )


def headline(edit: Intervention) -> str:
    """The edit as the beginning of a sentence."""
    words = describe(edit)
    return f"{words[:1].upper()}{words[1:]}" if isinstance(edit, ForceExperts) else f"With {words}"


def mathematics(record: ExpertShares, outputs: Any) -> str:
    """The weighted sum and the shares, with the numbers of the selected token."""
    k = outputs.n_asked
    terms = " + ".join(
        rf"{weight:.3g}\,E_{{{expert}}}(x)"
        for expert, weight in zip(outputs.experts[: min(k, 4)], outputs.weights[: min(k, 4)], strict=True)
    )
    more = r" + \dots" if k > 4 else ""
    shared = "" if outputs.shared is None else rf" + {outputs.shared_gate:.3g}\,E_\mathrm{{shared}}(x)"
    parts = " + ".join(f"{part:.3g}" for part in record.projections[:8])
    return (
        "Each expert is a small MLP of its own; its output is multiplied by the router's weight, and all are "
        "added:\n\n"
        r"$$m = \sum_{i \in T} w_i E_i(x)" + (r" + g\,E_\mathrm{shared}(x)" if shared else "") + "$$\n\n"
        f"Here, for token {record.position} in layer {record.layer}:\n\n"
        rf"$$m = {terms}{more}{shared}$$"
        "\n\nThe share of a part $c_i = w_i E_i(x)$ in the sum is its projection on it. The shares add up to "
        "1, because the parts add up to $m$:\n\n"
        r"$$\frac{c_i \cdot m}{m \cdot m}, \qquad \sum_i \frac{c_i \cdot m}{m \cdot m} = "
        rf"{parts}{' + ...' if len(record.projections) > 8 else ''} = {sum(record.projections):.3g}$$"
        f"\n\nSwitched off, {named(record.chosen)} has $w = 0$ for every token of the prompt; everything "
        f"after layer {record.layer} then reads another stream."
    )
