"""Number formats and weights as pictures: records by hand, what the figures hold, awkward numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from viz.numbers.bits import BitRow, number_bits_figure, number_bits_record, title_of
from viz.numbers.spacing import (
    MOST_TICKS,
    GapCurve,
    number_line_figure,
    number_line_record,
    number_spacing_figure,
    number_spacing_record,
)
from viz.numbers.weight_ranges import (
    FormatLimit,
    outside_sentence,
    trip_errors_figure,
    trip_errors_record,
    weight_sizes_figure,
    weight_sizes_record,
)
from viz.numbers.weight_ranges import title_of as weights_title

FP16 = BitRow("fp16", "fp16", ("0", "11110", "1111111111"), "normal", "65,504", "0")
NONE = "1 is exact in none of them: each stores its nearest neighbour"
NAN = "Not a number: all exponent bits are 1, the significand is not 0"
E5M2 = BitRow("e5m2", "fp8 e5m2", ("0", "11111", "00"), "infinity", "+∞", "")


def test_every_bit_is_a_square_that_says_where_it_stands() -> None:
    drawn = number_bits_figure(number_bits_record("65,504", [FP16, E5M2]))
    sign, exponent, significand = drawn.figure.data
    assert [len(trace.x) for trace in (sign, exponent, significand)] == [2, 10, 12]
    assert list(exponent.customdata[0]) == ["fp16", 1]
    assert list(significand.text[:10]) == ["1"] * 10
    assert exponent.hovertext[0] == "fp16: exponent bit, worth 16 (less 15 in all)"
    assert drawn.table["stored"] == ["65,504", "+∞"]
    # Sixteen bits fill one line of a phone, and a wider format breaks.
    wide = BitRow("fp32", "fp32", ("0", "1" * 8, "0" * 23), "infinity", "+∞", "")
    narrow = number_bits_figure(number_bits_record("x", [wide])).narrow_figure
    assert narrow is not None
    assert max(narrow.data[2].x) == 15.5


@pytest.mark.parametrize(
    ("row", "title"),
    [
        (FP16, "1 is exact in every format"),
        (E5M2, "1: all exponent bits are 1, the significand is 0"),
        (BitRow("a", "a", ("0", "1", "1"), "nan", "NaN", ""), NAN),
        (BitRow("a", "a", ("0", "0", "0"), "zero", "0", "1e-9"), "1 is too small for a: it becomes 0"),
        (BitRow("a", "a", ("0", "1", "0"), "normal", "1.5", "0.5"), NONE),
    ],
)  # fmt: skip
def test_the_title_says_the_finding(row: BitRow, title: str) -> None:
    assert title_of(number_bits_record("1", [row])) == title


def test_a_phone_s_line_has_the_error_without_its_percentage() -> None:
    row = BitRow("fp16", "fp16", ("0", "0", "1"), "normal", "0.09998", "0.0000244 (0.0244 %)")
    drawn = number_bits_figure(number_bits_record("0.1", [row]))
    wide, narrow = (" ".join(note.text for note in figure.layout.annotations) for figure in
                    (drawn.figure, drawn.narrow_figure))  # fmt: skip
    assert "0.0244 %" in wide
    assert "off by 0.0000244" in narrow
    assert "%" not in narrow


def test_a_typed_number_cannot_be_markup() -> None:
    drawn = number_bits_figure(number_bits_record("<b>1", [FP16]))
    assert "<b>1" not in drawn.figure.layout.title.text


def test_a_staircase_doubles_and_ends() -> None:
    curve = GapCurve("fp16", (-2, -1, 0, 1), (-4, -4, -4, -3), largest=3.0, smallest=0.25)
    drawn = number_spacing_figure(number_spacing_record([curve], 1.5, "1.5"))
    line, end = drawn.figure.data
    assert list(line.x) == [-2, -1, -1, 0, 0, 1, 1, math.log2(3)]
    assert list(line.y) == [-4, -4, -4, -4, -4, -4, -3, -3]
    assert list(end.x) == [math.log2(3)]
    assert drawn.figure.layout.shapes[0].x0 == math.log2(1.5)
    assert number_spacing_figure(number_spacing_record([curve], None, "NaN")).figure.layout.shapes == ()


def test_a_line_of_numbers_marks_what_is_stored_and_counts_what_is_too_many() -> None:
    record = number_line_record(
        {"few": [1.0, 2.0], "many": [0.0] * 3, "none": []},
        {"few": 2, "many": MOST_TICKS + 1, "none": 0},
        {"few": 2.0, "many": 1.6, "none": None},
        1.6,
        (0.0, 3.0),
        "1.6",
    )
    data = number_line_figure(record).figure.data
    names = [trace.name for trace in data]
    assert names == ["few", "few, stored", "many", "many, stored", "none"]
    assert data[2].text == (f"{MOST_TICKS + 1:,} numbers",)
    assert data[4].text == ("  none in sight: it becomes ∞",)


def sizes(counts: list[list[int]], below: int = 0):  # type: ignore[no-untyped-def]
    return weight_sizes_record(
        ["outside the layers", "layer 0"],
        np.array(counts),
        np.array([0, 5]),
        -10,
        [FormatLimit("fp16", -14.0, 16.0), FormatLimit("fp8 e4m3", -6.0, 8.8)],
        [0, 1],
        [0, below],
    )


def test_shares_of_a_layer_and_what_lies_outside() -> None:
    record = sizes([[0, 4, 0, 4, 0], [0, 0, 0, 5, 0]], below=4)
    assert record.low == -9
    np.testing.assert_allclose(record.shares, [[0.5, 0, 0.5], [0, 0, 0.5]])
    assert weights_title(record) == "27.8\xa0% of the weights lie outside the normal range of fp8 e4m3"
    assert "fp16: none too small, none too large" in outside_sentence(record)
    drawn = weight_sizes_figure(record)
    assert drawn.figure.data[0].zmin == 0
    assert drawn.table["2^-7"] == [0.5, 0.5]
    # Both formats' normal numbers begin outside this narrow range: no line is drawn where nothing is.
    assert not drawn.figure.layout.shapes


def test_errors_of_two_models_share_an_axis() -> None:
    mine, other = {"fp16": [1e-4, 2e-4]}, {"fp16": [1e-2, 2e-2]}
    record = trip_errors_record(["outside the layers", "layer 0"], mine, other)
    assert (record.low, record.high) == (1e-4, 2e-2)
    drawn = trip_errors_figure(record)
    assert list(drawn.figure.data[0].y) == [1e-4, 2e-4]
    assert trip_errors_figure(trip_errors_record(["a"], {"fp16": [0.0]})).figure.data[0].y[0] > 0
