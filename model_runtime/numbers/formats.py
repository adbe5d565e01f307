"""Number formats to the bit: what a number becomes in fp32, tf32, fp16, bf16 and the two fp8 formats.

    stored = encode(parse_number("65520"), FORMATS["fp16"])
    stored.kind, stored.words            # ("infinity", "+∞")

Everything is computed with whole numbers (`fractions.Fraction`), so nothing is rounded twice on the way from
the typed text to the format. The rule is IEEE 754-2019, section 4.3.1: to the nearest, ties to even.
Sources: IEEE 754-2019, sections 3.4 (layout) and 7.4 (overflow); Micikevicius et al. 2022 (arXiv:2209.05433),
table 1, for the two fp8 formats; NVIDIA's Ampere white paper for tf32.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from model_runtime.errors import SettingError
from model_runtime.records.formats import (
    FORMATS,  # noqa: F401  # the examples below name it
    Exact,
    Kind,
    NumberFormat,
    Stored,
    decimal_text,
    power_of_two,
)

LONGEST_TEXT = 60  # characters
_MOST_EXPONENT = 400  # powers of ten or two that a text may name
_FAR = Fraction(10) ** 300  # larger, and smaller than its inverse, is refused: every format ends long before
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,4})?\Z", re.IGNORECASE)
_POWER = re.compile(r"([+-]?)(?:(\d+)\*)?2(?:\^|\*\*)([+-]?\d{1,4})\Z")
_RATIO = re.compile(r"([+-]?\d+)/(\d+)\Z")
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "∞": math.inf}


def parse_number(text: str) -> Exact:
    """Text as an exact number: "65,504", "0.1", "1e-8", "5*2^-24", "1/3", "NaN", "-inf".

    Raises:
        SettingError: no number, or one that is too long.

    >>> parse_number("0.1").value
    Fraction(1, 10)
    """
    words = text.strip().replace("\u2212", "-").replace(",", "").replace("_", "").replace(" ", "")
    if not words or len(words) > LONGEST_TEXT:
        raise SettingError(
            "There is no number." if not words else f"This number has {len(words):,} characters.",
            f"Type a number of at most {LONGEST_TEXT} characters, such as 65504, 0.1, 1e-8, 2^-24, 1/3, NaN.",
        )
    sign, bare = (words[0], words[1:]) if words[0] in "+-" else ("", words)
    if bare.lower() in _SPECIAL:
        return Exact(None, sign == "-", math.isinf(_SPECIAL[bare.lower()]))
    value = _finite(words)
    if value is not None and value and not 1 / _FAR <= abs(value) <= _FAR:
        raise SettingError(
            f"{_quoted(text)} is further from 1 than any format reaches.",
            "Type a number between 1e-300 and 1e300.",
        )
    if value is None:
        raise SettingError(
            f"{_quoted(text)} is no number that can be read.",
            "Type one such as 65504, 0.1, 1e-8, 2^-24, 1/3, NaN or -inf.",
        )
    return Exact(value, words.startswith("-"))


def _quoted(text: str) -> str:
    words = text.strip()
    return repr(words if len(words) <= 24 else f"{words[:24]}…")


def number_text(number: Exact, longest: int = 24) -> str:
    """A number as text that `parse_number` reads back exactly: a decimal where that is short, else m*2^e.

    >>> [number_text(parse_number(text)) for text in ("2^-2", "2^-149", "-inf")]
    ['0.25', '1*2^-149', '-inf']
    """
    sign = "-" if number.negative else ""
    if number.value is None:
        return f"{sign}{'inf' if number.infinite else 'nan'}"
    size = abs(number.value)
    twos = size.denominator.bit_length() - 1
    if size.denominator != 1 << twos:
        return f"{sign}{size.numerator}/{size.denominator}"
    decimal = f"{sign}{decimal_text(size)}"
    if len(decimal) <= longest:
        return decimal
    zeros = (size.numerator & -size.numerator).bit_length() - 1
    return f"{sign}{size.numerator >> zeros}*2^{zeros - twos}"


def _finite(words: str) -> Fraction | None:
    if power := _POWER.match(words):
        exponent = int(power[3])
        size = None if abs(exponent) > _MOST_EXPONENT else int(power[2] or 1) * power_of_two(exponent)
        return size if size is None or power[1] != "-" else -size
    if ratio := _RATIO.match(words):
        return Fraction(int(ratio[1]), int(ratio[2])) if int(ratio[2]) else None
    decimal = _DECIMAL.match(words)
    if not decimal or abs(int((decimal[3] or "e0")[1:])) > _MOST_EXPONENT:
        return None
    return Fraction(words)


def encode(number: Exact, number_format: NumberFormat) -> Stored:
    """A number in a format, rounded once: to the nearest, ties to the even significand.

    What rounds beyond the largest finite value becomes infinity. e4m3 has none: it stops at 448, infinity
    included, as torch 2.13 and the saturating mode of hardware do (the other mode gives NaN).

    >>> encode(parse_number("65519"), FORMATS["fp16"]).value == 65504
    True
    >>> encode(parse_number("65520"), FORMATS["fp16"]).kind
    'infinity'
    """
    if number.value is None:
        return special_code(number.infinite, number.negative, number_format)
    size = abs(number.value)
    exponent = max(exponent_of(size), 1 - number_format.bias) if size else 1 - number_format.bias
    gap = power_of_two(exponent - number_format.significand_bits)
    steps = round(size / gap)  # Fraction's round takes ties to even
    if steps * gap > number_format.largest:
        return special_code(True, number.negative, number_format, number.value)
    return finite_code(steps, exponent, number, number_format)


def finite_code(steps: int, exponent: int, number: Exact, number_format: NumberFormat) -> Stored:
    """`steps` gaps of the binade `exponent`, as bits."""
    m = number_format.significand_bits
    value = steps * power_of_two(exponent - m)
    if steps >= 2 ** (m + 1):  # rounded up into the next binade
        steps, exponent = steps // 2, exponent + 1
    normal = steps >= 2**m
    stored = exponent + number_format.bias if normal else 0
    pattern = f"{int(number.negative)}{stored:0{number_format.exponent_bits}b}{steps % 2**m:0{m}b}"
    kind: Kind = "normal" if normal else "subnormal" if steps else "zero"
    signed = -value if number.negative else value
    meant = number.value if number.value is not None else signed
    error = signed - meant
    relative = float(abs(error / meant)) if meant else None
    return Stored(number_format, pattern, kind, signed, error, relative)


def special_code(
    infinite: bool, negative: bool, number_format: NumberFormat, meant: Fraction | None = None
) -> Stored:
    """Infinity or NaN; where a format has no infinity, its largest number."""
    m, sign = number_format.significand_bits, str(int(negative))
    ones = "1" * number_format.exponent_bits
    if infinite and not number_format.has_infinity:
        value = -number_format.largest if negative else number_format.largest
        error = None if meant is None else value - meant
        relative = None if not meant or error is None else float(abs(error / meant))
        return Stored(number_format, f"{sign}{ones}{'1' * (m - 1)}0", "normal", value, error, relative)
    if infinite:
        return Stored(number_format, f"{sign}{ones}{'0' * m}", "infinity", None, None, None)
    quiet = f"1{'0' * (m - 1)}" if number_format.has_infinity else "1" * m
    return Stored(number_format, f"{sign}{ones}{quiet}", "nan", None, None, None)


def decode(pattern: str, number_format: NumberFormat) -> Exact:
    """The number of a bit pattern, the inverse of `encode`.

    >>> decode("0111101111111111", FORMATS["fp16"]).value
    Fraction(65504, 1)
    """
    assert len(pattern) == number_format.bits, (len(pattern), number_format.bits)
    m, e = number_format.significand_bits, number_format.exponent_bits
    negative, stored, significand = pattern[0] == "1", int(pattern[1 : 1 + e], 2), int(pattern[1 + e :], 2)
    if stored == 2**e - 1 and number_format.has_infinity:
        return Exact(None, negative, infinite=significand == 0)
    if not number_format.has_infinity and pattern[1:] == "1" * (e + m):
        return Exact(None, negative)
    exponent = max(stored, 1) - number_format.bias
    value = (significand + (2**m if stored else 0)) * power_of_two(exponent - m)
    return Exact(-value if negative else value, negative)


def gap_at(size: Fraction, number_format: NumberFormat) -> Fraction | None:
    """The distance of neighbouring numbers of a format at a size; None beyond its largest."""
    size = abs(size)
    if size > number_format.largest:
        return None
    exponent = max(exponent_of(size), 1 - number_format.bias) if size else 1 - number_format.bias
    return power_of_two(exponent - number_format.significand_bits)


def _ordinal(stored: Stored, number_format: NumberFormat) -> int:
    """Place of a stored number among all of its format, 0 at zero; infinities stand after the largest."""
    size = int(stored.pattern[1:], 2)
    return -size if stored.negative else size


def _of_ordinal(place: int, number_format: NumberFormat) -> Fraction:
    value = decode(f"{int(place < 0)}{abs(place):0{number_format.bits - 1}b}", number_format).value
    assert value is not None, place
    return value


def exponent_of(size: Fraction) -> int:
    """floor(log2(size)), exactly."""
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess if size >= power_of_two(guess) else guess - 1


def numbers_between(
    low: Fraction, high: Fraction, number_format: NumberFormat, most: int
) -> tuple[int, tuple[Fraction, ...]]:
    """How many numbers of a format lie from `low` to `high`, and these numbers if they are at most `most`.

    >>> numbers_between(Fraction(2046), Fraction(2052), FORMATS["fp16"], 9)[0]
    5
    """
    first = _ordinal(encode(Exact(low, low < 0), number_format), number_format)
    last = _ordinal(encode(Exact(high, high < 0), number_format), number_format)
    top = _ordinal(encode(Exact(number_format.largest), number_format), number_format)
    first, last = max(first, -top), min(last, top)
    if first <= last:
        first += _of_ordinal(first, number_format) < low
        last -= _of_ordinal(last, number_format) > high
    count = max(0, last - first + 1)
    inside = range(first, last + 1) if count <= most else range(0)
    return count, tuple(_of_ordinal(place, number_format) for place in inside)


def window_around(value: Fraction, number_format: NumberFormat, n: int) -> tuple[Fraction, Fraction]:
    """From `n` gaps of a format below a number to as many above it."""
    held = encode(Exact(value, value < 0), number_format).value
    gap = gap_at(number_format.largest if held is None else held, number_format)
    assert gap is not None
    return value - n * gap, value + n * gap


def add(start: int, more: int, number_format: NumberFormat) -> Fraction:
    """`start` + `more` in a format: the exact sum of what is stored, rounded once, as IEEE arithmetic does.

    >>> add(2048, 1, FORMATS["fp16"]) == 2048, add(2047, 1, FORMATS["fp16"]) == 2048
    (True, True)
    """
    held, added = (encode(Exact(Fraction(number)), number_format).value for number in (start, more))
    assert held is not None, start
    assert added is not None, more
    result = encode(Exact(held + added), number_format).value
    assert result is not None, start
    return result
