"""Heads at a glance: the measures' words, the names that fit, the head to open on, the grid."""

from __future__ import annotations

import numpy as np
import pytest

from viz.head_grid import HeadGrid, alt, head_grid_figure, head_grid_record, no_values
from viz.heads import MEASURES, Measures, findings, head_to_open, shared_top, strongest

NAN = np.nan


def measures(**changes: np.ndarray) -> Measures:
    blank = {key: np.full((2, 3), 0.1, dtype=np.float32) for key in MEASURES}
    return Measures(**{**blank, **changes})


def test_strongest_ignores_what_cannot_be_told() -> None:
    assert strongest(np.array([[NAN, 0.2], [0.7, 0.7]])) == (1, 0)
    assert strongest(np.full((2, 2), NAN)) is None


def test_opens_on_an_induction_head_where_the_prompt_shows_one() -> None:
    induction = np.array([[0.1, 0.2, 0.1], [0.1, 0.31, 0.1]])
    previous = np.array([[0.9, 0.2, 0.1], [0.1, 0.3, 0.1]])
    assert head_to_open(measures(induction=induction, previous=previous)) == (1, 1)


def test_opens_on_a_previous_token_head_otherwise() -> None:
    previous = np.array([[0.1, 0.2, 0.6], [0.1, 0.3, 0.1]])
    weak = np.full((2, 3), 0.29)
    assert head_to_open(measures(induction=weak, previous=previous)) == (0, 2)
    assert head_to_open(measures(induction=np.full((2, 3), NAN), previous=previous)) == (0, 2)


def test_opens_on_the_first_head_where_nothing_can_be_told() -> None:
    nothing = np.full((2, 3), NAN)
    assert head_to_open(measures(induction=nothing, previous=nothing)) == (0, 0)


def test_names_need_their_share() -> None:
    assert set(findings({"first": 0.5, "previous": 0.39, "induction": NAN, "duplicate": 0.3})) == {
        "first",
        "duplicate",
    }
    assert findings({"entropy": 3.0, "distance": 9.0}) == {}


def test_at_gives_one_heads_measures() -> None:
    values = measures(entropy=np.arange(6.0).reshape(2, 3)).at(1, 2)
    assert values["entropy"] == 5.0
    assert values.keys() == MEASURES.keys()


def test_the_record_holds_the_numbers() -> None:
    record = head_grid_record(np.array([[0.5, NAN]]), "previous", layer=0, head=1, top=1.0)
    assert record == HeadGrid(MEASURES["previous"], ((0.5, None),), 0, 1, 1.0, (0, 0))


def test_shares_end_at_one_and_other_scales_are_shared() -> None:
    one, other = measures(entropy=np.full((2, 3), 0.5)), measures(entropy=np.full((2, 3), 2.5))
    assert shared_top("previous", one, other) == 1.0
    assert shared_top("entropy", one, other) == pytest.approx(2.5)


def test_the_figure_has_layers_downwards_and_outlines_the_chosen_head() -> None:
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.9, NAN]])
    drawn = head_grid_figure(head_grid_record(values, "first", layer=1, head=0, top=1.0))
    heatmap = drawn.figure.data[0]
    assert np.allclose(heatmap.z, values, equal_nan=True)
    assert (heatmap.zmin, heatmap.zmax) == (0, 1.0)
    assert drawn.figure.layout.yaxis.range == (1.5, -0.5)
    frame = drawn.figure.layout.shapes[0]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, 0.5, 1.5)
    assert "L1 H1" in drawn.figure.layout.title.text
    assert drawn.table["layer"] == [0, 0, 0, 1, 1, 1]
    assert "layer 1, head 1: 90.0" in drawn.alt


@pytest.mark.parametrize("measure", [*MEASURES])
def test_a_grid_without_values_says_why(measure: str) -> None:
    record = head_grid_record(np.full((2, 2), NAN), measure, layer=0, head=0, top=1.0)
    figure = head_grid_figure(record).figure
    said = figure.layout.annotations[0].text.replace("<br>", " ")
    assert said == no_values(record)
    assert no_values(record) in alt(record)
    assert ("comes twice" in said) == (measure in ("induction", "duplicate"))


def test_a_head_that_is_off_is_crossed_out_and_said() -> None:
    values = np.array([[0.1, 0.2], [0.4, 0.9]])
    drawn = head_grid_figure(head_grid_record(values, "first", layer=0, head=0, top=1.0, off=[(1, 0)]))
    box, cross, _ = drawn.figure.layout.shapes
    assert box.x0 < 0 < box.x1
    assert box.y0 < 1 < box.y1
    assert cross.type == "path"
    assert drawn.figure.data[0].text[1][0].startswith("L1 H0 (off): 40.0")
    assert "Switched off: L1 H0." in drawn.alt


@pytest.mark.parametrize(
    ("measure", "top", "names"),
    [("first", 1.0, ["0", "50\xa0%", "100\xa0%"]), ("entropy", 2.5, ["0", "1.25", "2.50"])],
)
def test_the_colour_bar_names_both_ends(measure: str, top: float, names: list[str]) -> None:
    record = head_grid_record(np.array([[0.1]]), measure, layer=0, head=0, top=top)
    bar = head_grid_figure(record).figure.data[0].colorbar
    assert list(bar.tickvals) == [0, top / 2, top]
    assert list(bar.ticktext) == names
    assert bar.ticklabeloverflow == "allow"
