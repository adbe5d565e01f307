"""Bits: one number in six formats, each bit a switch."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import streamlit as st

from model_runtime.errors import SettingError
from model_runtime.numbers import formats as computed
from model_runtime.numbers.formats import decode, number_text, parse_number
from model_runtime.records.formats import FORMATS, Exact, Stored, power_of_two
from pages.numbers.typed import all_formats, number_controls, origin, words_of
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from viz.numbers.bits import NumberBits, number_bits_figure
from viz.style import three_digits


def flip(click: Click) -> None:
    """A clicked bit is turned over, and the number becomes what the bits then say."""
    match click.customdata:
        case [str(key), int(bit)] if key in FORMATS:
            pattern = all_formats(_number())[key].pattern
        case _:
            return
    if not 0 <= bit < len(pattern):
        return
    flipped = pattern[:bit] + ("0" if pattern[bit] == "1" else "1") + pattern[bit + 1 :]
    state.set(number=number_text(decode(flipped, FORMATS[key])))


def _number() -> Exact:
    """The number in the link; a callback runs before its box is drawn again."""
    try:
        return parse_number(state.get("number"))
    except SettingError:
        return parse_number("0.1")


def table() -> None:
    """Limits of each format."""
    lines = [
        "| format | largest | smallest normal | smallest | gap after 1 |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in FORMATS.values():
        limits = (row.largest, row.smallest_normal, row.smallest, row.epsilon)
        lines.append(f"| **{row.title}** | {' | '.join(map(_limit, limits))} |")
    st.markdown("\n".join(lines))
    st.caption(
        " ".join(f"**{row.title}**: {row.says}." for row in FORMATS.values())
        + " Below the smallest normal number the leading 1 is gone, and digits with it (subnormal numbers)."
    )


def _limit(value: Fraction) -> str:
    """A limit of a format: whole where it is short."""
    whole = value.denominator == 1 and value < 10**6
    return f"{int(value):,}" if whole else three_digits(float(value)).replace(" × ", "\u00a0×\u00a0")


def mathematics(stored: Stored) -> str:
    """The value of the bits, with the number's own in fp16."""
    sign, exponent, significand = stored.fields
    head = (
        "Sign $s$, stored exponent $E$, significand bits $f$ of $m$ bits, bias $b = 2^{e-1} - 1$:\n\n"
        r"$$x = (-1)^s \cdot 2^{E - b} \cdot \left(1 + \frac{f}{2^m}\right) \quad\text{(normal)}, \qquad "
        r"x = (-1)^s \cdot 2^{1 - b} \cdot \frac{f}{2^m} \quad (E = 0\text{: subnormal})$$"
    )
    if stored.value is None:
        return f"{head}\n\nIn fp16 all exponent bits of this number are 1: infinity ($f = 0$) or NaN."
    e, fraction = int(exponent, 2), f"\\frac{{{int(significand, 2)}}}{{1024}}"
    power, lead = (e - 15, f"\\left(1 + {fraction}\\right)") if e else (-14, fraction)
    value = stored.decimal if len(stored.decimal) < 30 else f"{float(stored.value):.10g}"
    return f"{head}\n\nHere in fp16: $$(-1)^{sign} \\cdot 2^{{{power}}} \\cdot {lead} = {value}$$"


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    number = number_controls()
    formats = all_formats(number)
    live_figure(
        number_bits_figure(NumberBits(words_of(number), tuple(formats.values()))),
        key="bits",
        provenance=origin(number),
        clickable=True,
        on_click=flip,
    )
    table()
    code = (
        computed.encode,
        computed.finite_code,
        computed.special_code,
        computed.exponent_of,
        power_of_two,
        decode,
    )
    return Lesson(mathematics=partial(mathematics, formats["fp16"]), code=code)
