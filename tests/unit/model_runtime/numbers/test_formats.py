"""Number formats: every 16- and 8-bit pattern against torch, every tie, and the edges by hand."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
import torch

from model_runtime.errors import SettingError
from model_runtime.numbers.formats import (
    FORMATS,
    Exact,
    NumberFormat,
    decode,
    encode,
    gap_at,
    number_text,
    numbers_between,
    parse_number,
    window_around,
)

SMALL = [FORMATS[key] for key in ("fp16", "bf16", "e4m3", "e5m2")]
SMALL_IDS = [row.key for row in SMALL]


def patterns(row: NumberFormat) -> torch.Tensor:
    """Every bit pattern of a format, as torch reads it, in float64."""
    kind = {8: torch.uint8, 16: torch.uint16}[row.bits]
    codes = torch.arange(2**row.bits, dtype=torch.int32).to(kind)
    return codes.view(getattr(torch, row.torch_dtype)).float().double()


@pytest.mark.parametrize("row", SMALL, ids=SMALL_IDS)
def test_every_pattern_is_read_as_torch_reads_it(row: NumberFormat) -> None:
    for code, value in enumerate(patterns(row).tolist()):
        number = decode(f"{code:0{row.bits}b}", row)
        if math.isfinite(value):
            assert number.value == Fraction(value)
        else:
            assert number.value is None
            assert number.infinite == math.isinf(value)
        if not math.isnan(value):
            assert number.negative == (math.copysign(1, value) < 0)


@pytest.mark.parametrize("row", SMALL, ids=SMALL_IDS)
def test_every_value_and_every_tie_is_written_as_torch_writes_it(row: NumberFormat) -> None:
    """Values, midpoints and points just beside them: all exact in float32, so torch rounds once."""
    finite = np.unique(patterns(row).numpy()[np.isfinite(patterns(row).numpy())])
    if row.bits == 16:
        finite = finite[:: 7 if row.key == "fp16" else 13]
    middles = (finite[1:] + finite[:-1]) / 2
    top = float(row.largest)
    ways = (np.float32(-np.inf), np.float32(np.inf))
    beside = np.concatenate([np.nextafter(middles.astype(np.float32), way) for way in ways])
    beyond = np.array([top * factor for factor in (1, 1.0009765625, 1.015625, 1.03125, 1.0625, 1.125, 1.5)])
    beyond = beyond[beyond <= float(FORMATS["fp32"].largest)]
    values = np.concatenate([finite, middles, beside, beyond, -beyond]).astype(np.float32)
    dtype = getattr(torch, row.torch_dtype)
    code = {8: torch.uint8, 16: torch.uint16}[row.bits]
    written = torch.from_numpy(values).to(dtype).view(code).tolist()
    for value, expected in zip(values.tolist(), written, strict=True):
        stored = encode(Exact(Fraction(value), math.copysign(1, value) < 0), row)
        assert int(stored.pattern, 2) == expected, value


@pytest.mark.parametrize("row", SMALL, ids=SMALL_IDS)
@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e30", "-1e300"])
def test_infinity_and_not_a_number_are_torch_s(row: NumberFormat, text: str) -> None:
    stored = encode(parse_number(text), row)
    torch_says = torch.tensor(float(text), dtype=torch.float64).to(getattr(torch, row.torch_dtype)).double()
    assert (stored.kind == "nan") == bool(torch_says.isnan())
    assert (stored.kind == "infinity") == bool(torch_says.isinf())
    if stored.value is not None:
        assert abs(float(stored.value) / float(torch_says) - 1) < 2**-row.significand_bits
        assert stored.value == Fraction(float(torch_says)) or row.bits == 16


@pytest.mark.parametrize(
    "text", ["0.1", "1/3", "65504", "3.4028235e38", "1e-45", "1e-46", "2^-149", "-0", "1e39"]
)
def test_fp32_is_that_of_the_machine(text: str) -> None:
    stored = encode(parse_number(text), FORMATS["fp32"])
    meant = parse_number(text)
    nearest = np.float64(float(meant.value)) if meant.value else -0.0
    with np.errstate(over="ignore"):
        machine = struct.unpack(">I", struct.pack(">f", np.float32(nearest)))[0]
    assert int(stored.pattern, 2) == machine


def test_a_number_is_rounded_once() -> None:
    """Through float32 this one would first become the midpoint 1 + 2^-11, then, tied, 1."""
    text = f"{2**35 + 2**24 + 1}/{2**35}"
    assert encode(parse_number(text), FORMATS["fp16"]).value == 1 + Fraction(1, 1024)
    assert encode(parse_number("2049/2048"), FORMATS["fp16"]).value == 1


def test_the_edges_that_the_page_offers() -> None:
    fp16 = FORMATS["fp16"]
    assert encode(parse_number("65,504"), fp16).pattern == "0111101111111111"
    assert encode(parse_number("65519.99"), fp16).value == 65504
    assert encode(parse_number("65520"), fp16).kind == "infinity"
    assert encode(parse_number("1e-8"), fp16).kind == "zero"
    assert encode(parse_number("2^-24"), fp16).kind == "subnormal"
    assert encode(parse_number("2^-25"), fp16).kind == "zero"  # a tie; zero is even
    assert encode(parse_number("NaN"), fp16).fields == ("0", "11111", "1000000000")
    assert encode(parse_number("464"), FORMATS["e4m3"]).value == 448
    assert encode(parse_number("465"), FORMATS["e4m3"]).value == 448
    assert encode(parse_number("-inf"), FORMATS["e4m3"]).value == -448
    tenth = encode(parse_number("0.1"), FORMATS["bf16"])
    assert tenth.value == Fraction(205, 2048)
    assert tenth.error == Fraction(205, 2048) - Fraction(1, 10)


def test_published_limits() -> None:
    """Largest, smallest normal, smallest and the gap above 1: IEEE 754, Micikevicius et al. 2022, table 1."""
    limits = {
        key: (row.largest, row.smallest_normal, row.smallest, row.epsilon) for key, row in FORMATS.items()
    }
    for key, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16),
                       ("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):  # fmt: skip
        info = torch.finfo(dtype)
        assert limits[key][0] == Fraction(info.max)
        assert limits[key][1] == Fraction(info.smallest_normal)
        assert limits[key][3] == Fraction(info.eps)
    assert limits["e4m3"][2] == Fraction(1, 2**9)
    assert limits["e5m2"][2] == Fraction(1, 2**16)
    assert limits["tf32"][3] == Fraction(1, 1024)


@pytest.mark.parametrize("key", ["fp16", "bf16"])
def test_adding_one_stops(key: str) -> None:
    row = FORMATS[key]
    stop = torch.tensor(float(row.counts_to), dtype=getattr(torch, row.torch_dtype))
    assert stop + 1 == stop
    assert (stop - 1) + 1 == stop


def test_neighbours_and_gaps() -> None:
    fp16 = FORMATS["fp16"]
    assert window_around(Fraction(2048), fp16, 2) == (2044, 2052)
    assert numbers_between(Fraction(2046), Fraction(2052), fp16, 9)[1] == (2046, 2047, 2048, 2050, 2052)
    assert numbers_between(-fp16.smallest, fp16.smallest, fp16, 9)[1] == (-fp16.smallest, 0, fp16.smallest)
    assert window_around(Fraction(70000), fp16, 1) == (70000 - 32, 70000 + 32)  # gaps of the largest
    assert numbers_between(Fraction(65500), Fraction(70000), fp16, 9)[1] == (65504,)
    assert gap_at(Fraction(2048), fp16) == 2
    assert gap_at(Fraction(2047), fp16) == 1
    assert gap_at(Fraction(0), fp16) == fp16.smallest
    assert gap_at(Fraction(65505), fp16) is None


@pytest.mark.parametrize(
    "text", ["", "  ", "x", "1e", "1/0", "1e99999", "2^9999", "9" * 61, "</script>", "1;2", "--1", "0x10"]
)
def test_what_is_no_number_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingError):
        parse_number(text)


@pytest.mark.parametrize("row", SMALL, ids=SMALL_IDS)
def test_text_of_a_number_is_read_back_exactly(row: NumberFormat) -> None:
    for code in range(0, 2**row.bits, 1 if row.bits == 8 else 97):
        number = decode(f"{code:0{row.bits}b}", row)
        assert parse_number(number_text(number)) == number


def test_decimals_are_all_there() -> None:
    assert number_text(parse_number("2^-10")) == "0.0009765625"
    assert number_text(encode_fp32("0.1"), 60) == "0.100000001490116119384765625"
    assert number_text(encode_fp32("3e38")) == "7395571*2^105"
    assert number_text(parse_number("1/3")) == "1/3"


def encode_fp32(text: str) -> Exact:
    return Exact(encode(parse_number(text), FORMATS["fp32"]).value)
