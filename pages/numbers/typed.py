"""The typed number that the parts of Number formats share: its box, its examples, and what it means."""

from __future__ import annotations

import streamlit as st

from model_runtime.errors import SettingError
from model_runtime.numbers.formats import encode, number_text, parse_number
from model_runtime.records.formats import FORMATS, Exact, Stored
from pages.shared.escape import plain
from pages.shared.figure.provenance import Provenance
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


def origin(number: Exact) -> Provenance:
    """Of a figure that is computed from the number alone."""
    return Provenance("computed", extra={"number": words_of(number)})


def all_formats(number: Exact) -> dict[str, Stored]:
    """The number in every format, by key."""
    return {key: encode(number, row) for key, row in FORMATS.items()}
