"""The words of the part "Arithmetic"."""

from __future__ import annotations

from typing import Any

from model_runtime.moe import sizes as expert_sizes
from pages.shared.escape import plain
from pages.shared.frame.sides import Drawing
from viz.moe.sizes import in_parameters
from viz.style import share

QUESTION = (
    "Mixtral 8x7B: eight experts of a 7 B model. Does it have 56 B parameters? And if one token uses two of "
    "eight experts, does it use a quarter of the parameters? Guess both numbers, then look at the picture."
)
ANSWER = (
    "46.7 B, because only the MLPs are there eight times: attention, embeddings and norms are shared. And "
    "12.9 B, which is 27.6 %, not 25 %: what is shared works for every token. All 46.7 B must be in memory "
    "nevertheless, since the next token may ask any expert. Experts buy parameters with memory, not with "
    "work."
)
COUNTED = (
    "Loaded models are counted from their modules, published ones by formula from their configurations, "
    "without weights (tests hold the formula to the real classes). Active: embedding table and head in full, "
    "k of N experts. Multiplications leave out what attention does with other tokens. Memory: two bytes a "
    "parameter, whatever format a model is published in."
)
PUBLISHED_NOTE = (
    "A token of a Switch Transformer is counted as passing encoder and decoder. Switch sends each token to "
    "one expert only; the others here to two or more."
)
SOURCES = """
- Jiang et al. 2024, [Mixtral of experts](https://arxiv.org/abs/2401.04088).
- Fedus et al. 2021, [Switch transformers](https://arxiv.org/abs/2101.03961), table 9: the sizes of Switch;
  the configuration of Switch-Base is that of the released checkpoint (`google/switch-base-128`).
- Muennighoff et al. 2024, [OLMoE](https://arxiv.org/abs/2409.02060).
- Yang et al. 2025, [Qwen3](https://arxiv.org/abs/2505.09388); Qwen team 2024,
  [Qwen1.5-MoE](https://qwenlm.github.io/blog/qwen-moe/).
- OpenAI 2025, [gpt-oss](https://arxiv.org/abs/2508.10925).
"""


def parts_table(sizes: expert_sizes.ExpertSizes, short: bool = False) -> str:
    """Every part with its total, active and multiplied parameters."""
    lines = ["| part | parameters | active | multiplications |", "|---|---:|---:|---:|"]
    written = in_parameters if short else "{:,}".format
    for part in sizes.parts:
        numbers = map(written, (part.total, part.active, part.multiplications))
        lines.append(f"| {part.name} | {' | '.join(numbers)} |")
    all_parts = map(written, (sizes.total, sizes.active, sizes.multiplications))
    lines.append(f"| **all** | {' | '.join(f'**{number}**' for number in all_parts)} |")
    return "\n".join(lines)


def published_table() -> str:
    """Computed numbers beside those that the authors give."""
    lines = [
        "| model | experts | total | active | share | its authors say | source |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for one in expert_sizes.PUBLISHED:
        sizes = one.sizes()
        shared = " + 1 shared" if sizes.part("shared expert").total else ""
        lines.append(
            f"| {sizes.name} | {sizes.k} of {sizes.n_experts:,}{shared} | {in_parameters(sizes.total)} "
            f"| {in_parameters(sizes.active)} | {share(sizes.active / sizes.total)} | {one.says} "
            f"| {one.source} |"
        )
    return "\n".join(lines)


def calculator_words(spec: Any, base: expert_sizes.Calculator) -> str:
    """What the calculator keeps, and what it changes."""
    change = "experts and routers" if spec.n_experts else "the MLPs"
    return (
        f"{plain(spec.name)} keeps everything but {change}: {in_parameters(base.base)} parameters stay. Its "
        f"{base.n_layers} layers get N experts of {base.matrices} matrices {base.d_model:,} × d_ff and a "
        f"router {base.d_model:,} × N. Move **Experts** and watch the work stand nearly still; move "
        f"**Experts a token** and watch memory stand still."
    )


def mathematics(drawing: Drawing, sizes: expert_sizes.ExpertSizes) -> str:
    """The counting formula, for Mixtral and for the loaded model."""
    mixtral = expert_sizes.PUBLISHED[0].sizes()
    experts = mixtral.part("experts").total
    rest = mixtral.total - experts
    words = (
        "With $N$ experts, $k$ of them for a token, in $L$ layers, gated MLPs of three matrices:\n\n"
        r"$$\text{total} = R + L N \cdot 3\, d_\mathrm{model} d_\mathrm{ff}, \qquad \text{active} = R + L k "
        r"\cdot 3\, d_\mathrm{model} d_\mathrm{ff}$$"
        "\n\n$R$ is what is shared: embeddings, attention, routers, norms, head. Mixtral 8x7B: $R = "
        f"{_n(rest)}$, $L N \\cdot 3 d_\\mathrm{{model}} d_\\mathrm{{ff}} = 32 \\cdot 8 \\cdot 3 \\cdot "
        f"4{{,}}096 \\cdot 14{{,}}336 = {_n(experts)}$, so the total is ${_n(mixtral.total)}$ and the active "
        f"count ${_n(rest)} + \\tfrac{{2}}{{8}} \\cdot {_n(experts)} = {_n(mixtral.active)}$."
    )
    if not sizes.n_experts:
        return f"{words}\n\nThe loaded model is dense: total = active = ${_n(sizes.total)}$."
    own = sizes.part("experts").total
    shared = sizes.total - own
    return (
        f"{words}\n\nThe loaded model: $R = {_n(shared)}$, experts ${_n(own)}$, active ${_n(shared)} + "
        f"\\tfrac{{{sizes.k}}}{{{sizes.n_experts}}} \\cdot {_n(own)} = {_n(sizes.active)}$."
    )


def _n(value: int) -> str:
    """A whole number in a formula, thousands separated."""
    return f"{value:,}".replace(",", "{,}")
