"""Loss scaling as pictures: records by hand, what the figures hold, the findings in their titles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from model_runtime.records.numbers import LossScaling
from viz.numbers.gradient_fates import (
    GradientFates,
    errors_title,
    fates_title,
    gradient_errors_figure,
    gradient_errors_record,
    gradient_fates_figure,
    gradient_fates_record,
)
from viz.numbers.gradient_layers import (
    GradientLayers,
    gradient_layers_figure,
    gradient_layers_record,
    layers_title,
)
from viz.numbers.gradient_sizes import (
    Finding,
    GradientHistogram,
    finding_words,
    findings_of,
    gradient_histogram_figure,
    gradient_histogram_record,
)

SCALING = LossScaling(
    batch=0,
    kinds=("weight", "logit"),
    scales=(0, 4, 12),
    counts=np.array([[0, 0, 1, 3, 0], [0, 4, 0, 0, 0]]),
    lowest=-30,
    vanishing=np.array([[0.02, 0.01, 0.0], [0.31, 0.1, 0.004]]),
    infinite=np.zeros((2, 3)),
    passes=(0, 2),
    measured=np.array([[0.21, 0.0], [0.29, 0.1]]),
    broken=np.array([[0, 0.5], [0, 0]]),
    error=np.array([0.5, 0.001]),
    bf16=0.014,
    rows=("embedding", "layer 0", "after layer 0", "logits"),
    split=2,
    layers=np.float32([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0], [0.4, 0.0, 0.0]]),
)
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


def test_findings_are_of_the_chosen_scale() -> None:
    assert findings_of(SCALING, 12) == FOUND
    assert findings_of(SCALING, 0)[1] == Finding("logit", 0.31, 0.31, 0.0)


def histogram(k: int, batch: int = 0) -> GradientHistogram:
    return gradient_histogram_record(replace(SCALING, batch=batch), k)


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
    drawn = gradient_histogram_figure(histogram(4, batch=16))
    assert drawn.figure.data[0].x[0] == -29 - 16
    assert drawn.figure.data[2].x[0] == -29 - 12
    assert drawn.figure.layout.xaxis.range[0] <= -45


def test_two_histograms_share_their_axes() -> None:
    one = replace(SCALING, lowest=-50, counts=np.array([np.eye(5, dtype=int)[2]] * 2))
    other = replace(one, counts=np.array([[9, 0, 0, 0, 0], [0, 0, 0, 0, 1]]))
    record = gradient_histogram_record(one, 0, other)
    assert record.low == -50
    assert record.top == 1.0
    empty = gradient_histogram_record(replace(one, counts=np.zeros((2, 5), int)), 0)
    assert gradient_histogram_figure(empty).figure.data


def fates(k: int = 2, broken: float = 0.5) -> GradientFates:
    scaling = replace(
        SCALING,
        scales=(0, 1, 2),
        vanishing=np.array([[0.2, 0.1, 0.0], [0.3, 0.2, 0.1]]),
        infinite=np.array([[0, 0, 0.01], [0, 0, 0]]),
        broken=np.array([[0, broken], [0, 0]]),
    )
    return gradient_fates_record(scaling, k)


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
    scaling = replace(SCALING, passes=(0, 4, 8), error=np.array([0.5, 0.001, math.nan]))
    record = gradient_errors_record(scaling, 6, replace(scaling, error=np.array([0.9, 1e-5])))
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
    nothing = gradient_errors_record(replace(scaling, passes=(0,), error=np.array([math.nan]), bf16=0.0), 0)
    assert gradient_errors_figure(nothing).figure.data


def test_the_nearest_pass_is_the_largest_that_is_not_above() -> None:
    scaling = replace(SCALING, passes=(4, 8, 12))
    assert [scaling.nearest_pass(k) for k in (0, 4, 7, 8, 24)] == [0, 0, 0, 1, 2]


def layers(k: int = 0) -> GradientLayers:
    return gradient_layers_record(replace(SCALING, scales=(0, 4), layers=SCALING.layers[:, :2]), k)


def test_layers_by_scale() -> None:
    assert layers_title(layers()) == "With a scale of 1 most vanish at: logits (40.0\xa0%)"
    assert layers_title(layers(4)) == "With a scale of 2⁴ nothing vanishes anywhere"
    weights = SCALING.layers * np.float32([[1], [1], [1], [0]])
    assert "weights, layer 0" in layers_title(gradient_layers_record(replace(SCALING, layers=weights), 0))
    drawn = gradient_layers_figure(layers())
    heat = drawn.figure.data[0]
    assert np.isnan(heat.z[2]).all()  # the gap between weights and stream
    np.testing.assert_allclose(heat.z[[0, 1, 3, 4]], SCALING.layers[:, :2])
    assert (heat.zmin, heat.zmax) == (0, pytest.approx(0.4))
    frames = [(shape.x0, shape.x1) for shape in drawn.figure.layout.shapes]
    assert frames == [(-0.5, 4.5)] * 2 + [(-0.5, 0.5)] * 2
    texts = [note.text for note in drawn.figure.layout.annotations]
    assert texts[2:] == ["at 1", "10.0\xa0%", "20.0\xa0%", "0\xa0%", "40.0\xa0%"]
    assert drawn.table["2^0"] == pytest.approx([0.1, 0.2, 0.0, 0.4])


def test_many_layers_have_thinned_names_and_no_numbers() -> None:
    n = 60
    names = [f"layer {i}" for i in range(n)]
    rows = (*names, *(f"after {name}" for name in names))
    many = replace(SCALING, rows=rows, split=n, scales=(0,), layers=np.full((2 * n, 1), 0.1))
    figure = gradient_layers_figure(gradient_layers_record(many, 0)).figure
    assert len(figure.layout.yaxis.tickvals) <= 28
    assert len(figure.layout.annotations) == 2
