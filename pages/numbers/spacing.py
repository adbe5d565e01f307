"""Spacing: how far apart the numbers of a format stand, and where adding 1 stops working."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.numbers import formats as computed
from model_runtime.numbers.formats import add, gap_at, numbers_between, window_around
from model_runtime.records.formats import FORMATS, Exact, power_of_two
from pages.numbers.typed import all_formats, number_controls, origin, words_of
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from viz.numbers.spacing import (
    MOST_TICKS,
    NumberLine,
    NumberSpacing,
    number_line_figure,
    number_spacing_figure,
)
from viz.style import three_digits

_WINDOW_GAPS = 4  # of the format that the window is made for, on either side


def staircase(number: Exact) -> None:
    size = None if not number.value else abs(float(number.value)) or None
    record = NumberSpacing(tuple(FORMATS.values()), size, words_of(number))
    live_figure(number_spacing_figure(record), key="spacing", provenance=origin(number))


def line(number: Exact) -> None:
    """The numbers around this one, in a window made for one format."""
    if number.value is None:
        st.info("Infinity and NaN have no neighbours. Type a finite number to see what stands around it.")
        return
    low, high = window_around(number.value, FORMATS[state.get("zoom")], _WINDOW_GAPS)
    found = [numbers_between(low, high, row, MOST_TICKS) for row in FORMATS.values()]
    stored = [one.value for one in all_formats(number).values()]
    record = NumberLine(
        titles=tuple(row.title for row in FORMATS.values()),
        numbers=tuple(tuple(map(float, numbers)) for _, numbers in found),
        counts=tuple(count for count, _ in found),
        stored=tuple(None if value is None else float(value) for value in stored),
        meant=float(number.value),
        low=float(low),
        high=float(high),
        words=words_of(number),
    )
    st.segmented_control(
        "Wide enough to see the gaps of",
        [*FORMATS],
        format_func=lambda key: FORMATS[key].title,
        required=True,
        wrap=True,
        **state.bound("zoom"),
    )
    live_figure(number_line_figure(record), key="number-line", provenance=origin(number))


def counting() -> None:
    """Where adding 1 changes nothing any more."""
    st.subheader("Where adding 1 stops working", anchor=False)
    lines = ["| format | counts up to | from there, n + 1 gives | and n + 2 |", "|---|---:|---:|---:|"]
    for row in FORMATS.values():
        n = row.counts_to
        lines.append(f"| {row.title} | {n:,} | {int(add(n, 1, row)):,} | {int(add(n, 2, row)):,} |")
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


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    number = number_controls()
    line(number)
    staircase(number)
    counting()
    code = (
        gap_at,
        add,
        computed.encode,
        computed.finite_code,
        computed.special_code,
        computed.exponent_of,
        power_of_two,
    )
    return Lesson(mathematics=partial(mathematics, number), code=code)
