"""Step by step: one head from queries and keys to what it adds to the stream, every matrix real."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from model_runtime import teaching
from pages.attention.cell import choose_cell, stages_of
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, same_tokens
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.attention.number.words import latex
from viz.attention.pattern import attention_pattern_record, row_sentence
from viz.attention.pattern_map import attention_row_figure
from viz.attention.stages import words
from viz.attention.stages.difference import difference_record
from viz.attention.stages.figure import head_stages_figure, trace_stage
from viz.attention.stages.record import (
    HeadStagesRecord,
    head_stages_record,
    shared_limits,
    strongest_key,
    vector_length,
)
from viz.attention.stages.scale import scale_effect_figure, scale_effect_record


@dataclass(frozen=True, eq=False)
class Side:
    """One run's head, taken apart and ready to be drawn."""

    drawing: Drawing
    stages: Any  # model_runtime.attention.stages.HeadStages
    record: HeadStagesRecord


@dataclass(frozen=True)
class Checks:
    """What the runtime compared: with torch's own attention, and all heads with what attention added."""

    torch: Any  # model_runtime.attention.sdpa_check.SdpaCheck
    heads: float | None

    @property
    def nbytes(self) -> int:
        return 256


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    sides = sides_of(drawings)
    choose_cell(drawings[0], strongest_key(sides[0].stages, drawings[0].query))
    places = [st.container()] if len(sides) == 1 else st.columns(len(sides))
    for place, side in zip(places, sides, strict=True):
        with column(place, side.drawing):
            matrices(side)
    if len(sides) > 1:
        difference(sides)
    for side in sides:
        below(side)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: (
            f"{inspect.getsource(teaching.attention_head)}\n\n{inspect.getsource(teaching.attention_pattern)}"
            f"\n\n{inspect.getsource(teaching.softmax)}"
        ),
        sources=SOURCES,
    )


def sides_of(drawings: Sequence[Drawing]) -> list[Side]:
    """Every run's matrices, on shared scales."""
    measured = [stages_of(drawing) for drawing in drawings]
    limits = shared_limits(*measured)
    return [
        Side(drawing, stages, record_of(drawing, stages, limits))
        for drawing, stages in zip(drawings, measured, strict=True)
    ]


def record_of(drawing: Drawing, stages: Any, limits: Mapping[str, float]) -> HeadStagesRecord:
    return head_stages_record(stages, drawing.texts, limits=limits, **place_of(drawing))


def place_of(drawing: Drawing) -> dict[str, Any]:
    """Where a drawing looks, as the records take it."""
    return {
        "layer": drawing.layer,
        "head": drawing.head,
        "query": drawing.query,
        "key": drawing.chosen_key,
    }


def matrices(side: Side) -> None:
    """The figure of all stages; a click chooses a query, a key, or both."""
    drawing, record = side.drawing, side.record
    live_figure(
        head_stages_figure(record),
        key=drawing.key_figure("stages"),
        provenance=drawing.origin(query=record.query, key=record.key),
        clickable=drawing.clickable,
        on_click=lambda click: choose(record, click),
    )
    st.caption(words.how_to_read(record))
    if blocks := words.block_sentence(record):
        st.caption(blocks)
    if record.stage("q").row_block > 1:
        exact_row(side)


def choose(record: HeadStagesRecord, click: Click) -> None:
    """A click on a cell chooses its query, its key, or both."""
    if isinstance(click.point, tuple) and (stage := trace_stage(record, click.trace)):
        state.set(**record.chosen(stage, click.point))


def exact_row(side: Side) -> None:
    """The selected row, exact for every key, where the matrices show blocks."""
    live_figure(
        attention_row_figure(pattern_of(side)),
        key=side.drawing.key_figure("stages-row"),
        provenance=side.drawing.origin(query=side.record.query),
    )


def pattern_of(side: Side) -> Any:
    """The head's pattern as the other parts of the page record it: for its row in words."""
    stages, drawing = side.stages, side.drawing
    return attention_pattern_record(
        stages.pattern,
        drawing.texts,
        layer=drawing.layer,
        head=drawing.head,
        selected=drawing.query,
        sink=stages.sink,
    )


def below(side: Side) -> None:
    """What the selection says in words, the checks, and why scores are divided."""
    left, right = st.columns(2)
    with column(left, side.drawing):
        story(side)
    with right:
        st.markdown("**Why divide by $\\sqrt{d_\\mathrm{head}}$?**")
        scale(side)
    with left:
        checked(side)  # last: on a long prompt it takes a second or more


def story(side: Side) -> None:
    """What the selected token reads, and what the head adds there."""
    drawing, stages = side.drawing, side.stages
    st.markdown(plain(row_sentence(pattern_of(side))))
    stream = drawing.trace().get("resid_pre_norm", drawing.layer)[drawing.query]
    added = vector_length(stages, drawing.query)
    st.markdown(plain(words.length_sentence(side.record, added, float(stream))))
    shared = words.group_sentence(drawing.head, stages.kv_head, stages.group)
    if shared:
        st.markdown(plain(shared))


def checked(side: Side) -> None:
    """The runtime's own checks of this layer, on this prompt."""
    found = checks_of(side.drawing)
    if found.torch.applies:
        check = found.torch
        said = words.torch_sentence(check.n_values, check.largest_error, check.dtype)
    else:
        said = f"Not compared with torch's scaled_dot_product_attention: {found.torch.reason}"
    st.markdown(f":material/check: {plain(said)}" if found.torch.applies else plain(said))
    n_heads = side.drawing.spec().n_heads
    if found.heads is None:
        st.markdown(plain(words.NO_SUM))
    else:
        st.markdown(f":material/check: {plain(words.heads_sentence(n_heads, found.heads))}")


