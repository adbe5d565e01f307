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
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from model_runtime.errors import SettingError

Kind = Literal["zero", "subnormal", "normal", "infinity", "nan"]
LONGEST_TEXT = 60  # characters
_MOST_EXPONENT = 400  # powers of ten or two that a text may name
_FAR = Fraction(10) ** 300  # larger, and smaller than its inverse, is refused: every format ends long before
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,4})?\Z", re.IGNORECASE)
_POWER = re.compile(r"([+-]?)(?:(\d+)\*)?2(?:\^|\*\*)([+-]?\d{1,4})\Z")
_RATIO = re.compile(r"([+-]?\d+)/(\d+)\Z")
_SPECIAL = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "∞": math.inf}


@dataclass(frozen=True)
class NumberFormat:
    """A binary floating-point format: 1 sign bit, then the exponent, then the significand.

    >>> FORMATS["fp16"].largest == 65504, FORMATS["e4m3"].largest == 448
    (True, True)
    """

    key: str
    title: str
    exponent_bits: int
    significand_bits: int  # stored ones; a normal number has one more, always 1, in front
    torch_dtype: str | None  # None: torch has no such type
    has_infinity: bool = True
    says: str = ""

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.significand_bits

    @property
    def bias(self) -> int:
        """What is taken off the stored exponent."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def largest(self) -> Fraction:
        """The largest finite value."""
        top = 2**self.exponent_bits - 1
        if self.has_infinity:  # the top exponent is for infinity and NaN
            return (2 - Fraction(1, 2**self.significand_bits)) * _power(top - 1 - self.bias)
        # Only the pattern of all ones is NaN (e4m3): the last significand below it is a number.
        return (2 - Fraction(2, 2**self.significand_bits)) * _power(top - self.bias)

    @property
    def smallest_normal(self) -> Fraction:
        return _power(1 - self.bias)

    @property
    def smallest(self) -> Fraction:
        """The smallest above 0: a subnormal."""
        return _power(1 - self.bias - self.significand_bits)

    @property
    def epsilon(self) -> Fraction:
        """The gap from 1 to the next number."""
        return _power(-self.significand_bits)

    @property
    def counts_to(self) -> int:
        """The whole number from which adding 1 changes nothing: the gap is 2, and the tie goes to even."""
        return int(2 ** (self.significand_bits + 1))


FORMATS: dict[str, NumberFormat] = {
    row.key: row
    for row in (
        NumberFormat("fp32", "fp32", 8, 23, "float32", says="single precision: what a CPU computes in"),
        NumberFormat("tf32", "tf32", 8, 10, None, says="inside NVIDIA's tensor cores: stored in 32 bits"),
        NumberFormat("fp16", "fp16", 5, 10, "float16", says="half precision: fine steps, a narrow range"),
        NumberFormat("bf16", "bf16", 8, 7, "bfloat16", says="fp32 cut in half: its range, coarse steps"),
        NumberFormat("e4m3", "fp8 e4m3", 4, 3, "float8_e4m3fn", False, "no infinity: it stops at 448"),
        NumberFormat("e5m2", "fp8 e5m2", 5, 2, "float8_e5m2", says="fp16 cut in half"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Exact:
    """A number as it was meant, before any format: `value` None is NaN or, with a sign, infinity."""

    value: Fraction | None
    negative: bool = False
    infinite: bool = False


@dataclass(frozen=True)
class Stored:
    """What a number became in a format.

    `pattern` has the bits from the sign down, as text of 0 and 1. `value` is exact; None for infinity and
    NaN. `error` is value - meant, `relative` |error / meant|; None where either is not finite.
    """

    number_format: NumberFormat
    pattern: str
    kind: Kind
    value: Fraction | None
    error: Fraction | None
    relative: float | None

    @property
    def negative(self) -> bool:
        return self.pattern[0] == "1"

    @property
    def fields(self) -> tuple[str, str, str]:
        """Sign, exponent and significand bits."""
        end = 1 + self.number_format.exponent_bits
        return self.pattern[0], self.pattern[1:end], self.pattern[end:]


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


def decimal_text(value: Fraction) -> str:
    """A number whose denominator is a power of two (all that a format holds) with all its decimals."""
    twos = value.denominator.bit_length() - 1
    digits = str(abs(value.numerator) * 5**twos).rjust(twos + 1, "0")
    whole, part = (digits[:-twos], digits[-twos:]) if twos else (digits, "")
    return f"{'-' if value < 0 else ''}{whole}{'.' if part else ''}{part}"


def _finite(words: str) -> Fraction | None:
    if power := _POWER.match(words):
        exponent = int(power[3])
        size = None if abs(exponent) > _MOST_EXPONENT else int(power[2] or 1) * _power(exponent)
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
        return _special(number.infinite, number.negative, number_format)
    size = abs(number.value)
    exponent = max(_exponent(size), 1 - number_format.bias) if size else 1 - number_format.bias
    gap = _power(exponent - number_format.significand_bits)
    steps = round(size / gap)  # Fraction's round takes ties to even
    if steps * gap > number_format.largest:
        return _special(True, number.negative, number_format, number.value)
    return _finite_code(steps, exponent, number, number_format)


def _finite_code(steps: int, exponent: int, number: Exact, number_format: NumberFormat) -> Stored:
    """`steps` gaps of the binade `exponent`, as bits."""
    m = number_format.significand_bits
    value = steps * _power(exponent - m)
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


def _special(
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
    value = (significand + (2**m if stored else 0)) * _power(exponent - m)
    return Exact(-value if negative else value, negative)


def gap_at(size: Fraction, number_format: NumberFormat) -> Fraction | None:
    """The distance of neighbouring numbers of a format at a size; None beyond its largest."""
    size = abs(size)
    if size > number_format.largest:
        return None
    exponent = max(_exponent(size), 1 - number_format.bias) if size else 1 - number_format.bias
    return _power(exponent - number_format.significand_bits)


def around(meant: Fraction, number_format: NumberFormat, each_side: int) -> tuple[Fraction, ...]:
    """The numbers of a format nearest to `meant`, up to `each_side` below or at it and as many above."""
    code = _ordinal(encode(Exact(meant, meant < 0), number_format), number_format)
    codes = range(code - each_side, code + each_side + 1)
    top = _ordinal(encode(Exact(number_format.largest), number_format), number_format)
    return tuple(_of_ordinal(c, number_format) for c in codes if -top <= c <= top)


def _ordinal(stored: Stored, number_format: NumberFormat) -> int:
    """Place of a stored number among all of its format, 0 at zero; infinities stand after the largest."""
    size = int(stored.pattern[1:], 2)
    return -size if stored.negative else size


def _of_ordinal(place: int, number_format: NumberFormat) -> Fraction:
    value = decode(f"{int(place < 0)}{abs(place):0{number_format.bits - 1}b}", number_format).value
    assert value is not None, place
    return value


def _power(exponent: int) -> Fraction:
    return Fraction(2**exponent) if exponent >= 0 else Fraction(1, 2**-exponent)


def _exponent(size: Fraction) -> int:
    """floor(log2(size)), exactly."""
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess if size >= _power(guess) else guess - 1


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


def add_one(start: int, number_format: NumberFormat) -> Fraction:
    """`start` + 1 in a format: the exact sum of what is stored, rounded once, as IEEE arithmetic does.

    >>> add_one(2048, FORMATS["fp16"]) == 2048, add_one(2047, FORMATS["fp16"]) == 2048
    (True, True)
    """
    held = encode(Exact(Fraction(start)), number_format).value
    assert held is not None, start
    result = encode(Exact(held + 1), number_format).value
    assert result is not None, start
    return result
