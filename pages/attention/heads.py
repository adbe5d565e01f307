"""All heads: every head at a glance, one head's pattern in detail, and what happens without it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from model_runtime import teaching
from model_runtime.errors import PointUnavailable
from model_runtime.interventions import ScaleHead
from pages.attention import heads_words
from pages.attention.head_difference import difference
from pages.attention.head_kinds import choose_head, example_button, list_of_kinds
from pages.attention.head_switch import effect, heads_off, switch
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.opening import measures_for, open_measure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN, STRONGEST_KEY
from viz.attention.head_grid import head_grid_figure, head_grid_record
from viz.attention.heads import MEASURES, Measures, findings, shared_top
from viz.attention.pattern import AttentionPattern, attention_pattern_record, row_sentence, strongest_keys
from viz.attention.pattern_map import attention_pattern_figure, attention_row_figure

MANY_HEADS = 16  # more, and the overview gets half of the page


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part."""

    drawing: Drawing
    pattern: AttentionPattern

    @property
    def place(self) -> tuple[int, int]:
        return self.drawing.layer, self.drawing.head


def side_of(drawing: Drawing) -> Side:
    """The pattern of a run at its selection."""
    run, layer, head = drawing.run, drawing.layer, drawing.head
    record = attention_pattern_record(
        drawing.trace().get("pattern", layer, head),
        drawing.texts,
        layer=layer,
        head=head,
        selected=drawing.query,
        sink=sink_of(drawing),
        off=ScaleHead(layer, head) in run.edits,
        key=drawing.chosen_key,
    )
    return Side(drawing, record)


def sink_of(drawing: Drawing) -> Any:
    """What each query pays to a learned sink, [query_pos], or None where the model has none."""
    try:
        return drawing.trace().get("sink_weight", drawing.layer, drawing.head)
    except PointUnavailable:
        return None


def controls(view: View) -> str:
    """The measure that colours the overview (returned), with what it answers, and the switch."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Colour the heads by",
            [*MEASURES],
            format_func=lambda key: MEASURES[key].name,
            required=True,
            wrap=True,  # six names do not fit into a line of a phone
            **state.bound("measure"),
        )
        switch(view.layer, view.head)
    measure: str = state.get("measure")
    st.caption(f"{MEASURES[measure].name}: {MEASURES[measure].asks}")
    return measure


def pattern(side: Side) -> None:
    """The map of the chosen head; a click on a cell chooses its query and its key."""
    drawing, record = side.drawing, side.pattern
    n_tokens = len(record.tokens)
    cells = [
        [*zip(*lines, strict=True)]
        for lines in zip(record.strongest_query, record.strongest_key, strict=True)
    ]

    def chosen(click: Click) -> None:
        if isinstance(click.point, tuple):
            query, key = cells[click.point[0]][click.point[1]]
            state.set(token=LAST_TOKEN if query == n_tokens - 1 else query, key=key)

    live_figure(
        attention_pattern_figure(record),
        key=drawing.key_figure("pattern"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=chosen,
    )


def row_words(side: Side) -> None:
    """The selected row in one sentence, and bar by bar where the map shows blocks."""
    drawing, record = side.drawing, side.pattern
    st.markdown(plain(row_sentence(record)))
    if drawing.clickable:
        key = strongest_keys(record, 1)[0][0] if record.key is None else record.key
        with st.container(horizontal=True):
            st.button(
                "Where does this number come from? →",
                on_click=state.set,
                kwargs={"part": "number", "key": key},
            )
            if record.key is not None:
                st.button("Let the chosen cell go", on_click=state.set, kwargs={"key": STRONGEST_KEY})
    if record.block == 1:
        return
    st.caption(
        f"{len(record.tokens):,} tokens are more than the map has cells, so each cell shows the largest of "
        f"{record.block} × {record.block} probabilities; a click chooses that one. This row is exact:"
    )
    live_figure(
        attention_row_figure(record),
        key=drawing.key_figure("row"),
        provenance=drawing.origin(query=record.selected),
    )


def overview(side: Side, measures: Measures, measure: str, top: float) -> None:
    """The grid of heads; a click chooses one."""
    drawing, (layer, head) = side.drawing, side.place
    values = measures.of(measure)
    record = head_grid_record(values, measure, layer=layer, head=head, top=top, off=heads_off(drawing.run))
    live_figure(
        head_grid_figure(record),
        key=drawing.key_figure("heads"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=choose_head,
    )
    if not drawing.clickable:
        return
    if record.strongest is None:
        example_button(measure, "overview", "Open an example that shows it")
    else:
        to_strongest(record.strongest, here=side.place)


def to_strongest(best: tuple[int, int], here: tuple[int, int]) -> None:
    """A way to the head that does most of what is measured."""
    st.button(
        f"Go to the strongest, L{best[0]} H{best[1]}",
        width="stretch",
        disabled=best == here,
        on_click=state.set,
        kwargs={"layer": best[0], "head": best[1]},
    )


def head_words(side: Side, measures: Measures, measure: str) -> None:
    """What kind of head this is on this prompt, and its value of the measure on screen."""
    layer, head = side.place
    found = findings(measures, layer, head)
    for sentence in found.values():
        st.markdown(plain(sentence))
    value = float(measures.of(measure)[layer, head])
    if measure not in found and value == value:  # not NaN: the prompt can tell
        st.markdown(
            f"{MEASURES[measure].name} of L{layer} H{head}: {plain(MEASURES[measure].written(value))}."
        )


def alone(side: Side, measure: str) -> None:
    """One run: the overview on the left, the chosen head on the right. The map is made first: it needs one
    head, the overview all of them."""
    many = side.drawing.spec().n_heads > MANY_HEADS
    widths = [1, 1] if many else [2, 3] if state.get("text") == "large" else [1, 2]
    heads, map_ = st.columns(widths)
    with map_:
        pattern(side)
        row_words(side)
    below = st.container()
    with heads:
        measures = measures_for(side.drawing.run)
        overview(side, measures, measure, shared_top(measure, measures))
        head_words(side, measures, measure)
    with below:
        list_of_kinds((side.drawing,), (measures,))


def beside(sides: Sequence[Side], measure: str) -> None:
    """Two runs side by side on shared scales, then their difference where the tokens are the same."""
    columns = st.columns(2)
    for place, side in zip(columns, sides, strict=True):
        with column(place, side.drawing):
            pattern(side)
    several = tuple(measures_for(side.drawing.run) for side in sides)
    top = shared_top(measure, *several)
    for place, side, measures in zip(columns, sides, several, strict=True):
        with place:  # the words come last: two texts of unequal length would push the figures out of line
            overview(side, measures, measure, top)
            row_words(side)
            head_words(side, measures, measure)
            if not side.drawing.clickable:
                effect(side.drawing.run, *side.place)
    drawings = [side.drawing for side in sides]
    difference(drawings, several, measure)
    list_of_kinds(drawings, several)


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    sides = [side_of(drawing) for drawing in drawings]
    first = sides[0].drawing
    open_measure(first.run, first.layer, first.head)
    measure = controls(view)
    effect(first.run, first.layer, first.head)
    if len(sides) == 1:
        alone(sides[0], measure)
    else:
        beside(sides, measure)
    return Lesson(
        heads_words.QUESTION,
        heads_words.ANSWER,
        mathematics=lambda: heads_words.mathematics(first, sides[0].pattern),
        code=lambda: (
            f"{inspect.getsource(teaching.attention_pattern)}\n\n{inspect.getsource(teaching.softmax)}"
        ),
        sources=heads_words.SOURCES,
    )
