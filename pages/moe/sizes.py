"""Arithmetic: what lies in memory and what works, for the loaded model and for published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

import streamlit as st

from model_runtime.moe import sizes as counted
from model_runtime.moe.sizes import PUBLISHED, Calculator, ExpertSizes, calculator_of, model_sizes
from model_runtime.records import ModelSpec
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.moe.sizes import (
    CalculatorRecord,
    SizeRow,
    sizes_record,
    sizes_sentence,
    work_sentence,
)
from viz.moe.sizes_figure import calculator_figure, memory_figure, sizes_figure
from viz.style import in_words, share

EXPERTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOP_K = (1, 2, 3, 4, 6, 8)
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


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part. Dense models too: their total is their active count."""
    sizes = [model_sizes(side.model) for side in sides]
    figures(sides, [row_of(one, True) for one in sizes])
    st.subheader("Part by part", anchor=False)
    for place, side, one in zip(places(sides), sides, sizes, strict=True):
        with column(place, side):
            part_by_part(one, short=bool(side.name))
    calculator(sides[0], row_of(sizes[0], True))
    st.subheader("As published", anchor=False)
    st.markdown(published_table())
    st.caption(PUBLISHED_NOTE)
    return Lesson(
        mathematics=partial(mathematics, sizes[0]),
        code=(
            counted.MoeShape,
            counted.PartSize,
            counted.ExpertSizes,
            counted.shape_sizes,
            counted.Calculator,
        ),
    )


def row_of(sizes: ExpertSizes, own: bool) -> SizeRow:
    return SizeRow(
        sizes.name, sizes.total, sizes.active, sizes.multiplications, sizes.n_experts, sizes.k, own
    )


def figures(sides: Sequence[Side], rows: Sequence[SizeRow]) -> None:
    """Loaded and published models, twice."""
    record = sizes_record([*rows, *(row_of(one.sizes(), False) for one in PUBLISHED)])
    told = _origin(sides)
    left, right = st.columns(2)
    with left:
        live_figure(sizes_figure(record), key="sizes", provenance=told)
    with right:
        live_figure(memory_figure(record), key="memory", provenance=told)
    st.caption(COUNTED)


def _origin(sides: Sequence[Side]) -> Provenance:
    """Counted, not run; the prompt has no part in it."""
    other = sides[1].run if len(sides) > 1 else None
    told = sides[0].run.origin("computed", compared_with=other, as_it_is=True)
    if told.compared_with is not None:
        told = replace(told, compared_with=replace(told.compared_with, prompt=None))
    return replace(told, prompt=None)


def part_by_part(sizes: ExpertSizes, short: bool) -> None:
    """The loaded model in words and part by part, in short numbers where two stand side by side."""
    row = row_of(sizes, True)
    st.markdown(plain(sizes_sentence(row)))
    st.markdown(plain(work_sentence(row)))
    st.markdown(parts_table(sizes, short))


def parts_table(sizes: ExpertSizes, short: bool) -> str:
    """Every part with its total, active and multiplied parameters."""
    lines = ["| part | parameters | active | multiplications |", "|---|---:|---:|---:|"]
    written = in_words if short else "{:,}".format
    for part in sizes.parts:
        numbers = map(written, (part.total, part.active, part.multiplications))
        lines.append(f"| {part.name} | {' | '.join(numbers)} |")
    all_parts = map(written, (sizes.total, sizes.active, sizes.multiplications))
    lines.append(f"| **all** | {' | '.join(f'**{number}**' for number in all_parts)} |")
    return "\n".join(lines)


def calculator(side: Side, row: SizeRow) -> None:
    """The loaded model with other experts."""
    base, spec = calculator_of(side.model), side.spec
    n_experts = state.get("size_n") or max(spec.n_experts, 8)
    k = min(state.get("size_k") or spec.experts_per_token or 2, n_experts)
    d_ff = state.get("size_ff") or spec.d_mlp
    record = CalculatorRecord(
        spec.name,
        n_experts,
        k,
        d_ff,
        base.total(n_experts, d_ff),
        base.active(n_experts, k, d_ff),
        base.multiplications(n_experts, k, d_ff),
        row,
    )
    st.subheader("Calculator: the same model with other experts", anchor=False)
    left, right = st.columns([2, 1])
    with left:
        live_figure(
            calculator_figure(record, asdict(base)),
            key="calculator",
            provenance=replace(_origin([side]), extra={"experts": n_experts, "top-k": k, "width": d_ff}),
            sliders=[
                Slider("experts", "Experts", n_experts, stops=EXPERTS),
                Slider("topk", "Experts a token", k, stops=TOP_K),
                Slider("width", "Expert width", d_ff, stops=_widths(spec.d_mlp)),
            ],
            on_slide=_take,
            slide_on_release=True,
        )
    with right:
        st.markdown(calculator_words(spec, base))


def _widths(d_mlp: int) -> list[int]:
    return sorted({max(1, d_mlp * part // 16) for part in (1, 2, 4, 8, 12, 16, 24, 32, 64)})


def _take(values: dict[str, float]) -> None:
    chosen = {"experts": "size_n", "topk": "size_k", "width": "size_ff"}
    state.set(**{chosen[name]: round(value) for name, value in values.items()})


def calculator_words(spec: ModelSpec, base: Calculator) -> str:
    """What the calculator keeps, and what it changes."""
    change = "experts and routers" if spec.n_experts else "the MLPs"
    return (
        f"{plain(spec.name)} keeps everything but {change}: {in_words(base.base)} parameters stay. Its "
        f"{base.n_layers} layers get N experts of {base.matrices} matrices {base.d_model:,} × width and a "
        f"router {base.d_model:,} × N. Move **Experts** and watch the work stand nearly still; move "
        f"**Experts a token** and watch memory stand still."
    )


def published_table() -> str:
    """Computed numbers beside those that the authors give."""
    lines = [
        "| model | experts | total | active | share | its authors say | source |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for one in PUBLISHED:
        sizes = one.sizes()
        shared = " + 1 shared" if sizes.part("shared expert").total else ""
        lines.append(
            f"| {sizes.name} | {sizes.k} of {sizes.n_experts:,}{shared} | {in_words(sizes.total)} "
            f"| {in_words(sizes.active)} | {share(sizes.active / sizes.total)} | {one.says} "
            f"| {one.source} |"
        )
    return "\n".join(lines)


def mathematics(sizes: ExpertSizes) -> str:
    """The counting formula, for Mixtral and for the loaded model."""
    mixtral = PUBLISHED[0].sizes()
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
