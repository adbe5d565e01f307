"""Bits: one number in six formats, each bit a switch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fractions import Fraction

import streamlit as st

from model_runtime.numbers import formats as number_formats
from model_runtime.numbers.formats import FORMATS, Exact, Stored, decimal_text, decode, number_text
from pages.numbers.typed import all_formats, error_words, number_controls, stored_words, words_of
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.settings import url_state as state
from viz.numbers.bits import BitRow, number_bits_figure, number_bits_record
from viz.style import three_digits

QUESTION = (
    "fp16 and bf16 both have 16 bits. Which of them can hold 70,000, and which is nearer to 0.1? "
    "Say it before you type the two numbers."
)
ANSWER = (
    "bf16 holds 70,000 (as 70,144): its 8 exponent bits reach as far as fp32's. In fp16 it is infinity, for "
    "the largest value is 65,504. But fp16 is nearer to 0.1, because it has 10 significand bits and bf16 "
    "only 7. With the same number of bits, range is bought with digits."
)
SOURCES = """
- IEEE 754-2019, Standard for floating-point arithmetic: sections 3.4 (the bits), 4.3.1 (rounding), 7.4
  (overflow).
- Kalamkar et al. 2019, [A study of bfloat16 for deep learning training](https://arxiv.org/abs/1905.12322).
- Micikevicius et al. 2022, [FP8 formats for deep learning](https://arxiv.org/abs/2209.05433), table 1.
- tf32 is rounded to nearest, ties to even, here; NVIDIA's own conversion takes ties away from zero.
- fp8 e4m3 has no infinity. What is too large stops at 448 here, as PyTorch's conversion does.
"""


def flip(click: Click) -> None:
    """A clicked bit is turned over, and the number becomes what the bits then say."""
    if not isinstance(click.customdata, list | tuple) or len(click.customdata) != 2:
        return
    key, bit = str(click.customdata[0]), int(click.customdata[1])
    pattern = all_formats(_number())[key].pattern
    flipped = pattern[:bit] + ("0" if pattern[bit] == "1" else "1") + pattern[bit + 1 :]
    state.set(number=number_text(decode(flipped, FORMATS[key])))


def _number() -> Exact:
    """The number in the link; a callback runs before its box is drawn again."""
    try:
        return number_formats.parse_number(state.get("number"))
    except number_formats.SettingError:
        return number_formats.parse_number("0.1")


def row_of(stored: Stored) -> BitRow:
    return BitRow(
        stored.number_format.key,
        stored.number_format.title,
        stored.fields,
        stored.kind,
        stored_words(stored),
        error_words(stored),
        "" if stored.value is None else decimal_text(stored.value),
        "" if stored.error is None else float(stored.error),
    )


def table(formats: Mapping[str, Stored]) -> None:
    """Limits of each format and what became of the number."""
    lines = [
        "| format | largest | smallest normal | smallest | gap after 1 |",
        "|---|---:|---:|---:|---:|",
    ]
    for stored in formats.values():
        row = stored.number_format
        limits = [row.largest, row.smallest_normal, row.smallest, row.epsilon]
        cells = " | ".join(_limit(value) for value in limits)
        lines.append(f"| **{row.title}** | {cells} |")
    st.markdown("\n".join(lines))
    st.caption(
        " ".join(f"**{s.number_format.title}**: {s.number_format.says}." for s in formats.values())
        + " Below the smallest normal number the leading 1 is gone, and digits with it (subnormal numbers)."
    )


def _limit(value: Fraction) -> str:
    """A limit of a format: whole where it is short."""
    whole = value.denominator == 1 and value < 10**6
    return f"{int(value):,}" if whole else three_digits(float(value)).replace(" × ", "\u00a0×\u00a0")


def mathematics(formats: Mapping[str, Stored]) -> str:
    """The value of the bits, with the number's own in fp16."""
    stored = formats["fp16"]
    sign, exponent, significand = stored.fields
    head = (
        "Sign $s$, stored exponent $E$, significand bits $f$ of $m$ bits, bias $b = 2^{e-1} - 1$:\n\n"
        r"$$x = (-1)^s \cdot 2^{E - b} \cdot \left(1 + \frac{f}{2^m}\right) \quad\text{(normal)}, \qquad "
        r"x = (-1)^s \cdot 2^{1 - b} \cdot \frac{f}{2^m} \quad (E = 0\text{: subnormal})$$"
    )
    if stored.value is None:
        return f"{head}\n\nIn fp16 all exponent bits of this number are 1: infinity ($f = 0$) or NaN."
    e, f = int(exponent, 2), int(significand, 2)
    power, lead = (
        (e - 15, f"\\left(1 + \\frac{{{f}}}{{1024}}\\right)") if e else (-14, f"\\frac{{{f}}}{{1024}}")
    )
    value = (
        decimal_text(stored.value) if len(decimal_text(stored.value)) < 30 else f"{float(stored.value):.10g}"
    )
    return f"{head}\n\nHere in fp16: $$(-1)^{sign} \\cdot 2^{{{power}}} \\cdot {lead} = {value}$$"


def draw(view: View) -> Lesson:
    """Draw the part."""
    number = number_controls()
    formats = all_formats(number)
    record = number_bits_record(words_of(number), [row_of(stored) for stored in formats.values()])
    live_figure(
        number_bits_figure(record),
        key="bits",
        provenance=Provenance("computed", extra={"number": words_of(number)}),
        clickable=True,
        on_click=flip,
    )
    table(formats)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(formats),
        code=lambda: (
            inspect.getsource(number_formats.encode) + "\n\n" + inspect.getsource(number_formats.decode)
        ),
        sources=SOURCES,
    )
