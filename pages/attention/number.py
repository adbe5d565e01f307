"""One number: where a single probability of a pattern comes from, every factor on screen."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from model_runtime import teaching
from pages.attention.cell import choose_cell, stages_of
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.settings import url_state as state
from viz.attention.number import words
from viz.attention.number.figure import score_terms_figure
from viz.attention.number.map import cell_map_figure
from viz.attention.number.record import ScoreTerms, SoftmaxRow, score_terms_record, softmax_row_record
from viz.attention.number.row import softmax_row_figure
from viz.attention.pattern import AttentionPattern, attention_pattern_record
from viz.attention.stages.record import strongest_key


@dataclass(frozen=True, eq=False)
class Side:
    """One run's cell, taken apart and ready to be drawn."""

    drawing: Drawing
    stages: Any  # model_runtime.attention.stages.HeadStages
    record: ScoreTerms
    row: SoftmaxRow
    pattern: AttentionPattern


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    sides = sides_of(drawings)
    choose_cell(drawings[0], strongest_key(sides[0].stages, drawings[0].query))
    if len(sides) == 1:
        alone(sides[0])
    else:
        for place, side in zip(st.columns(2), sides, strict=True):
            with column(place, side.drawing):
                beside(side)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: (
            f"{inspect.getsource(teaching.attention_pattern)}\n\n{inspect.getsource(teaching.softmax)}"
        ),
        sources=SOURCES,
    )


def sides_of(drawings: Sequence[Drawing]) -> list[Side]:
    """Every run's cell; figures of two runs have the same scales."""
    measured = [stages_of(drawing) for drawing in drawings]
    terms = [terms_of(drawing, stages) for drawing, stages in zip(drawings, measured, strict=True)]
    return [
        side_of(drawing, stages, own, terms)
        for drawing, stages, own in zip(drawings, measured, terms, strict=True)
    ]


def terms_of(drawing: Drawing, stages: Any) -> Any:
    """The terms of the chosen cell (`model_runtime.attention.stages.ScoreTerms`)."""
    from model_runtime.attention.stages import score_terms

    return score_terms(stages, drawing.query, key_of(drawing, stages))


def key_of(drawing: Drawing, stages: Any) -> int:
    """Position of the chosen key: the one that the query reads most while nobody has chosen one."""
    return strongest_key(stages, drawing.query) if drawing.chosen_key is None else drawing.chosen_key


def side_of(drawing: Drawing, stages: Any, terms: Any, all_terms: Sequence[Any]) -> Side:
    spec, layer, head = drawing.spec(), drawing.layer, drawing.head
    place: dict[str, Any] = {"layer": layer, "head": head}
    return Side(
        drawing,
        stages,
        score_terms_record(
            terms,
            drawing.texts,
            measured=float(stages.pattern[drawing.query, terms.key_pos]),
            d_rotary=spec.d_rotary if spec.layers[layer].rotates else 0,
            shared_with=all_terms,
            **place,
        ),
        softmax_row_record(stages, terms, drawing.texts),
        attention_pattern_record(
            stages.pattern, drawing.texts, selected=drawing.query, sink=stages.sink, **place
        ),
    )


def alone(side: Side) -> None:
    """One run: the map and the dot product, then the equation beside the softmax."""
    left, right = st.columns([2, 3])
    with left:
        chooser(side)
    with right:
        dot_product(side)
    left, right = st.columns([1, 1])
    with left:
        equation(side)
    with right:
        softmax(side)


def beside(side: Side) -> None:
    """One of two runs, in its column: figures first, so that they stand in line with the other's."""
    chooser(side)
    dot_product(side)
    softmax(side)
    equation(side)


def chooser(side: Side) -> None:
    """The map; a click chooses query and key."""
    live_figure(
        cell_map_figure(side.pattern, side.record.key),
        key=side.drawing.key_figure("number-map"),
        provenance=origin(side),
        clickable=side.drawing.clickable,
        on_click=lambda click: choose_in_map(side.pattern, click),
    )


