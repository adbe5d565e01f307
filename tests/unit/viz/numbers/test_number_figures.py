"""Number formats and weights as pictures: records by hand, what the figures hold, awkward numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model_runtime.numbers.formats import encode, parse_number
from model_runtime.records.formats import FORMATS, NumberFormat, Stored
from model_runtime.records.weights import RoundTrip, WeightRanges
from viz.numbers.bits import NumberBits, number_bits_figure, title_of
from viz.numbers.spacing import (
    MOST_TICKS,
    NumberLine,
    NumberSpacing,
    number_line_figure,
    number_spacing_figure,
)
from viz.numbers.weights import (
    outside_sentence,
    trip_errors_figure,
    trip_errors_record,
    weight_sizes_figure,
    weight_sizes_record,
)
from viz.numbers.weights import title_of as weights_title

FP16 = encode(parse_number("65504"), FORMATS["fp16"])
NONE = "1 is exact in none of them: each stores its nearest neighbour"
NAN = "Not a number: all exponent bits are 1, the significand is not 0"
E5M2 = encode(parse_number("65520"), FORMATS["e5m2"])
TOY = NumberFormat("a", "a", 2, 1, None)


def toy(number: str) -> Stored:
    """A number in a format of 4 bits: 0, 0.5, 1, 1.5, 2, 3."""
    return encode(parse_number(number), TOY)


def test_every_bit_is_a_square_that_says_where_it_stands() -> None:
    drawn = number_bits_figure(NumberBits("65,504", (FP16, E5M2)))
    sign, exponent, significand = drawn.figure.data
    assert [len(trace.x) for trace in (sign, exponent, significand)] == [2, 10, 12]
    assert list(exponent.customdata[0]) == ["fp16", 1]
    assert list(significand.text[:10]) == ["1"] * 10
    assert exponent.hovertext[0] == "fp16: exponent bit, worth 16 (less 15 in all)"
    assert drawn.table["stored"] == ["65504", "+∞"]
    # Sixteen bits fill one line of a phone, and a wider format breaks.
    wide = encode(parse_number("inf"), FORMATS["fp32"])
    narrow = number_bits_figure(NumberBits("x", (wide,))).narrow_figure
    assert narrow is not None
    assert max(narrow.data[2].x) == 15.5


@pytest.mark.parametrize(
    ("row", "title"),
    [
        (FP16, "1 is exact in every format"),
        (E5M2, "1: all exponent bits are 1, the significand is 0"),
        (toy("nan"), NAN),
        (toy("1e-9"), "1 is too small for a: it becomes 0"),
        (toy("1.4"), NONE),
    ],
)  # fmt: skip
def test_the_title_says_the_finding(row: Stored, title: str) -> None:
    assert title_of(NumberBits("1", (row,))) == title


def test_a_phone_s_line_has_the_error_without_its_percentage() -> None:
    row = encode(parse_number("0.1"), FORMATS["fp16"])
    drawn = number_bits_figure(NumberBits("0.1", (row,)))
    wide, narrow = (" ".join(note.text for note in figure.layout.annotations) for figure in
                    (drawn.figure, drawn.narrow_figure))  # fmt: skip
    assert "0.0244\u00a0%" in wide
    assert "off by −2.44 × 10⁻⁵" in narrow
    assert "%" not in narrow


def test_errors_below_one_another_are_in_one_notation() -> None:
    # 0.1 is 1.6 / 16: e5m2 has 1.5 / 16 = 0.09375, 0.00625 too little.
    bits = [encode(parse_number("0.1"), FORMATS[name]) for name in ("fp16", "e5m2")]
    drawn = number_bits_figure(NumberBits("0.1", tuple(bits)))
    words = " ".join(note.text for note in drawn.figure.layout.annotations)
    assert "off by −2.44 × 10⁻⁵" in words
    assert "off by −6.25 × 10⁻³" in words


def test_a_typed_number_cannot_be_markup() -> None:
    drawn = number_bits_figure(NumberBits("<b>1", (FP16,)))
    assert "<b>1" not in drawn.figure.layout.title.text


def test_a_staircase_doubles_and_ends() -> None:
    drawn = number_spacing_figure(NumberSpacing((TOY,), 1.5, "1.5"))
    line, end = drawn.figure.data
    assert list(line.x) == [-1, 0, 0, 1, 1, math.log2(3)]
    assert list(line.y) == [-1, -1, -1, -1, 0, 0]
    assert list(end.x) == [math.log2(3)]
    assert drawn.figure.layout.shapes[0].x0 == math.log2(1.5)
    assert number_spacing_figure(NumberSpacing((TOY,), None, "NaN")).figure.layout.shapes == ()


def test_a_line_of_numbers_marks_what_is_stored_and_counts_what_is_too_many() -> None:
    record = NumberLine(
        titles=("few", "many", "none"),
        numbers=((1.0, 2.0), (), ()),
        counts=(2, MOST_TICKS + 1, 0),
        stored=(2.0, 1.6, None),
        meant=1.6,
        low=0.0,
        high=3.0,
        words="1.6",
    )
    data = number_line_figure(record).figure.data
    names = [trace.name for trace in data]
    assert names == ["few", "few, stored", "many", "many, stored", "none"]
    assert data[2].text == (f"{MOST_TICKS + 1:,} numbers",)
    assert data[4].text == ("  none in sight: it becomes ∞",)


def sizes(counts: list[list[int]], below: int = 0):  # type: ignore[no-untyped-def]
    def trip(above: int, subnormal: int) -> RoundTrip:
        return RoundTrip(np.array([above, 0]), np.array([subnormal, 0]), np.zeros(2), np.zeros(2))

    zeros = np.array([0, 5])
    table, trips = np.array(counts), {"fp16": trip(0, 0), "e4m3": trip(1, below)}
    ranges = WeightRanges(
        ("outside the layers", "layer 0"), -10, table, zeros, table.sum(1) + zeros, np.ones(2), trips
    )
    return weight_sizes_record(ranges)


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
