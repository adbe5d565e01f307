"""Texts worth cutting, one click each, and what to look for in them."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN
from pages.tokens.columns import changed

_KEY = "gf.case"


@dataclass(frozen=True)
class Case:
    """A text and the one thing to look for. `look` says nothing that depends on the loaded model."""

    name: str
    text: str
    look: str


CASES: tuple[Case, ...] = (
    Case(
        "Sentence",
        "a fluffy blue creature roamed the verdant forest",
        "Frequent words are one token with their leading space; the rarer the word, the more pieces.",
    ),
    Case(
        "Heroes",
        "cat superman spiderman",
        "*cat* is one token, the heroes are not: a vocabulary has what its training text repeated most.",
    ),
    Case(
        "Numbers",
        "1234567 + 89 = 1234656",
        "Digits are cut into groups that say nothing of their worth, and each tokenizer has its own.",
    ),
    Case(
        "Languages",
        "Good morning. Guten Morgen. 早上好。 सुप्रभात। صباح الخير.",
        "The further from English, the shorter the pieces, down to single bytes of one character.",
    ),
    Case(
        "Code",
        'def area(width, height):\n    """Return the area."""\n    return width * height\n',
        "Indentation is a token a space in GPT-2, and one token in tokenizers that learned from code.",
    ),
    Case(
        "Leading space",
        "apple apple Apple APPLE",
        "To a tokenizer the first *apple* and the second are different tokens: one has a space in it.",
    ),
    Case(
        "Emoji",
        "👍 👍🏽 👩‍👩‍👧 🤖",
        "One sign on the screen can be several characters, and each of those several tokens.",
    ),
)


def choose_case() -> None:
    """The cases as one row of buttons; the one whose text is the prompt is marked and explained."""
    now = next((case for case in CASES if case.text == state.get("prompt")), None)
    st.session_state[_KEY] = now.name if now else None
    st.pills(
        "Cases to try",
        [case.name for case in CASES],
        key=_KEY,
        on_change=_take,
        wrap=True,
    )
    if now is not None:
        st.caption(f"**{now.name}.** {now.look}")


def _take() -> None:
    case = next((case for case in CASES if case.name == st.session_state[_KEY]), None)
    if case is not None:
        state.forget_refused()
        state.set(prompt=case.text, token=LAST_TOKEN)
        changed()
