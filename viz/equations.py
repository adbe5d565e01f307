"""Equations with numbers put in: they come out on the reader's calculator, digit for digit.

    line = worked(angle, lambda n, theta: n * theta, position, theta)
    f"{position} × {line.operand(theta)} {line.sign} {three_digits(angle)}"

Operands have as many digits as it takes, so that what is printed gives the result that is printed. Where no
number of digits does (the model rounded on its way), the sign is ≈.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from viz.text import as_printed, significant, three_digits

_MOST = 9  # significant digits; float32 has seven


@dataclass(frozen=True)
class Worked:
    """How one equation is printed."""

    digits: int  # significant digits of its operands
    exact: bool  # the printed operands give the printed result

    @property
    def sign(self) -> str:
        """Between the operands and the result, in plain text."""
        return "=" if self.exact else "≈"

    @property
    def tex_sign(self) -> str:
        """The same in a formula."""
        return "=" if self.exact else r"\approx"

    def operand(self, value: float) -> str:
        """An operand in plain text."""
        return significant(value, self.digits)

    def tex(self, value: float) -> str:
        """An operand in a formula."""
        return tex(value, self.digits)


def worked(
    result: float,
    compute: Callable[..., float],
    *operands: float,
    least: int = 3,
    words: Callable[[float], str] = three_digits,
) -> Worked:
    """The fewest digits, `least` or more, with which `compute` of the printed operands is the printed result.

    Args:
        operands: numbers; whole ones are printed in full, so they lose nothing.
        words: how the result is printed.

    >>> worked(0.579087, lambda total: 1 / total, 1.72686)
    Worked(digits=4, exact=True)
    >>> worked(0.6, lambda total: 1 / total, 1.72686).sign
    '≈'
    """
    if not all(map(math.isfinite, (result, *operands))):
        return Worked(least, True)  # digits change nothing
    for digits in range(least, _MOST + 1):
        printed = [v if isinstance(v, int) else as_printed(v, digits) for v in operands]
        if _bare(words(compute(*printed))) == _bare(words(result)):
            return Worked(digits, True)
    return Worked(least, False)


def _bare(words: str) -> str:
    """Without zeros after the point: 2.00 is 2."""
    return re.sub(r"\.0+(?!\d)", "", words)


def tex(value: float, digits: int = 4) -> str:
    r"""A number in a formula: so many significant digits, powers of ten as such, no zeros at its end.

    >>> tex(0.5), tex(-1234567.0), tex(1.5e-7), tex(float("-inf")), tex(12345.6, 6)
    ('0.5', '-1.235\\times 10^{6}', '1.5\\times 10^{-7}', '-\\infty', '12{,}345.6')
    """
    if math.isnan(value):
        return r"\mathrm{NaN}"
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    rounded = as_printed(value, digits)
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e6:
        whole = max(digits, len(f"{abs(rounded):.0f}"))
        return f"{rounded:,.{whole}g}".replace(",", "{,}")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return rf"{float(mantissa):g}\times 10^{{{int(exponent)}}}"


def tex_after_sign(value: float, digits: int = 4) -> str:
    """A number after an operator: a negative one in brackets, so that two signs do not meet."""
    return f"({tex(value, digits)})" if value < 0 else tex(value, digits)


def tex_share(probability: float) -> str:
    r"""A share in a formula: percent above 0.1 %; more digits close to 100 %.

    >>> tex_share(0.338), tex_share(0.99996), tex_share(0.00002)
    ('33.8\\,\\%', '99.996\\,\\%', '2\\times 10^{-5}')
    """
    if probability < 0.001:
        return tex(probability, 3)
    percent = tex(100 * probability, 3) if probability < 0.9995 else f"{100 * probability:.6g}"
    return rf"{percent}\,\%"
