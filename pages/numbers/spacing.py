"""Spacing: how far apart the numbers of a format stand, and where adding 1 stops working."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction

import streamlit as st

from model_runtime.numbers import formats as number_formats
from model_runtime.numbers.formats import (
    FORMATS,
    Exact,
    NumberFormat,
    add_one,
    encode,
    gap_at,
    numbers_between,
)
from pages.numbers.typed import number_controls, words_of
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.settings import url_state as state
from viz.numbers.spacing import (
    MOST_TICKS,
    GapCurve,
    number_line_figure,
    number_line_record,
    number_spacing_figure,
    number_spacing_record,
)
from viz.style import three_digits

QUESTION = (
    "A counter in fp16 starts at 0 and 1 is added again and again. Where does it stop, and why there? And in "
    "bf16?"
)
ANSWER = (
    "At 2,048. From there on neighbours in fp16 are 2 apart: 2,049 lies in the middle between 2,048 and "
    "2,050, and a tie goes to the neighbour whose last bit is 0, which is 2,048. bf16 has three significand "
    "bits fewer and stops at 256; fp32 at 16,777,216. That is why sums in a model are kept in fp32."
)
SOURCES = """
- Goldberg 1991, [What every computer scientist should know about floating-point arithmetic][goldberg], ACM
  Computing Surveys 23(1).
- IEEE 754-2019, section 4.3.1: to the nearest, ties to even.

[goldberg]: https://doi.org/10.1145/103162.103163
"""
_WINDOW_GAPS = 4  # of the format that the window is made for, on either side


def curve_of(row: NumberFormat) -> GapCurve:
    """The binades of a format and their gaps."""
    first = _log2(row.smallest)
    last = math.floor(math.log2(row.largest))
    starts = range(first, last + 1)
    gaps = [_log2(gap) for start in starts if (gap := gap_at(Fraction(2) ** start, row)) is not None]
    return GapCurve(row.title, tuple(starts), tuple(gaps), float(row.largest), float(row.smallest))


def _log2(power: Fraction) -> int:
    """Of an exact power of two."""
    return power.numerator.bit_length() - power.denominator.bit_length()


def staircase(view: View, number: Exact) -> None:
    size = None if not number.value else abs(float(number.value)) or None
    record = number_spacing_record([curve_of(row) for row in FORMATS.values()], size, words_of(number))
    live_figure(
        number_spacing_figure(record),
        key="spacing",
        provenance=Provenance("computed", extra={"number": words_of(number)}),
    )


def line(view: View, number: Exact) -> None:
    """The numbers around this one, in a window made for one format."""
    if number.value is None:
        st.info("Infinity and NaN have no neighbours. Type a finite number to see what stands around it.")
        return
    made_for = FORMATS[state.get("zoom")]
    held = encode(number, made_for)
    gap = gap_at(held.value if held.value is not None else made_for.largest, made_for)
    assert gap is not None
    low, high = number.value - _WINDOW_GAPS * gap, number.value + _WINDOW_GAPS * gap
    found = {row.title: numbers_between(low, high, row, MOST_TICKS) for row in FORMATS.values()}
    stored = {row.title: encode(number, row).value for row in FORMATS.values()}
    record = number_line_record(
        {title: [float(value) for value in numbers] for title, (_, numbers) in found.items()},
        {title: count for title, (count, _) in found.items()},
        {title: None if value is None else float(value) for title, value in stored.items()},
        float(number.value),
        (float(low), float(high)),
        words_of(number),
    )
    st.segmented_control(
        "Wide enough to see the gaps of",
        [*FORMATS],
        format_func=lambda key: FORMATS[key].title,
        required=True,
        wrap=True,
        **state.bound("zoom"),
    )
    live_figure(
        number_line_figure(record),
        key="number-line",
        provenance=Provenance("computed", extra={"number": words_of(number)}),
    )


def counting() -> None:
    """Where adding 1 changes nothing any more."""
    st.subheader("Where adding 1 stops working", anchor=False)
    lines = ["| format | counts up to | from there, n + 1 gives | and n + 2 |", "|---|---:|---:|---:|"]
    for row in FORMATS.values():
        n = row.counts_to
        two = encode(Exact(Fraction(n + 2)), row).value
        assert two is not None
        lines.append(f"| {row.title} | {n:,} | {int(add_one(n, row)):,} | {int(two):,} |")
    st.markdown("\n".join(lines))


def mathematics(number: Exact) -> str:
    """The gap formula with this number's size."""
    head = (
        r"$$\mathrm{gap}(x) = 2^{\max(\lfloor \log_2 |x| \rfloor,\; 1 - b) - m}, \qquad "
        r"\text{largest relative error} = 2^{-m-1}$$"
    )
    if not number.value:
        return head
    lines = []
    for row in FORMATS.values():
        gap = gap_at(number.value, row)
        if gap is not None:
            size = three_digits(float(gap))
            lines.append(f"- {row.title}: $m = {row.significand_bits}$, $b = {row.bias}$, gap {size}")
    return f"{head}\n\nAt this number:\n\n" + "\n".join(lines)


def draw(view: View) -> Lesson:
    """Draw the part."""
    number = number_controls()
    line(view, number)
    staircase(view, number)
    counting()
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(number),
        code=lambda: (
            inspect.getsource(number_formats.gap_at) + "\n\n" + inspect.getsource(number_formats.add_one)
        ),
        sources=SOURCES,
    )
