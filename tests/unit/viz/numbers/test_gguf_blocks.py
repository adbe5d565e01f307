"""A GGUF block as a picture: every code in its cell, halves in their order, the sum on a calculator."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

import pytest

from model_runtime.records.weights import Block
from viz.numbers.gguf_blocks import (
    GgufBlock,
    equation,
    gguf_block_figure,
    gguf_block_record,
    place_words,
    title_of,
)

NIBBLES = bytes(low | (15 - low) << 4 for low in range(16))


def q4_1(chosen: int = 0, **more: Sequence[float]) -> GgufBlock:
    codes = (*range(16), *range(15, -1, -1))
    weights = tuple(0.5 * code - 2.0 for code in codes)
    data = struct.pack("<ee", 0.5, -2.0) + NIBBLES
    return gguf_block_record(Block("Q4_1", data, 0.5, -2.0, codes, weights), chosen, **more)


def q8_0(chosen: int = 0) -> GgufBlock:
    codes = tuple(range(-16, 16))
    data = struct.pack("<e", 0.25) + struct.pack("32b", *codes)
    weights = tuple(0.25 * code for code in codes)
    return gguf_block_record(Block("Q8_0", data, 0.25, 0.0, codes, weights), chosen)


@pytest.mark.parametrize("narrow", [False, True])
def test_each_half_of_a_byte_is_the_cell_of_its_weight(narrow: bool) -> None:
    drawn = gguf_block_figure(q4_1(21))
    figure = drawn.narrow_figure if narrow else drawn.figure
    assert figure is not None
    scale, minimum, whole, low, high = figure.data[:5]
    assert [*scale.text, *minimum.text] == ["00", "38", "00", "C0"]  # fp16, low byte first
    assert list(whole.text) == [f"{byte:02X}" for byte in NIBBLES]
    assert list(low.customdata) == list(range(16))
    assert list(high.customdata) == list(range(16, 32))
    assert [int(text) for text in high.text] == list(range(15, -1, -1))
    # Both codes of a byte stand below it, the high half above the low one.
    assert list(whole.x) == list(low.x) == list(high.x)
    assert all(b < h < l for b, h, l in zip(whole.base, high.base, low.base, strict=True))  # noqa: E741
    assert [
        i for i, width in enumerate(high.insidetextfont.color) if width != high.insidetextfont.color[0]
    ] == [5]


def test_a_phone_has_no_line_longer_than_it_can_show() -> None:
    for record in (q4_1(), q8_0()):
        narrow = gguf_block_figure(record).narrow_figure
        assert narrow is not None
        assert max(max(trace.x) for trace in narrow.data if trace.type == "bar") <= 12


def test_where_a_weight_stands() -> None:
    assert place_words(q4_1(), 5) == "byte 9, low half"
    assert place_words(q4_1(), 21) == "byte 9, high half"
    assert place_words(q8_0(), 5) == "byte 7"


def test_the_equation_adds_up_on_a_calculator() -> None:
    block = Block("Q4_1", bytes(20), 0.0216522216796875, -0.2119140625, (10,) * 32, (0.00460815,) * 32)
    record = gguf_block_record(block, 0)
    words = equation(record)
    assert words == "0.0216522 × 10 − 0.211914 = 0.00461"
    scale, code, minimum, value = map(float, re.findall(r"[0-9.]+", words))
    assert scale * code - minimum == pytest.approx(value, rel=2e-3)
    assert equation(q8_0(3)) == "0.25 × (−13) = −3.25"
    assert equation(q4_1(2)) == "0.5 × 2 − 2 = −1"
    tiny = Block("Q8_0", bytes(34), 1.5e-5, 0.0, (3,) * 32, (4.5e-5,) * 32)
    assert equation(gguf_block_record(tiny, 0)) == "(1.50000 × 10⁻⁵) × 3 = 4.50 × 10⁻⁵"


def test_titles_say_the_size() -> None:
    assert title_of(q4_1(2)) == "20 bytes, 5 bits a weight; weight 2: 0.5 × 2 − 2 = −1"
    assert title_of(q8_0(3)).startswith("34 bytes, 8.50 bits a weight; ")


def test_weights_lie_on_their_levels_and_two_runs_share_the_axis() -> None:
    drawn = gguf_block_figure(q4_1(3, before=[0.1] * 32, others=[9.0, -9.0]))
    assert drawn.figure.layout.yaxis2.range[0] < -9
    assert drawn.figure.layout.yaxis2.range[1] > 9
    named = {trace.name: trace for trace in drawn.figure.data}
    assert list(named["before"].y) == [0.1] * 32
    assert drawn.table["before packing"] == [0.1] * 32
    assert drawn.table["half"][:17] == ["low"] * 16 + ["high"]
    ring = drawn.figure.data[-1]
    assert (ring.x[0], ring.y[0]) == (3, -0.5)


def test_a_block_of_equal_weights_can_be_drawn() -> None:
    record = gguf_block_record(Block("Q4_1", bytes(20), 0.0, 0.0, (0,) * 32, (0.0,) * 32), 31)
    assert record.ends[0] < record.ends[1]
    assert gguf_block_figure(record).figure.data
