"""All heads: every head at a glance, one head's pattern in detail, and what happens without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from model_runtime import teaching
from model_runtime.errors import PointUnavailable
from model_runtime.interventions import ScaleHead
from model_runtime.records import HeadMeasures
from model_runtime.records.counts import counted
from pages.attention.head_difference import difference
from pages.attention.head_kinds import choose_head, example_button, list_of_kinds
from pages.attention.head_switch import effect, heads_off, switch
from pages.attention.head_worth import (
    asks,
    back_to_likeliest,
    fill,
    is_done,
    whole_worth,
    worth_overview,
    worth_so_far,
    worth_words,
)
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.opening import measures_for, open_measure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN, STRONGEST_KEY
from viz.attention.head_grid import head_grid_figure, head_grid_record
from viz.attention.heads import CHOICES, MEASURES, WORTH, findings, shared_top, values_of
from viz.attention.pattern import AttentionPattern, attention_pattern_record, row_sentence, strongest_keys
from viz.attention.pattern_map import attention_pattern_figure, attention_row_figure
from viz.attention.softmax_fraction import softmax_fraction
from viz.attention.worth import worth_top
from viz.equations import tex, worked

MANY_HEADS = 16  # more, and the overview gets half of the page


@dataclass(frozen=True, eq=False)
class HeadPattern:
    """The pattern of one run's head, at its selection."""

    side: Side
    pattern: AttentionPattern

    @property
    def place(self) -> tuple[int, int]:
        return self.side.layer, self.side.head


def pattern_of(side: Side) -> HeadPattern:
    """What the chosen head of a run reads."""
    layer, head = side.layer, side.head
    record = attention_pattern_record(
        side.trace.get("pattern", layer, head),
        side.texts,
        layer=layer,
        head=head,
        selected=side.query,
        sink=sink_of(side),
        off=ScaleHead(layer, head) in side.run.interventions,
        key=side.chosen_key,
    )
    return HeadPattern(side, record)


def sink_of(side: Side) -> np.ndarray | None:
    """What each query pays to a learned sink, [query_pos], or None where the model has none."""
    try:
        return side.trace.get("sink_weight", side.layer, side.head)
    except PointUnavailable:
        return None


def controls(side: Side) -> str:
    """The measure that colours the overview (returned), with what it answers, and the switch."""
    st.segmented_control(
        "Colour the heads by",
        [*CHOICES],
        format_func=lambda key: CHOICES[key].name,
        required=True,
        wrap=True,  # seven names do not fit into a line of a phone
        label_visibility="collapsed",
        **state.bound("measure"),
    )
    measure: str = state.get("measure")
    words, turns = st.columns([3, 1], vertical_alignment="center")
    words.caption(
        asks(side.run) if measure == WORTH.key else f"{CHOICES[measure].name}: {CHOICES[measure].asks}"
    )
    with turns:
        if measure == WORTH.key:
            back_to_likeliest(side.run)
        switch(side.layer, side.head)
    return measure


def show_pattern(found: HeadPattern) -> None:
    """The map of the chosen head; a click on a cell chooses its query and its key."""
    side, record = found.side, found.pattern

    def chosen(click: Click) -> None:
        if isinstance(click.point, tuple):
            query, key = record.cell_at(click.point)
            state.set(token=LAST_TOKEN if query == len(record.tokens) - 1 else query, key=key)

    live_figure(
        attention_pattern_figure(record),
        key=side.key_figure("pattern"),
        provenance=side.origin(),
        clickable=side.clickable,
        on_click=chosen,
    )


def row_words(found: HeadPattern) -> None:
    """The selected row in one sentence, and bar by bar where the map shows blocks."""
    side, record = found.side, found.pattern
    st.markdown(plain(row_sentence(record)))
    if side.clickable:
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
        key=side.key_figure("row"),
        provenance=side.origin(query=record.selected),
    )


def overview(found: HeadPattern, measures: HeadMeasures, measure: str, top: float) -> None:
    """The grid of heads; a click chooses one."""
    side, (layer, head) = found.side, found.place
    values = values_of(measures, measure)
    record = head_grid_record(values, measure, layer=layer, head=head, top=top, off=heads_off(side.run))
    live_figure(
        head_grid_figure(record),
        key=side.key_figure("heads"),
        provenance=side.origin(),
        clickable=side.clickable,
        on_click=choose_head,
        leads_to=side.key_figure("pattern"),
    )
    if not side.clickable:
        return
    if record.strongest is None:
        example_button(measure, "overview", "Open an example that shows it")
    else:
        to_strongest(record.strongest, here=found.place)


def overview_of_worth(found: HeadPattern) -> None:
    """The grid of one run's sweep, or as much of it as there is, and what the chosen head is worth."""
    side = found.side
    worth = worth_so_far(side.run)
    if worth is None or not is_done(side.run):
        fill(side)
    else:
        record = worth_overview(side, worth, worth_top(worth.change))
        if record.strongest is not None:
            to_strongest(record.strongest, here=found.place)
    worth_words(side, worth)


