"""Loss scaling as pictures: records by hand, what the figures hold, the findings in their titles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from viz.numbers.gradient_fates import (
    errors_title,
    fates_title,
    gradient_errors_figure,
    gradient_errors_record,
    gradient_fates_figure,
    gradient_fates_record,
    nearest_pass,
)
from viz.numbers.gradient_layers import gradient_layers_figure, gradient_layers_record, layers_title
from viz.numbers.gradient_sizes import (
    Finding,
    finding_words,
    gradient_histogram_figure,
    gradient_histogram_record,
)

NAMES = ("weight", "logit")
FOUND = (Finding("weight", 0.02, 0.0, 0.0), Finding("logit", 0.31, 0.004, 0.0))


@pytest.mark.parametrize(
    ("found", "k", "words"),
    [
        (FOUND, 12, "31.0\xa0% of the logit gradients vanish in fp16; with a scale of 2¹² 0.400\xa0% do"),
        (FOUND, 0, "31.0\xa0% of the logit gradients vanish in fp16"),
        ((replace(FOUND[1], vanishing=0.0),), 3,
         "31.0\xa0% of the logit gradients vanish in fp16; with a scale of 2³ none does"),
        ((Finding("weight", 0, 0, 0),), 9, "None of these gradients vanishes in fp16"),
        ((replace(FOUND[0], infinite=0.2), FOUND[1]), 20,
         "A scale of 2²⁰ is too much: 20.0\xa0% of the weight gradients become infinite"),
    ],
)  # fmt: skip
def test_the_finding(found: tuple[Finding, ...], k: int, words: str) -> None:
    assert finding_words(found, k) == words


def histogram(k: int, start: int = 0):  # type: ignore[no-untyped-def]
    counts = [np.array([0, 0, 1, 3, 0]), np.array([0, 4, 0, 0, 0])]
    return gradient_histogram_record(NAMES, counts, -30, start, k, FOUND)


def test_a_scale_moves_every_outline_to_the_right_and_the_zones_stay() -> None:
    still, moved = gradient_histogram_figure(histogram(0)), gradient_histogram_figure(histogram(12))
    assert [trace.name for trace in still.figure.data] == ["weight gradients", "logit gradients"]
    old, new = still.figure.data[0], moved.figure.data[2]
    assert list(new.x) == [x + 12 for x in old.x]
    assert list(new.y) == list(old.y) == [0.0, 0.0, 0.25, 0.75, 0.0]
    assert list(old.x) == [-29, -29, -28, -27, -26]
    # Where they stood stays, dotted; the axis does not move.
    assert moved.figure.data[0].name == "weight, without a scale"
    assert list(moved.figure.data[0].x) == list(old.x)
    assert moved.figure.layout.xaxis.range == still.figure.layout.xaxis.range
    edges = [shape.x0 for shape in moved.figure.layout.shapes if shape.type == "line"]
    assert edges == [-25, -14, 16]
    assert moved.table["scaled size from, 2^"] == [-17, -16, -15]
    dashes = {trace.line.dash for trace in still.figure.data}
    assert len(dashes) == 2
    assert moved.narrow_figure is not None


def test_a_larger_batch_moves_them_to_the_left() -> None:
    drawn = gradient_histogram_figure(histogram(4, start=-16))
    assert drawn.figure.data[0].x[0] == -29 - 16
    assert drawn.figure.data[2].x[0] == -29 - 12
    assert drawn.figure.layout.xaxis.range[0] <= -45


def test_two_histograms_share_their_axes() -> None:
    other = [np.array([9, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 1])]
    record = gradient_histogram_record(NAMES, [np.eye(5, dtype=int)[2]] * 2, -50, 0, 0, FOUND, other)
    assert record.low == -50
    assert record.top == 1.0
    empty = gradient_histogram_record(NAMES, [np.zeros(5, int)] * 2, -50, 0, 0, FOUND)
    assert gradient_histogram_figure(empty).figure.data


def fates(k: int = 2, broken: float = 0.5):  # type: ignore[no-untyped-def]
    vanishing = [np.array([0.2, 0.1, 0.0]), np.array([0.3, 0.2, 0.1])]
    infinite = [np.array([0, 0, 0.01]), np.array([0, 0, 0])]
    measured = [np.array([0.21, 0.0]), np.array([0.29, 0.1])]
    lost = [np.array([0, broken]), np.array([0, 0])]
    return gradient_fates_record(NAMES, (0, 1, 2), vanishing, infinite, (0, 2), measured, lost, k, FOUND)


def test_curves_and_the_points_of_real_passes() -> None:
    drawn = gradient_fates_figure(fates())
    line, points = drawn.figure.data[:2]
    assert list(line.y) == [0.2, 0.1, 0.0]
    assert (list(points.x), list(points.y)) == ([0, 2], [0.21, 0.0])
    assert (points.xaxis, points.mode) == ("x", "markers")
    over = [trace for trace in drawn.figure.data if trace.xaxis == "x2"]
    assert list(over[1].y) == [0, 0.5]
    assert [shape.x0 for shape in drawn.figure.layout.shapes] == [2, 2]
    assert drawn.table["weight, are 0 in a real pass"] == [0.21, "", 0.0]
    assert fates_title(fates()) == "Fewer vanish at larger scales; from 2² on a real pass in fp16 overflows"
    assert fates_title(fates(broken=0)).endswith("no pass made in fp16 overflows")
    narrow = drawn.narrow_figure
    assert narrow is not None
    assert narrow.layout.yaxis.domain[0] > narrow.layout.yaxis2.domain[1]


def test_errors_and_the_pass_that_is_lost() -> None:
    record = gradient_errors_record((0, 4, 8), [0.5, 0.001, math.nan], 0.014, 6, [0.9, 1e-5])
    assert (record.low, record.high) == (1e-5, 0.9)
    assert errors_title(record) == (
        "With a scale of 2⁴ the fp16 gradient is off by 0.100\xa0%, bf16 without one by 1.40\xa0%"
    )
    assert "the step is lost" in errors_title(replace(record, k=9))
    drawn = gradient_errors_figure(record)
    good, lost, bf16 = drawn.figure.data
    assert (list(good.x), list(lost.x)) == ([0, 4], [8])
    assert set(bf16.y) == {0.014}
    assert lost.marker.symbol == "x"
    assert drawn.table["relative error, fp16"] == [0.5, 0.001, "not finite"]
    assert "from 2⁸ on" in drawn.alt
    nothing = gradient_errors_record((0,), [math.nan], 0.0, 0)
    assert gradient_errors_figure(nothing).figure.data


def test_the_nearest_pass_is_the_largest_that_is_not_above() -> None:
    assert [nearest_pass((4, 8, 12), k) for k in (0, 4, 7, 8, 24)] == [0, 0, 0, 1, 2]


def layers(k: int = 0):  # type: ignore[no-untyped-def]
    shares = np.array([[0.1, 0.0], [0.2, 0.0], [0.0, 0.0], [0.4, 0.0]])
    return gradient_layers_record(["embedding", "layer 0"], ["after layer 0", "logits"], (0, 4), shares, k)


def test_layers_by_scale() -> None:
    assert layers_title(layers()) == "With a scale of 1 most vanish at: logits (40.0\xa0%)"
    assert layers_title(layers(4)) == "With a scale of 2⁴ nothing vanishes anywhere"
    one = replace(layers(), shares=np.float32([[0.1, 0], [0.2, 0], [0, 0], [0, 0]]))
    assert "weights, layer 0" in layers_title(one)
    drawn = gradient_layers_figure(layers())
    heat = drawn.figure.data[0]
    assert np.isnan(heat.z[2]).all()  # the gap between weights and stream
    np.testing.assert_allclose(heat.z[[0, 1, 3, 4]], layers().shares)
    assert (heat.zmin, heat.zmax) == (0, pytest.approx(0.4))
    frames = [(shape.x0, shape.x1) for shape in drawn.figure.layout.shapes]
    assert frames == [(-0.5, 4.5)] * 2 + [(-0.5, 0.5)] * 2
    texts = [note.text for note in drawn.figure.layout.annotations]
    assert texts[2:] == ["at 1", "10.0\xa0%", "20.0\xa0%", "0\xa0%", "40.0\xa0%"]
    assert drawn.table["2^0"] == pytest.approx([0.1, 0.2, 0.0, 0.4])


def test_many_layers_have_thinned_names_and_no_numbers() -> None:
    n = 60
    names = [f"layer {i}" for i in range(n)]
    record = gradient_layers_record(
        names, [f"after {name}" for name in names], (0,), np.full((2 * n, 1), 0.1), 0
    )
    figure = gradient_layers_figure(record).figure
    assert len(figure.layout.yaxis.tickvals) <= 28
    assert len(figure.layout.annotations) == 2
