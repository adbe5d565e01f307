"""Quantization as pictures: records by hand, axes that two runs share, awkward numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model_runtime.records.weights import CloseLook, Strip
from viz.numbers.quant_errors import quant_errors_figure, quant_errors_record
from viz.numbers.quant_errors import title_of as errors_title
from viz.numbers.quant_schemes import BlockPoint, SchemePoint, quant_schemes_figure, quant_schemes_record
from viz.numbers.quant_schemes import title_of as schemes_title
from viz.numbers.weight_grid import title_of as grid_title
from viz.numbers.weight_grid import weight_grid_figure, weight_grid_record

GROUPS = ("tensor", "channel", "128", "64", "32")
POINTS = [
    SchemePoint(bits, kind, group, bits + 0.1 * place, 0.5 / 2**place / bits**2)
    for bits in (4, 8)
    for kind in ("absmax", "zero_point")
    for place, group in enumerate(GROUPS)
]
CHOSEN = (4, "absmax", "64")


def test_each_point_says_its_scheme_and_the_chosen_one_is_ringed() -> None:
    blocks = [BlockPoint("Q4_1", 5.0, 0.0), BlockPoint("Q8_0", 8.5, 0.004)]
    record = quant_schemes_record("layer 3", POINTS, blocks, CHOSEN)
    drawn = quant_schemes_figure(record)
    traces = {(t.name, t.xaxis): t for t in drawn.figure.data}
    assert list(traces["absmax", "x"].customdata[3]) == [4, "absmax", "64"]
    assert list(traces["zero point", "x2"].customdata[0]) == [8, "zero_point", "tensor"]
    assert traces["chosen", "x"].x[0] == POINTS[3].cost
    assert traces["chosen", "x"].y[0] == POINTS[3].error
    # What is exact has no place on a logarithmic axis: it stands at the foot and says so.
    assert traces["GGUF blocks", "x"].text[0] == "GGUF Q4_1: exact"
    assert 10**record.low < traces["GGUF blocks", "x"].y[0] < min(p.error for p in POINTS)
    assert "already lie on its grid" in drawn.alt
    assert len(drawn.table["scheme"]) == len(drawn.table["relative error"]) == 22
    assert (
        schemes_title(record)
        == "Layer 3: 4 bits are off by 0.195\u00a0% to 3.13\u00a0%, 8 bits by 4.88 × 10⁻⁴ to 0.781\u00a0%"
    )


def test_the_whole_model_is_a_mark_of_its_own() -> None:
    record = quant_schemes_record("layer 3", POINTS, [], CHOSEN, whole=(4.2, 0.9))
    drawn = quant_schemes_figure(record)
    assert drawn.figure.data[-1].name == "chosen, all layers"
    assert (drawn.table["scheme"][-1], drawn.table["relative error"][-1]) == (
        "chosen scheme, all layers",
        0.9,
    )
    assert record.high > math.log10(0.9)


def test_two_runs_share_the_axis_and_no_error_at_all_can_be_drawn() -> None:
    one = quant_schemes_record("a", POINTS, [], CHOSEN, [0.9, 1e-4])
    assert one.low < -4
    assert one.high > math.log10(0.9)
    perfect = [SchemePoint(p.bits, p.kind, p.group, p.cost, 0.0) for p in POINTS]
    assert quant_schemes_figure(quant_schemes_record("a", perfect, [], CHOSEN)).figure.data


def strip(values: list[float], scale: float, zero: float = 0.0, levels: tuple[int, int] = (-7, 7)) -> Strip:
    codes = [max(levels[0], min(levels[1], round(v / scale + zero))) if scale else 0 for v in values]
    after = [scale * (code - zero) for code in codes]
    return Strip(2, 64, np.array(values), np.array(after), np.array(codes), scale, zero, levels)


def look(largest: Strip, typical: Strip) -> CloseLook:
    return CloseLook(largest, typical, to_zero=0.0)


def test_levels_stand_where_codes_can_be() -> None:
    record = weight_grid_record("m", look(strip([4.0, 0.1], 4 / 7), strip([0.2, -0.3, 0.1, 0.0], 4 / 7)))
    drawn = weight_grid_figure(record)
    levels = drawn.figure.data[0].y[::3]
    assert min(abs(level - 4.0) for level in levels) < 1e-9
    assert all(record.ranges[0][0] <= level <= record.ranges[0][1] for level in levels)
    assert grid_title(record) == "4 typical weights use only 2 levels of 15"
    assert list(drawn.figure.data[7].customdata) == [0, -1, 0, 0]
    assert drawn.table["column"] == [64, 65, 64, 65, 66, 67]


def test_a_grid_too_fine_to_draw_says_so() -> None:
    fine = strip([1.0, -1.0, 0.5], 1 / 127, levels=(-127, 127))
    drawn = weight_grid_figure(weight_grid_record("m", look(fine, fine)))
    assert [*drawn.figure.data[0].x] == [None]
    assert all("too close to draw" in note.text for note in drawn.figure.layout.annotations)


@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0]])
def test_equal_weights_have_an_axis(values: list[float]) -> None:
    record = weight_grid_record("m", look(strip(values, 0.0), strip(values, 0.0)))
    low, high = record.ranges[0]
    assert low < high
    assert weight_grid_figure(record).figure.data


def test_two_runs_share_the_grid_s_axes() -> None:
    small, large = look(*[strip([1.0, 0.5], 0.1)] * 2), look(*[strip([9.0, -2.0], 2.0)] * 2)
    assert weight_grid_record("m", small, [small, large]).ranges == (
        weight_grid_record("m", large, [small, large]).ranges
    )


def test_errors_by_layer_say_whether_one_stands_out() -> None:
    even = quant_errors_record("layer", ["layer 0", "layer 1"], [0.10, 0.11], 1)
    assert errors_title(even) == "Every layer loses about as much: 10.0\u00a0% to 11.0\u00a0%"
    odd = quant_errors_record("matrix", ["a.weight", "b.weight"], [0.1, 0.5], 0, [0.8])
    assert errors_title(odd) == "b loses most: 50.0\u00a0%"
    assert odd.top == 0.8
    drawn = quant_errors_figure(odd)
    assert drawn.figure.data[0].orientation == "h"
    assert list(drawn.figure.data[0].marker.line.width) == [3, 0]
    assert drawn.table == {"matrix": ["a.weight", "b.weight"], "relative error": [0.1, 0.5]}
    # A layer that was left alone is NaN in the report.
    assert quant_errors_record("layer", ["layer 0"], [math.nan], 0).errors == (0.0,)
