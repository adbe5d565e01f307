"""Figures of what experts added, and of which is missed most."""

from __future__ import annotations

from types import SimpleNamespace as Fake

import numpy as np

from model_runtime.sampling.greedy import parting
from viz import style
from viz.moe.effects import effect_grid_figure, effect_grid_record, effect_sentence, effect_top
from viz.moe.experts import (
    chosen_sentence,
    cosines_sentence,
    expert_cosines_figure,
    expert_cosines_record,
    expert_shares_figure,
    expert_shares_record,
    share_ends,
)


def shares(chosen: int = 3, gate: float | None = None):  # type: ignore[no-untyped-def]
    parts = np.array([0.9, 0.3, -0.2] if gate is not None else [0.8, 0.2])
    lengths = np.array([0.6, 0.2, 0.2] if gate is not None else [0.7, 0.3])
    return expert_shares_record(
        (3, 5),
        (0.7, 0.3),
        parts,
        lengths,
        text=" dog",
        position=8,
        layer=2,
        chosen=chosen,
        shared_gate=gate,
    )


def test_bars_of_the_sum_marks_of_the_lengths() -> None:
    drawn = expert_shares_figure(shares())
    bars, marks = drawn.figure.data
    assert list(bars.x) == [0.8, 0.2]
    assert list(marks.x) == [0.7, 0.3]
    assert list(bars.marker.color) == [style.category(3), style.category(5)]
    assert list(bars.marker.line.width) == [3, 0]
    assert drawn.figure.layout.title.text == "L2: E3 makes 80.0\xa0% of the MLP output"
    assert drawn.figure.layout.yaxis.ticktext[0] == "<b>E3</b>, weight 70.0\xa0%"


def test_a_shared_expert_has_a_row_with_its_gate_and_a_part_against_the_sum_is_below_zero() -> None:
    record = shares(gate=0.4)
    drawn = expert_shares_figure(record)
    assert record.names == ("E3", "E5", "shared")
    assert drawn.figure.layout.yaxis.ticktext[2] == "shared, gate 40.0\xa0%"
    assert drawn.figure.layout.xaxis.range[0] < -0.2
    assert list(drawn.figure.data[0].customdata) == [3, 5, -1]


def test_an_expert_that_was_not_asked_added_nothing() -> None:
    assert "was not asked for this token, so it added nothing" in chosen_sentence(shares(chosen=6), 1.5)
    assert "1.50 times the length" in chosen_sentence(shares(chosen=6), 1.5)
    assert "weight 70.0\xa0%" in chosen_sentence(shares(), None)


def test_a_common_axis_holds_every_part() -> None:
    assert share_ends(np.array([0.2, 0.8]), np.array([-0.4, 1.4])) == (-0.4, 1.4)
    assert share_ends(np.array([0.2, 0.8])) == (0.0, 1.0)


def test_cosines_are_framed_where_experts_were_asked() -> None:
    cosines = np.array([[1, 0.5, 0], [0.5, 1, -1], [0, -1, 1]], dtype=float)
    record = expert_cosines_record((4, 1, 0), 2, cosines, text="x", layer=1)
    figure = expert_cosines_figure(record).figure
    assert record.pairs == [0.5]
    assert list(figure.layout.xaxis.ticktext) == ["<b>E4</b>", "<b>E1</b>", "E0"]
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (-0.5, 1.5)
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-1, 1)
    assert "have the cosine 0.500" in cosines_sentence(record)
    alone = expert_cosines_record((4,), 1, np.ones((1, 1)), text="x", layer=1)
    assert "nothing to compare" in cosines_sentence(alone)
    expert_cosines_figure(alone)


def test_where_two_texts_part() -> None:
    def text(*ids: int):  # type: ignore[no-untyped-def]
        return [Fake(token=Fake(id=i)) for i in ids]

    assert parting(text(1, 2, 3), text(1, 5, 3)) == 1
    assert parting(text(1, 2), text(1, 2)) is None
    assert parting(text(1, 2), text(1)) == 1
    assert parting([], []) is None


def test_the_grid_of_effects_crosses_what_was_not_asked() -> None:
    values = np.array([[0.1, np.nan], [0.5, 0.0]])
    record = effect_grid_record(values, (0, 2), n_layers=3, layer=0, expert=1)
    assert record.values == ((0.1, None), None, (0.5, 0.0))
    assert record.largest == (2, 0, 0.5)
    assert effect_top(values) == record.top == 0.5
    drawn = effect_grid_figure(record)
    crosses = drawn.figure.data[1]
    assert (list(crosses.x), list(crosses.y)) == ([1], [0])
    assert drawn.figure.layout.title.text == "Most: L2 E0, 0.500\xa0nats"
    assert "E1 of layer 0 works on no token of this prompt" in effect_sentence(record)
    assert "dense" in drawn.figure.layout.annotations[0].text
    nothing = effect_grid_record(np.full((1, 2), np.nan), (0,), n_layers=1, layer=0, expert=0)
    assert nothing.largest is None
    assert effect_grid_figure(nothing).figure.layout.title.text == "No expert was asked"


def test_an_expert_without_which_no_number_is_left_is_not_called_unasked() -> None:
    record = effect_grid_record(np.array([[0.1, np.inf, np.nan]]), (0,), n_layers=1, layer=0, expert=1)
    assert record.largest == (0, 0, 0.1)
    marks = effect_grid_figure(record).figure.data[1]
    assert (list(marks.x), list(marks.text)) == ([1, 2], ["∞", "×"])
    said = effect_sentence(record)
    assert said.startswith("∞: without 1 expert the logits become infinite or no number")
    assert "Without E1" not in said
    lost = effect_grid_record(np.full((1, 2), np.inf), (0,), n_layers=1, layer=0, expert=0)
    assert effect_grid_figure(lost).figure.layout.title.text == "Without an expert no number is left"
    assert "unasked" not in effect_sentence(lost)
    assert "none can be missed" not in effect_sentence(lost)