def choose_in_map(pattern: AttentionPattern, click: Click) -> None:
    if isinstance(click.point, tuple) and all(0 <= at < pattern.n_cells for at in click.point):
        key, _ = pattern.positions(click.point[1])
        state.set(token=pattern.query_at(click.point), key=key)


def origin(side: Side) -> Any:
    return side.drawing.origin(query=side.record.query, key=side.record.key)


def dot_product(side: Side) -> None:
    """The two vectors and the terms of their product."""
    live_figure(
        score_terms_figure(side.record), key=side.drawing.key_figure("number-terms"), provenance=origin(side)
    )
    if turned := words.rotation_words(side.record):
        st.caption(turned)


def softmax(side: Side) -> None:
    """The row that the number is a share of; a click on a bar chooses its key."""
    live_figure(
        softmax_row_figure(side.row),
        key=side.drawing.key_figure("number-row"),
        provenance=origin(side),
        clickable=side.drawing.clickable,
        on_click=choose_in_row,
    )


def choose_in_row(click: Click) -> None:
    match click.customdata:
        case [int(key), *_]:
            state.set(key=key)


def equation(side: Side) -> None:
    """Every step as a formula with its numbers, and in words."""
    record, stages = side.record, side.stages
    st.markdown(
        f"**1. Dot product.** The query of {quoted(record.query_text)} times the key of "
        f"{quoted(record.key_text)}, dimension by dimension, added up:\n\n{words.dot_line(record)}"
    )
    st.markdown(f"{words.scale_words(record, stages.q_handed_over_scaled)}\n\n{words.scale_line(record)}")
    st.markdown(words.mask_words(record))
    st.markdown(f"{words.softmax_words(record)}\n\n{words.softmax_line(record)}")
    st.markdown(f":material/check: {plain(words.agreement(record, stages.dtype))}")


def mathematics(side: Side) -> str:
    """The steps as formulas."""
    record = side.record
    return (
        "One number of the pattern (Vaswani et al. 2017, 3.2.1), for query $i$ and key $j$:\n\n"
        r"$$p_{ij} = \frac{e^{s_{ij} - m_i}}{\sum_{j' \in V_i} e^{s_{ij'} - m_i}}, \qquad "
        r"s_{ij} = \frac{1}{\sqrt{d_\mathrm{head}}} \sum_{t=0}^{d_\mathrm{head}-1} q_{it}\, k_{jt}, \qquad "
        r"m_i = \max_{j' \in V_i} s_{ij'}$$"
        f"\n\n$V_i$ are the keys that query $i$ may read, here {record.n_visible:,} of "
        f"{len(side.drawing.texts):,}. "
        r"Taking off $m_i$ changes nothing: $\frac{e^{a-m}}{e^{b-m}} = \frac{e^a}{e^b}$. Without it, a score "
        r"of 89 would be too large a power for float32, and one of 11.1 for float16."
        "\n\nWith RoPE (Su et al. 2021) the sum depends on the two positions only by their distance: every "
        r"pair of dimensions is turned by $i\,\theta$ in q and by $j\,\theta$ in k, and so the angle between "
        r"them by $(i-j)\,\theta$."
    )


QUESTION = (
    "On the default model and prompt (L24 H4), the last `·Harry` scores `·Potter` with 4.84 and `When` with "
    "2.49. How many times as much does it read `·Potter`? Predict from the two scores alone, then choose "
    "`When` as the key and compare."
)
ANSWER = (
    "About 10.5 times: 82.8 % against 7.90 %. Softmax turns differences of scores into ratios of "
    "probabilities: $e^{4.84 - 2.49} = e^{2.35} \\approx 10.5$, whatever the other keys are. That is why the "
    "scale matters: without the division the difference would be $8 \\times 2.35 = 18.8$, and the ratio "
    "about 150 million."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2.1: the formula.
- Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864): which dimensions are turned together. This
  family's models pair i with i + d/2, the paper i with i + 1: the same but for the order of dimensions.
- Blanchard, Higham and Higham 2021, [Accurately computing the log-sum-exp and softmax functions][softmax]:
  why the largest score is taken off.

[softmax]: https://doi.org/10.1093/imanum/draa038
"""
