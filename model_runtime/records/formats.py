"""Number formats, and what a number becomes in one. Exact: everything is a whole number or a fraction."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["zero", "subnormal", "normal", "infinity", "nan"]


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
            return (2 - Fraction(1, 2**self.significand_bits)) * power_of_two(top - 1 - self.bias)
        # Only the pattern of all ones is NaN (e4m3): the last significand below it is a number.
        return (2 - Fraction(2, 2**self.significand_bits)) * power_of_two(top - self.bias)

    @property
    def smallest_normal(self) -> Fraction:
        return power_of_two(1 - self.bias)

    @property
    def smallest(self) -> Fraction:
        """The smallest above 0: a subnormal."""
        return power_of_two(1 - self.bias - self.significand_bits)

    @property
    def epsilon(self) -> Fraction:
        """The gap from 1 to the next number."""
        return power_of_two(-self.significand_bits)

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
}


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

    @property
    def decimal(self) -> str:
        """All its decimals; "" where it is not finite."""
        return "" if self.value is None else decimal_text(self.value)


def decimal_text(value: Fraction) -> str:
    """A number whose denominator is a power of two (all that a format holds) with all its decimals."""
    twos = value.denominator.bit_length() - 1
    digits = str(abs(value.numerator) * 5**twos).rjust(twos + 1, "0")
    whole, part = (digits[:-twos], digits[-twos:]) if twos else (digits, "")
    return f"{'-' if value < 0 else ''}{whole}{'.' if part else ''}{part}"


def power_of_two(exponent: int) -> Fraction:
    """
    >>> power_of_two(-2)
    Fraction(1, 4)
    """
    return Fraction(2**exponent) if exponent >= 0 else Fraction(1, 2**-exponent)