def checks_of(drawing: Drawing) -> Checks:
    """The checks of a layer, kept beside its trace."""
    from model_runtime.attention.sdpa_check import sdpa_check
    from model_runtime.attention.stages import recombination_error

    model, layer = runtime.model_for(drawing.run), drawing.layer
    return runtime.derived(
        drawing.run,
        ("stages_checks", layer),
        lambda trace: Checks(sdpa_check(trace, layer), recombination_error(model, trace, layer)),
    )


def scale(side: Side) -> None:
    """The selected row under other divisors."""
    drawing, stages = side.drawing, side.stages
    record = scale_effect_record(stages, drawing.texts, drawing.query, stages.sink_logit)
    if record is None:
        st.markdown("This query may read no key at all, so there is nothing to divide.")
        return
    live_figure(
        scale_effect_figure(record),
        key=drawing.key_figure("stages-scale"),
        provenance=drawing.origin("computed", query=drawing.query),
    )
    st.caption(
        "Measured q and k; only the divisor is changed, step by step. Nothing else of the model is run again."
    )


def difference(sides: Sequence[Side]) -> None:
    """Current less pinned, every matrix, where both runs read the same tokens with heads of one shape."""
    current, pinned = sides
    st.subheader("Difference", anchor=False)
    alike = same_tokens([current.drawing, pinned.drawing])
    place = {**place_of(current.drawing), "key": current.record.key}
    record = (
        difference_record(current.stages, pinned.stages, current.drawing.texts, **place) if alike else None
    )
    if record is None:
        st.markdown(
            "The two runs read different tokens, or have heads of different sizes, so no cell of one matrix "
            "means the same as a cell of the other: there is no difference to draw."
        )
        return
    live_figure(
        head_stages_figure(record),
        key="stages-difference",
        provenance=runtime.provenance_of(
            current.drawing.run,
            layer=current.drawing.layer,
            head=current.drawing.head,
            compared_with=pinned.drawing.run,
        ),
    )


def mathematics(side: Side) -> str:
    """The whole head as one formula, with the shapes and the selected cell put in."""
    record, stages = side.record, side.stages
    n, path = len(record.tokens), record.path
    d_head, d_model = record.w_o_shape
    capped = "" if path.capped is None else rf"\; \xrightarrow{{\text{{cap}}}} \; {latex(path.capped)}"
    hidden = "" if path.visible else r" \; \xrightarrow{\text{mask}} \; -\infty"
    return (
        "One head (Vaswani et al. 2017, 3.2.1 and 3.2.2; written per head as in Elhage et al. 2021):\n\n"
        r"$$\mathrm{head}(x) = \mathrm{softmax}\!\left(\mathrm{mask}\!\left("
        r"\frac{q k^\top}{\sqrt{d_\mathrm{head}}}\right)\right) v \, W_O$$"
        "\n\nwith the shapes of this prompt:\n\n"
        f"$${_shaped('q', n, d_head)} \\; {_shaped('k^T', d_head, n)} \\;\\to\\; "
        f"{_shaped('pattern', n, n)} \\; {_shaped('v', n, d_head)} = {_shaped('z', n, d_head)}, \\qquad "
        f"{_shaped('z', n, d_head)} \\; {_shaped('W_O', d_head, d_model)} = "
        f"{_shaped('result', n, d_model)}$$"
        f"\n\nThe selected cell: query {record.query} is {quoted(record.tokens[record.query])}, key "
        f"{record.key} is {quoted(record.tokens[record.key])}, this model multiplies by "
        f"{stages.scaling:.4g}:\n\n"
        rf"$$q \cdot k = {latex(path.dot)} \;\to\; {latex(path.scaled)}{capped}{hidden} \;\to\; "
        rf"p = {latex(path.probability)}$$"
        "\n\nEvery head has its own rows of $W_O$; the results of all heads are added, so what attention "
        "writes into the stream is the sum of what its heads write."
    )


def _shaped(name: str, rows: int, columns: int) -> str:
    """A matrix in a formula, its shape under it."""
    word = rf"\mathrm{{{name}}}" if len(name) > 3 else name
    return rf"\underbrace{{{word}}}_{{{rows} \times {columns}}}"


QUESTION = (
    "On the default model and prompt (L24 H4), choose the query `·that` (7). Its largest scaled score, "
    "2.66, is with the last token, `·Harry` (8), which comes after it. Will this head read it? Predict, then "
    "follow the row on into the mask and the softmax."
)
ANSWER = (
    "No. q kᵀ is computed for every pair, the future too; the mask then puts −∞ in place of 2.66, and "
    "e to that power is 0. What is left is shared out anew: 51.1 % goes to the first `·Harry` (1). In "
    "training every position predicts its next token in the same forward pass, so a token that could read "
    "ahead would copy the answer."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2.1 (scaled
  dot-product attention, and footnote 4 on why to divide) and 3.2.2 (heads, W_O).
- Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864): q and k are turned by position before they
  meet; where this model does so, q and k are shown after it.
- Elhage et al. 2021, [A mathematical framework for transformer circuits][circuits]: W_O head by head, so that
  every head adds to the stream by itself.
- Ainslie et al. 2023, [GQA](https://arxiv.org/abs/2305.13245): heads that share keys and values.

[circuits]: https://transformer-circuits.pub/2021/framework/index.html
"""
