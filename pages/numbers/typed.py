"""The typed number that the parts of Number formats share: its box, its examples, and what it means."""

from __future__ import annotations

import streamlit as st

from model_runtime.errors import SettingError
from model_runtime.numbers.formats import (
    FORMATS,
    Exact,
    Stored,
    decimal_text,
    encode,
    number_text,
    parse_number,
)
from pages.shared.escape import plain
from pages.shared.settings import url_state as state
from viz.style import three_digits

EXAMPLES = ("0.1", "65504", "65520", "2049", "1e-8", "2^-24", "1/3", "NaN")
_LAST = "gf.number"  # the last text that was a number


def number_controls() -> Exact:
    """The box and the examples; the number to draw: the last good one while the text is none."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Number", max_chars=60, width=220, **state.bound("number"))
        for example in EXAMPLES:
            st.button(
                _shown(example),
                key=f"gf.number.{example}",
                type="tertiary",
                on_click=state.set,
                kwargs={"number": example},
            )
    text: str = state.get("number")
    try:
        number = parse_number(text)
    except SettingError as error:
        kept = st.session_state.setdefault(_LAST, "0.1")
        st.warning(f"{plain(error.what)} {plain(error.remedy)} {plain(kept)} is shown.")
        return parse_number(kept)
    st.session_state[_LAST] = text
    return number


def _shown(example: str) -> str:
    return f"{int(example):,}" if example.isdigit() else example.replace("^-24", "⁻²⁴")


def words_of(number: Exact) -> str:
    """The number as a title says it."""
    for words in (str(state.get("number")).strip(), str(st.session_state.get(_LAST, ""))):
        if _same(words, number) and len(words) <= 12 and not words.isdigit():
            return words.replace("-", "−")
    words = number_text(number, 20)
    if number.value is not None and number.value.denominator == 1 and words.lstrip("-").isdigit():
        words = f"{int(words):,}"
    if number.value is not None and len(words) > 12 and "/" not in words:
        words = f"about {three_digits(float(number.value))}"
    return words.replace("inf", "∞").replace("nan", "NaN").replace("-", "−")


def _same(text: str, number: Exact) -> bool:
    """Whether the typed text is this number: while it is none, the last good one is shown."""
    try:
        return parse_number(text) == number
    except SettingError:
        return False


def stored_words(stored: Stored) -> str:
    """What is stored, with all its decimals where they are few."""
    if stored.value is None:
        return "NaN" if stored.kind == "nan" else f"{'−' if stored.negative else '+'}∞"
    if not stored.value:
        return "−0" if stored.negative else "0"
    text = decimal_text(stored.value)
    if len(text) > 20:
        text = (
            f"{float(stored.value):.10g}…"
            if "e" not in f"{float(stored.value):.10g}"
            else number_short(stored)
        )
    elif stored.value.denominator == 1:
        text = f"{int(stored.value):,}"
    return text.replace("-", "−")


def number_short(stored: Stored) -> str:
    """A very large or small number in powers of ten."""
    assert stored.value is not None
    return f"{float(stored.value):.8g}"


def error_words(stored: Stored) -> str:
    """How far off what is stored is; "0" where it is exact, "" where there is no distance."""
    if stored.error is None:
        return ""
    if not stored.error:
        return "0"
    relative = "" if stored.relative is None else f" ({_percent(stored.relative)})"
    return f"{three_digits(float(stored.error))}{relative}"


def _percent(relative: float) -> str:
    """A relative error as percent, however small."""
    return f"{three_digits(100 * relative)} %"


def all_formats(number: Exact) -> dict[str, Stored]:
    """The number in every format, by key."""
    return {key: encode(number, row) for key, row in FORMATS.items()}