def to_strongest(best: tuple[int, int], here: tuple[int, int]) -> None:
    """A way to the head that does most of what is measured."""
    st.button(
        f"Go to the strongest, L{best[0]} H{best[1]}",
        width="stretch",
        disabled=best == here,
        on_click=state.set,
        kwargs={"layer": best[0], "head": best[1]},
    )


def head_words(found: HeadPattern, measures: HeadMeasures, measure: str) -> None:
    """What kind of head this is on this prompt, and its value of the measure on screen."""
    layer, head = found.place
    kinds = findings(measures, layer, head, off=found.pattern.off)
    for sentence in kinds.values():
        st.markdown(plain(sentence))
    if measure == WORTH.key:
        return
    value = float(values_of(measures, measure)[layer, head])
    if measure not in kinds and value == value:  # not NaN: the prompt can tell
        st.markdown(
            f"{MEASURES[measure].name} of L{layer} H{head}: {plain(MEASURES[measure].written(value))}."
        )


def alone(found: HeadPattern, measure: str) -> None:
    """One run: the overview on the left, the chosen head on the right. The map is made first: it needs one
    head, the overview all of them."""
    many = found.side.spec.n_heads > MANY_HEADS
    widths = [1, 1] if many else [2, 3] if state.get("text") == "large" else [1, 2]
    heads, map_ = st.columns(widths)
    with map_:
        show_pattern(found)
        row_words(found)
    below = st.container()
    with heads:
        if measure == WORTH.key:
            overview_of_worth(found)
        measures = measures_for(found.side.run)
        if measure != WORTH.key:
            overview(found, measures, measure, shared_top(measure, measures))
        head_words(found, measures, measure)
    with below:
        list_of_kinds((found.side,), (measures,))


def beside(several: Sequence[HeadPattern], measure: str) -> None:
    """Two runs side by side on shared scales, then their difference where the tokens are the same."""
    columns = st.columns(2)
    for place, found in zip(columns, several, strict=True):
        with column(place, found.side):
            show_pattern(found)
    sides = [found.side for found in several]
    measured = tuple(measures_for(side.run) for side in sides)
    worths = [whole_worth(side.run) for side in sides] if measure == WORTH.key else []
    values = [worth.change for worth in worths] or [values_of(measures, measure) for measures in measured]
    top = worth_top(*values) if worths else shared_top(measure, *measured)
    for at, (place, found, measures) in enumerate(zip(columns, several, measured, strict=True)):
        with place:  # the words come last: two texts of unequal length would push the figures out of line
            if worths:
                worth_overview(found.side, worths[at], top)
                worth_words(found.side, worths[at])
            else:
                overview(found, measures, measure, top)
            row_words(found)
            head_words(found, measures, measure)
            if not found.side.clickable:
                effect(found.side)
    difference(sides, values, CHOICES[measure])
    list_of_kinds(sides, measured)


def mathematics(found: HeadPattern) -> str:
    """Scaled dot-product attention with the numbers of the selected query and its key: the chosen one, or
    the one it reads most."""
    side, pattern, query = found.side, found.pattern, found.side.query
    key = strongest_keys(pattern, 1)[0][0] if pattern.key is None else pattern.key
    probability = pattern.row[key]
    scores = side.trace.get("attn_scores", side.layer, side.head)[query]
    fraction = softmax_fraction(scores, key, pattern.sink)
    parts = fraction.numerator, fraction.denominator
    line = worked(probability, lambda part, whole: part / whole, *parts, least=4, words=tex)
    return (
        "One head compares the query of each token with the keys of all tokens up to it, and reads their "
        "values in proportion (Vaswani et al. 2017):\n\n"
        r"$$s_{qk} = \frac{q \cdot k}{\sqrt{d_\mathrm{head}}}, \qquad "
        r"p_{qk} = \frac{e^{s_{qk} - \max s_q}}{\sum_{j \le q} e^{s_{qj} - \max s_q}}, \qquad "
        r"z_q = \sum_{k \le q} p_{qk} v_k$$"
        f"\n\nHere query {query} is {quoted(pattern.tokens[query])} and key {key} is "
        f"{quoted(pattern.tokens[key])}, with $d_\\mathrm{{head}} = {side.spec.d_head}$:\n\n"
        rf"$$s = {tex(fraction.score)}, \quad \max s_q = {tex(fraction.top)}, \quad "
        rf"p = \frac{{{line.tex(parts[0])}}}{{{line.tex(parts[1])}}} {line.tex_sign} {tex(probability)}$$"
        f"\n\nThe sum runs over the {counted(fraction.n_keys, 'token')} this query may read. (Some families "
        "scale differently, cap the scores, or add a learned sink to the sum; the numbers are as this model "
        "used them.)"
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    several, first = [pattern_of(side) for side in sides], sides[0]
    open_measure(first.run, first.layer, first.head)
    measure = controls(first)
    effect(first)
    if len(several) == 1:
        alone(several[0], measure)
    else:
        beside(several, measure)
    return Lesson(
        mathematics=partial(mathematics, several[0]), code=(teaching.attention_pattern, teaching.softmax)
    )
