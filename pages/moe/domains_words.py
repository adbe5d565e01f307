"""The words of the part "Who knows what"."""

from __future__ import annotations

from typing import Any

from model_runtime.moe import domains as measured
from model_runtime.moe import load as router_load
from pages.moe.drawing import Routed
from viz.moe.domains import TITLES

QUESTION = (
    "Will one expert do all the arithmetic and another all the Python, or do experts split the work in other "
    "ways? And will the layers near the input or those near the output tell the domains apart best? Guess, "
    "then look at the columns of the map and at the divergences by layer."
)
ANSWER = (
    "Not one expert for one subject: each domain favours a few, and some experts serve several. An expert's "
    "typical tokens are mostly a kind of token, digits, indents, small words, so much of the difference "
    "between domains is that of their tokens. A small model of four kinds of text splits them clearly; "
    "Jiang et al. (2024) saw little of it in Mixtral, Muennighoff et al. (2024) more in OLMoE with its 64 "
    "experts a layer. Chance alone makes the dashed line: only what lies well above it is a finding."
)
SOURCES = """
- Jiang et al. 2024, [Mixtral of experts](https://arxiv.org/abs/2401.04088), section 5: routing by domain of
  The Pile.
- Muennighoff et al. 2024, [OLMoE](https://arxiv.org/abs/2409.02060), section 5: domain and vocabulary
  specialisation.
- Lin 1991, [Divergence measures based on the Shannon entropy](https://doi.org/10.1109/18.61115).
- Fisher 1935, The design of experiments: the permutation test.
- The text: plays and scripture are in the public domain, the Python code is the standard library's, the sums
  are generated; see `assets/heldout/README.md`.
"""
DIVERGENCE = (
    "Jensen-Shannon divergence of two shares over the experts, in bits: 0 if they are equal, 1 if no expert "
    "is common. Every dot compares two halves of the same size, so the dashed line (two halves of one "
    "domain) is what differences between texts of one kind and chance make. Click a dot to choose its layer."
)
TYPICAL = (
    f"Tokens seen at least {measured.LEAST_SEEN} times in all the text, ordered by share of the expert's "
    "tokens × log₂ (that share / share of the text): much more often, and often at all."
)


def text_words(found: Any) -> str:
    """Which text, in a caption."""
    tokens = min(found.n_tokens)
    names = ", ".join(TITLES.get(domain, domain) for domain in found.domains)
    return f"held-out, {tokens:,} tokens of each of {names}"


def how_measured(found: Any) -> str:
    """What stands behind the map."""
    counts = set(found.n_tokens)
    span = f"{min(counts):,} to {max(counts):,}" if len(counts) > 1 else f"{min(counts):,}"
    each = f"{span} tokens"
    return (
        f"Measured on the bundled held-out text, which the mini models were not trained on: {each} of each "
        f"domain in {measured.EXCERPTS} excerpts of at most {measured.EXCERPT_TOKENS} tokens, evenly spread "
        f"over the file, each read on its own. Shares are of slots (a token sent to two experts has two), so "
        f"each row of a map sums to 100 %. The colours end at the largest share of a domain."
    )


def shuffled(found: Any) -> str:
    """The baseline of two prompts."""
    a, b = found.n_tokens
    return (
        f"The prompts have {a:,} and {b:,} tokens. For chance, the tokens of both are mixed and dealt out "
        f"into two heaps of these sizes, {found.shuffles} times (seed 0): the shorter the prompts, the more "
        f"they differ by chance."
    )


def mathematics(drawing: Routed, found: Any | None) -> str:
    """The divergence, with the numbers of two domains in the chosen layer."""
    formula = (
        "For the shares $p$ and $q$ of two texts over the experts of a layer:\n\n"
        r"$$\mathrm{JSD}(p, q) = H\!\left(\frac{p+q}{2}\right) - \frac{H(p) + H(q)}{2}, \qquad "
        r"H(p) = -\sum_i p_i \log_2 p_i \quad\text{bits}$$"
    )
    if found is None:
        return formula
    row = found.layers.index(drawing.layer)
    p, q = (shares[row] for shares in measured.domain_shares(found)[:2])
    names = [TITLES.get(name, name) for name in found.domains[:2]]
    h = [float(router_load.entropy_bits(shares)) for shares in ((p + q) / 2, p, q)]
    return (
        f"{formula}\n\nLayer {drawing.layer}, $p$ of {names[0]} and $q$ of {names[1]}, all their tokens: "
        f"$H((p+q)/2) = {h[0]:.4f}$, $H(p) = {h[1]:.4f}$, $H(q) = {h[2]:.4f}$, so\n\n"
        f"$$\\mathrm{{JSD}} = {h[0]:.4f} - \\frac{{{h[1]:.4f} + {h[2]:.4f}}}{{2}} = "
        f"{float(router_load.js_divergence(p, q)):.4f} \\text{{ bits}}$$\n\n"
        r"A token $t$ is typical of expert $e$ by its part of $D_\mathrm{KL}(p(\cdot\,|\,e)\,\|\,p)$:"
        "\n\n"
        r"$$p(t \,|\, e) \, \log_2 \frac{p(t \,|\, e)}{p(t)}$$"
    )
