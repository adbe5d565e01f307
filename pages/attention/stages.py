"""Step by step: one head from queries and keys to what it adds to the stream, every matrix real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime import teaching
from model_runtime.attention.sdpa_check import layer_checks
from model_runtime.interventions import ScaleHead
from model_runtime.records import HeadStages
from pages.attention.cell import choose_cell, stages_of
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places, same_tokens
from pages.shared.settings import url_state as state
from viz.attention.pattern import AttentionPattern, attention_pattern_record, row_sentence
from viz.attention.pattern_map import attention_row_figure
from viz.attention.stages import words
from viz.attention.stages.figure import head_stages_figure, trace_stage
from viz.attention.stages.record import (
    HeadStagesRecord,
    difference_record,
    head_stages_record,
    shared_limits,
    strongest_key,
    vector_length,
)
from viz.attention.stages.scale import scale_effect_figure, scale_effect_record
from viz.equations import tex


@dataclass(frozen=True, eq=False)
class Head:
    """One run's head, taken apart and ready to be drawn."""

    side: Side
    stages: HeadStages
    record: HeadStagesRecord


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    heads = heads_of(sides)
    choose_cell(sides[0], strongest_key(heads[0].stages, sides[0].query))
    for place, head in zip(places(sides), heads, strict=True):
        with column(place, head.side):
            matrices(head)
    if len(heads) > 1:
        difference(heads)
    for head in heads:
        below(head)
    return Lesson(
        mathematics=partial(mathematics, heads[0]),
        code=(teaching.attention_head, teaching.attention_pattern, teaching.softmax),
    )


def heads_of(sides: Sequence[Side]) -> list[Head]:
    """Every run's matrices, on shared scales."""
    measured = [stages_of(side) for side in sides]
    limits = shared_limits(*measured)
    return [
        Head(
            side,
            stages,
            head_stages_record(stages, side.texts, query=side.query, key=side.chosen_key, limits=limits),
        )
        for side, stages in zip(sides, measured, strict=True)
    ]


def matrices(head: Head) -> None:
    """The figure of all stages; a click chooses a query, a key, or both."""
    side, record = head.side, head.record
    live_figure(
        head_stages_figure(record),
        key=side.key_figure("stages"),
        provenance=side.origin(query=record.query, key=record.key),
        clickable=side.clickable,
        on_click=lambda click: choose(record, click),
    )
    st.caption(words.how_to_read(record))
    if blocks := words.block_sentence(record):
        st.caption(blocks)
    if record.stage("q").row_block > 1:
        exact_row(head)


def choose(record: HeadStagesRecord, click: Click) -> None:
    """A click on a cell chooses its query, its key, or both."""
    if isinstance(click.point, tuple) and (stage := trace_stage(record, click.trace)):
        state.set(**record.chosen(stage, click.point))


def exact_row(head: Head) -> None:
    """The selected row, exact for every key, where the matrices show blocks."""
    live_figure(
        attention_row_figure(pattern_of(head)),
        key=head.side.key_figure("stages-row"),
        provenance=head.side.origin(query=head.record.query),
    )


def pattern_of(head: Head) -> AttentionPattern:
    """The head's pattern as the other parts of the page record it: for its row in words."""
    stages, side = head.stages, head.side
    return attention_pattern_record(
        stages.pattern,
        side.texts,
        layer=side.layer,
        head=side.head,
        selected=side.query,
        sink=stages.sink,
        off=ScaleHead(side.layer, side.head) in side.run.interventions,
    )


def below(head: Head) -> None:
    """What the selection says in words, the checks, and why scores are divided."""
    left, right = st.columns(2)
    with column(left, head.side):
        story(head)
    with right:
        st.markdown("**Why divide by $\\sqrt{d_\\mathrm{head}}$?**")
        scale(head)
    with left:
        checked(head)  # last: on a long prompt it takes a second or more


def story(head: Head) -> None:
    """What the selected token reads, and what the head adds there."""
    side, stages = head.side, head.stages
    st.markdown(plain(row_sentence(pattern_of(head))))
    stream = side.trace.get("resid_pre_norm", side.layer)[side.query]
    added = vector_length(stages, side.query)
    st.markdown(plain(words.length_sentence(head.record, added, float(stream))))
    shared = words.group_sentence(side.head, stages.kv_head, stages.group)
    if shared:
        st.markdown(plain(shared))


def checked(head: Head) -> None:
    """The runtime's own checks of this layer, on this prompt."""
    found = head.side.run.measure(layer_checks, layer=head.side.layer)
    if found.torch.applies:
        check = found.torch
        said = words.torch_sentence(check.n_values, check.largest_error, check.dtype)
    else:
        said = f"Not compared with torch's scaled_dot_product_attention: {found.torch.reason}"
    st.markdown(f":material/check: {plain(said)}" if found.torch.applies else plain(said))
    if found.heads is None:
        st.markdown(plain(words.NO_SUM))
    else:
        st.markdown(f":material/check: {plain(words.heads_sentence(head.side.spec.n_heads, found.heads))}")


def scale(head: Head) -> None:
    """The selected row under other divisors."""
    side, stages = head.side, head.stages
    record = scale_effect_record(stages, side.texts, side.query, stages.sink_logit)
    if record is None:
        st.markdown("This query may read no key at all, so there is nothing to divide.")
        return
    live_figure(
        scale_effect_figure(record),
        key=side.key_figure("stages-scale"),
        provenance=side.origin("computed", query=side.query),
    )
    st.caption(
        "Measured q and k; only the divisor is changed, step by step. Nothing else of the model is run again."
    )


def difference(heads: Sequence[Head]) -> None:
    """Current less pinned, every matrix, where both runs read the same tokens with heads of one shape."""
    current, pinned = heads
    st.subheader("Difference", anchor=False)
    side, record = current.side, None
    if same_tokens([side, pinned.side]):
        place = {"query": side.query, "key": current.record.key}
        record = difference_record(current.stages, pinned.stages, side.texts, **place)
    if record is None:
        st.markdown(
            "The two runs read different tokens, or have heads of different sizes, so no cell of one matrix "
            "means the same as a cell of the other: there is no difference to draw."
        )
        return
    live_figure(
        head_stages_figure(record),
        key="stages-difference",
        provenance=side.origin(compared_with=pinned.side.run),
    )


def mathematics(head: Head) -> str:
    """The whole head as one formula, with the shapes and the selected cell put in."""
    record, stages = head.record, head.stages
    n, path = len(record.tokens), record.path
    d_head, d_model = record.w_o_shape
    capped = "" if path.capped is None else rf"\; \xrightarrow{{\text{{cap}}}} \; {tex(path.capped)}"
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
        f"${tex(stages.scaling)}$:\n\n"
        rf"$$q \cdot k = {tex(path.dot)} \;\to\; {tex(path.scaled)}{capped}{hidden} \;\to\; "
        rf"p = {tex(path.probability)}$$"
        "\n\nEvery head has its own rows of $W_O$; the results of all heads are added, so what attention "
        "writes into the stream is the sum of what its heads write."
    )


def _shaped(name: str, rows: int, columns: int) -> str:
    """A matrix in a formula, its shape under it."""
    word = rf"\mathrm{{{name}}}" if len(name) > 3 else name
    return rf"\underbrace{{{word}}}_{{{rows} \times {columns}}}"
