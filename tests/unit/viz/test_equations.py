"""Printed equations come out: what a calculator makes of the printed operands is what is printed."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz.equations import tex, tex_after_sign, tex_share, worked
from viz.text import significant, three_digits


def typed(words: str) -> float:
    """A number as a reader types it off the screen."""
    return float(words.replace(",", "").replace("−", "-"))


@pytest.mark.parametrize(
    ("total", "share"),
    [(1.72685, "57.9 %"), (1.22101, "81.9 %"), (1.20730, "82.8 %")],
)
def test_the_fractions_that_did_not_come_out(total: float, share: str) -> None:
    """1/1.73 was printed 57.9 %, 1/1.22 81.9 %, 1/1.207 0.8283: a calculator gives 57.8, 82.0 and 0.8285."""
    line = worked(1 / total, lambda whole: 1 / whole, total, words=lambda p: f"{100 * p:.1f} %")
    assert line.exact
    assert f"{100 / typed(line.operand(total)):.1f} %" == share
    assert f"{100 / typed(significant(total, line.digits - 1)):.1f} %" != share or line.digits == 3


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.sampled_from("×/+−"))
def test_any_two_numbers_give_what_is_printed(a: float, b: float, sign: str) -> None:
    compute = {
        "×": lambda x, y: x * y,
        "/": lambda x, y: x / y,
        "+": lambda x, y: x + y,
        "−": lambda x, y: x - y,
    }[sign]
    result = compute(a, b)
    line = worked(result, compute, a, b)
    if line.exact and "×" not in line.operand(a) + line.operand(b) + three_digits(result):
        again = compute(typed(line.operand(a)), typed(line.operand(b)))
        assert three_digits(again).rstrip("0.") == three_digits(result).rstrip("0.")
    assert line.exact or abs(result) < 1e-4 * max(a, b)


def test_what_no_digits_give_is_said_to_be_rounded() -> None:
    line = worked(2.5, lambda a, b: a * b, 1.0001, 2.0)
    assert (line.sign, line.tex_sign) == ("≈", r"\approx")
    assert worked(math.inf, lambda a: a, math.inf).exact
    assert worked(math.nan, lambda a: a, math.nan).exact


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0.0, 4, "0"),
        (123456.0, 4, "123{,}500"),
        (-2e-9, 4, r"-2\times 10^{-9}"),
        (1e7, 4, r"1\times 10^{7}"),
        (-3.456, 3, "-3.46"),
        (math.nan, 4, r"\mathrm{NaN}"),
    ],
)
def test_numbers_for_formulas(value: float, digits: int, written: str) -> None:
    assert tex(value, digits) == written


def test_signs_do_not_meet_and_shares_have_their_sign() -> None:
    assert (tex_after_sign(-2.0), tex_after_sign(2.0)) == ("(-2)", "2")
    assert not re.search("e-", tex_share(1e-9))
    assert tex_share(0.5) == r"50\,\%"
