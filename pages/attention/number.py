"""One number: where a single probability of a pattern comes from, every factor on screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime import teaching
from model_runtime.attention.stages import score_terms
from model_runtime.records import HeadStages, ScoreTerms
from pages.attention.cell import choose_cell, stages_of
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from viz.attention.number import words
from viz.attention.number.figure import one_number_figure
from viz.attention.number.record import OneNumber, SoftmaxRow, one_number_record, softmax_row_record
from viz.attention.number.row import softmax_row_figure
from viz.attention.pattern import AttentionPattern, attention_pattern_record
from viz.attention.pattern_map import cell_map_figure
from viz.attention.stages.record import strongest_key


@dataclass(frozen=True, eq=False)
class Cell:
    """One run's cell, taken apart and ready to be drawn."""

    side: Side
    stages: HeadStages
    record: OneNumber
    row: SoftmaxRow
    pattern: AttentionPattern


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    cells = cells_of(sides)
    choose_cell(sides[0], strongest_key(cells[0].stages, sides[0].query))
    if len(cells) == 1:
        alone(cells[0])
    else:
        for place, cell in zip(st.columns(2), cells, strict=True):
            with column(place, cell.side):
                beside(cell)
    return Lesson(
        mathematics=partial(mathematics, cells[0]), code=(teaching.attention_pattern, teaching.softmax)
    )


def cells_of(sides: Sequence[Side]) -> list[Cell]:
    """Every run's cell; figures of two runs have the same scales."""
    measured = [stages_of(side) for side in sides]
    terms = [
        score_terms(stages, side.query, key_of(side, stages))
        for side, stages in zip(sides, measured, strict=True)
    ]
    return [
        cell_of(side, stages, own, terms) for side, stages, own in zip(sides, measured, terms, strict=True)
    ]


def key_of(side: Side, stages: HeadStages) -> int:
    """Position of the chosen key: the one that the query reads most while nobody has chosen one."""
    return strongest_key(stages, side.query) if side.chosen_key is None else side.chosen_key


def cell_of(side: Side, stages: HeadStages, terms: ScoreTerms, all_terms: Sequence[ScoreTerms]) -> Cell:
    """What will be drawn of one run's terms, on the scales of all."""
    spec, layer, head = side.spec, side.layer, side.head
    return Cell(
        side,
        stages,
        one_number_record(
            terms,
            stages,
            side.texts,
            d_rotary=spec.d_rotary if spec.layers[layer].rotates else 0,
            shared_with=all_terms,
        ),
        softmax_row_record(stages, terms, side.texts),
        attention_pattern_record(
            stages.pattern, side.texts, layer=layer, head=head, selected=side.query, sink=stages.sink
        ),
    )


def alone(cell: Cell) -> None:
    """One run: the map and the dot product, then the equation beside the softmax."""
    left, right = st.columns([2, 3])
    with left:
        chooser(cell)
    with right:
        dot_product(cell)
    left, right = st.columns([1, 1])
    with left:
        equation(cell)
    with right:
        softmax(cell)


def beside(cell: Cell) -> None:
    """One of two runs, in its column: figures first, so that they stand in line with the other's."""
    chooser(cell)
    dot_product(cell)
    softmax(cell)
    equation(cell)


def chooser(cell: Cell) -> None:
    """The map; a click chooses query and key."""
    pattern = cell.pattern  # alone in the callback: it is kept between runs of the page
    live_figure(
        cell_map_figure(pattern, cell.record.terms.key_pos),
        key=cell.side.key_figure("number-map"),
        provenance=origin(cell),
        clickable=cell.side.clickable,
        on_click=lambda click: choose_in_map(pattern, click),
    )


def choose_in_map(pattern: AttentionPattern, click: Click) -> None:
    if isinstance(click.point, tuple) and all(0 <= at < pattern.n_cells for at in click.point):
        key, _ = pattern.positions(click.point[1])
        state.set(token=pattern.query_at(click.point), key=key)


def origin(cell: Cell) -> Provenance:
    return cell.side.origin(query=cell.record.terms.query_pos, key=cell.record.terms.key_pos)


def dot_product(cell: Cell) -> None:
    """The two vectors and the terms of their product."""
    live_figure(
        one_number_figure(cell.record), key=cell.side.key_figure("number-terms"), provenance=origin(cell)
    )
    if turned := words.rotation_words(cell.record):
        st.caption(turned)


def softmax(cell: Cell) -> None:
    """The row that the number is a share of; a click on a bar chooses its key."""
    live_figure(
        softmax_row_figure(cell.row),
        key=cell.side.key_figure("number-row"),
        provenance=origin(cell),
        clickable=cell.side.clickable,
        on_click=choose_in_row,
    )


def choose_in_row(click: Click) -> None:
    match click.customdata:
        case [int(key), *_]:
            state.set(key=key)


def equation(cell: Cell) -> None:
    """Every step as a formula with its numbers, and in words."""
    record, stages, terms = cell.record, cell.stages, cell.record.terms
    st.markdown(
        f"**1. Dot product.** The query of {quoted(record.query_text)} times the key of "
        f"{quoted(record.key_text)}, dimension by dimension, added up:\n\n{words.dot_line(record)}"
    )
    st.markdown(f"{words.scale_words(terms, stages.q_handed_over_scaled)}\n\n{words.scale_line(terms)}")
    st.markdown(words.mask_words(terms))
    st.markdown(f"{words.softmax_words(terms)}\n\n{words.softmax_line(terms)}")
    st.markdown(f":material/check: {plain(words.agreement(record, stages.dtype))}")


def mathematics(cell: Cell) -> str:
    """The steps as formulas."""
    record = cell.record
    return (
        "One number of the pattern (Vaswani et al. 2017, 3.2.1), for query $i$ and key $j$:\n\n"
        r"$$p_{ij} = \frac{e^{s_{ij} - m_i}}{\sum_{j' \in V_i} e^{s_{ij'} - m_i}}, \qquad "
        r"s_{ij} = \frac{1}{\sqrt{d_\mathrm{head}}} \sum_{t=0}^{d_\mathrm{head}-1} q_{it}\, k_{jt}, \qquad "
        r"m_i = \max_{j' \in V_i} s_{ij'}$$"
        f"\n\n$V_i$ are the keys that query $i$ may read, here {record.terms.n_visible:,} of "
        f"{len(cell.side.texts):,}. "
        r"Taking off $m_i$ changes nothing: $\frac{e^{a-m}}{e^{b-m}} = \frac{e^a}{e^b}$. Without it, a score "
        r"of 89 would be too large a power for float32, and one of 11.1 for float16."
        "\n\nWith RoPE (Su et al. 2021) the sum depends on the two positions only by their distance: every "
        r"pair of dimensions is turned by $i\,\theta$ in q and by $j\,\theta$ in k, and so the angle between "
        r"them by $(i-j)\,\theta$."
    )
