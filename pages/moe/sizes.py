"""Arithmetic: what lies in memory and what works, for the loaded model and for published ones."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import streamlit as st

from model_runtime.moe import sizes as expert_sizes
from pages.moe import sizes_words as words
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.moe.sizes import CalculatorRecord, SizeRow, sizes_record, sizes_sentence, work_sentence
from viz.moe.sizes_figure import calculator_figure, memory_figure, sizes_figure

EXPERTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOP_K = (1, 2, 3, 4, 6, 8)


def sizes_of(drawing: Drawing) -> expert_sizes.ExpertSizes:
    """The loaded model's parameters, part by part."""
    return expert_sizes.model_sizes(runtime.model_for(drawing.run))


def row_of(sizes: expert_sizes.ExpertSizes, own: bool) -> SizeRow:
    return SizeRow(
        sizes.name, sizes.total, sizes.active, sizes.multiplications, sizes.n_experts, sizes.k, own
    )


def figures(drawings: Sequence[Drawing], rows: Sequence[SizeRow]) -> None:
    """Loaded and published models, twice."""
    published = [row_of(one.sizes(), False) for one in expert_sizes.PUBLISHED]
    record = sizes_record([*rows, *published])
    told = _origin(drawings)
    left, right = st.columns(2)
    with left:
        live_figure(sizes_figure(record), key="sizes", provenance=told)
    with right:
        live_figure(memory_figure(record), key="memory", provenance=told)
    st.caption(words.COUNTED)


def _origin(drawings: Sequence[Drawing]) -> Provenance:
    """Counted, not run; the prompt has no part in it."""
    other = drawings[1].run if len(drawings) > 1 else None
    told = runtime.provenance_of(drawings[0].run, "computed", compared_with=other)
    if told.compared_with is not None:
        told = dataclasses.replace(
            told, compared_with=dataclasses.replace(told.compared_with, prompt=None, edits="")
        )
    return dataclasses.replace(told, prompt=None, edits="")


def parts(drawing: Drawing, sizes: expert_sizes.ExpertSizes) -> None:
    """The loaded model in words and part by part, in short numbers where two stand side by side."""
    row = row_of(sizes, True)
    st.markdown(plain(sizes_sentence(row)))
    st.markdown(plain(work_sentence(row)))
    st.markdown(words.parts_table(sizes, short=bool(drawing.name)))


def calculator(drawing: Drawing, row: SizeRow) -> None:
    """The loaded model with other experts."""
    model = runtime.model_for(drawing.run)
    base, spec = expert_sizes.calculator_of(model), model.spec
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
            calculator_figure(record, dataclasses.asdict(base)),
            key="calculator",
            provenance=dataclasses.replace(
                _origin([drawing]), extra={"experts": n_experts, "top-k": k, "width": d_ff}
            ),
            sliders=[
                Slider("experts", "Experts", n_experts, stops=EXPERTS),
                Slider("topk", "Experts a token", k, stops=TOP_K),
                Slider("width", "Expert width", d_ff, stops=_widths(spec.d_mlp), help="d_ff"),
            ],
            on_slide=_take,
            slide_on_release=True,
        )
    with right:
        st.markdown(words.calculator_words(spec, base))


def _widths(d_mlp: int) -> list[int]:
    return sorted({max(1, d_mlp * part // 16) for part in (1, 2, 4, 8, 12, 16, 24, 32, 64)})


def _take(values: dict[str, float]) -> None:
    chosen = {"experts": "size_n", "topk": "size_k", "width": "size_ff"}
    state.set(**{chosen[name]: round(value) for name, value in values.items()})


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part. Dense models too: their total is their active count."""
    sizes = [sizes_of(drawing) for drawing in drawings]
    rows = [row_of(one, True) for one in sizes]
    figures(drawings, rows)
    st.subheader("Part by part", anchor=False)
    places: Sequence[Any] = [st.container()] if len(drawings) == 1 else st.columns(2)
    for place, drawing, one in zip(places, drawings, sizes, strict=True):
        with column(place, drawing):
            parts(drawing, one)
    calculator(drawings[0], rows[0])
    st.subheader("As published", anchor=False)
    st.markdown(words.published_table())
    st.caption(words.PUBLISHED_NOTE)
    return Lesson(
        words.QUESTION,
        words.ANSWER,
        mathematics=lambda: words.mathematics(drawings[0], sizes[0]),
        code=lambda: "\n\n".join(
            inspect.getsource(function) for function in (expert_sizes.shape_sizes, expert_sizes.Calculator)
        ),
        sources=words.SOURCES,
    )
