"""Heads at a glance: the measures' words, the names that fit, the head to open on, the grid."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.records import HeadMeasures
from viz.attention.head_grid import (
    HeadGrid,
    alt,
    head_grid_difference_record,
    head_grid_figure,
    head_grid_record,
    no_values,
    title,
)
from viz.attention.heads import (
    KIND_OF,
    KINDS,
    MEASURES,
    even_distance,
    even_entropy,
    findings,
    head_to_open,
    kinds_found,
    measure_to_open,
    shared_top,
    strongest,
    values_of,
)

NAN = np.nan


def measures(n_tokens: int = 9, n_repeated: int = 1, **changes: np.ndarray) -> HeadMeasures:
    """Of 2 layers and 3 heads. Evenly reading 9 tokens: entropy 1.42 nats, 2 tokens back."""
    blank = {key: np.full((2, 3), 0.1, dtype=np.float32) for key in MEASURES}
    blank["distance"] = np.full((2, 3), 2.0, dtype=np.float32)
    values = {MEASURES[key].field: value for key, value in {**blank, **changes}.items()}
    return HeadMeasures((0, 1), **values, n_tokens=n_tokens, n_repeated=n_repeated)


def found(key: str, some: HeadMeasures):  # type: ignore[no-untyped-def]
    return next(kind for kind in kinds_found(some) if kind.kind.key == key)


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
    shares = {"first": 0.5, "previous": 0.39, "induction": NAN, "duplicate": 0.31}
    one = measures(**{key: np.full((2, 3), value) for key, value in shares.items()})
    said = findings(one, 1, 2)
    assert [*said] == ["duplicate", "first"]
    assert said["first"] == (
        "On average this head pays 50.0\xa0% to the first token: an attention sink (Xiao et al. 2023)."
    )
    off = findings(one, 1, 2, off=True)
    assert off["first"].startswith(
        "On average this head would pay 50.0\xa0% to the first token: an attention"
    )
    assert off["duplicate"].startswith("On average this head would give 31.0\xa0% to earlier copies")
    assert findings(measures(), 0, 0) == {}


def test_a_head_that_reads_evenly_is_the_yardstick() -> None:
    assert even_distance(4) == 0.75  # the mean of 0, 1/2, 1, 3/2
    assert even_entropy(4) == pytest.approx((0 + np.log(2) + np.log(3) + np.log(4)) / 4)
    assert even_entropy(0) == 0


def test_a_kind_lists_its_heads_clearest_first_with_their_values() -> None:
    share = np.array([[0.1, 0.4, 0.39], [0.9, NAN, 0.5]])
    assert found("previous", measures(previous=share)).heads == ((1, 0, 0.9), (1, 2, 0.5), (0, 1, 0.4))


def test_an_absent_kind_has_no_heads_and_one_that_cannot_be_told_says_so() -> None:
    weak, nothing = np.full((2, 3), 0.29), np.full((2, 3), NAN)
    assert (found("induction", measures(induction=weak)).heads, True) == ((), True)
    assert found("induction", measures(induction=weak)).tells
    assert not found("induction", measures(induction=nothing)).tells
    assert not found("distance", measures(n_tokens=1)).tells


def test_local_heads_are_the_nearest_and_broad_heads_the_evenest() -> None:
    distance = np.array([[0.5, 0.2, 0.51], [2.0, 4.0, NAN]])  # of 2 tokens: a quarter is 0.5
    assert found("distance", measures(distance=distance)).heads == ((0, 1, 0.2), (0, 0, 0.5))
    even = even_entropy(9)
    entropy = np.array([[0.79, 0.81, 0.5], [0.1, 1.0, NAN]]) * even
    assert [head[:2] for head in found("entropy", measures(entropy=entropy)).heads] == [(1, 1), (0, 1)]


def test_every_kind_has_a_measure_a_source_and_a_rule_in_words() -> None:
    assert {kind.key for kind in KINDS} == {*MEASURES}
    assert KIND_OF["induction"].rule == "at least 30\u00a0% of attention"
    assert KIND_OF["distance"].rule == "at most 25\u00a0% as far back as reading evenly"
    assert all(kind.source[-4:].isdigit() for kind in KINDS)


def test_opens_with_the_measure_that_shows_what_the_head_does() -> None:
    both = measures(induction=np.full((2, 3), 0.8), first=np.full((2, 3), 0.9))
    assert measure_to_open(both, 0, 0) == "induction"
    assert measure_to_open(measures(first=np.full((2, 3), 0.9)), 0, 0) == "first"
    assert measure_to_open(measures(), 0, 0) == "previous"


def test_every_measure_is_found_by_its_key() -> None:
    some = measures(entropy=np.arange(6.0).reshape(2, 3))
    assert values_of(some, "entropy")[1, 2] == 5.0
    assert all(values_of(some, key).shape == (2, 3) for key in MEASURES)


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
    assert [list(line) for line in drawn.figure.data[0].text] == [["", ""], [" (off)", ""]]
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


def test_a_difference_is_signed_and_its_scale_symmetric() -> None:
    values, other = np.array([[0.1, 0.5]]), np.array([[0.4, 0.4]])
    record = head_grid_difference_record(values, other, "first", layer=0, head=0)
    assert record.values[0] == pytest.approx((-0.3, 0.1))
    assert (record.top, record.strongest) == (pytest.approx(0.3), (0, 0))
    assert title(record) == "Changed most: <b>L0 H0</b>, −30.0 points"
    heatmap = head_grid_figure(record).figure.data[0]
    assert (heatmap.zmin, heatmap.zmax) == (-record.top, record.top)
    assert list(heatmap.colorbar.ticktext) == ["−30.0 points", "0", "+30.0 points"]


def test_a_difference_of_other_models_is_refused_and_of_equal_runs_is_none() -> None:
    with pytest.raises(ValueError, match="heads"):
        head_grid_difference_record(np.zeros((1, 2)), np.zeros((2, 2)), "first", layer=0, head=0)
    same = head_grid_difference_record(np.ones((1, 2)), np.ones((1, 2)), "first", layer=0, head=0)
    assert title(same) == "No head's “first token” changed"


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (64, 64), (126, 128)])
def test_any_number_of_heads_is_small_to_send_and_has_few_ticks(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape)
    drawn = head_grid_figure(head_grid_record(values, "first", layer=0, head=0, top=1.0))
    layout = drawn.figure.layout
    assert len(drawn.figure.to_json()) < 120_000
    assert shape[0] / layout.yaxis.dtick <= 16
    assert shape[1] / layout.xaxis.dtick <= 16
    assert 260 <= layout.height <= 560
