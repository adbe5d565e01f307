"""Tokens: how text is cut into pieces, by this model and by others, and where the pieces come from."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, show
from pages.shared.frame.sides import sides
from pages.shared.settings import url_state as state
from pages.tokens.cases import choose_case
from pages.tokens.columns import rerun_if_changed
from pages.tokens.live_text import Draft, draft_what_is_no_prompt, live_text

NEEDS_TEXT = ("built", "train", "fed")  # say nothing about no text at all
OF_THE_PROMPT = ("fed",)  # runs the model, so it waits until typing stops


def text_and_cases() -> Draft:
    """The box, and beside it texts worth putting into it."""
    box, cases = st.columns([7, 3], gap="medium")
    with box:
        draft = live_text()
    with cases:
        choose_case()
    return draft


@st.fragment
def live_part() -> None:
    """All that follows the keys: drawn again alone while one types, and the rest of the page rests."""
    rerun_if_changed()
    with showing_errors():
        draft = text_and_cases()
        part = choose()
        text = draft.prompt if part.key in OF_THE_PROMPT else draft.text
        if part.key in NEEDS_TEXT and not text.strip():
            missing("There is no text to cut.", "Type something above, or choose an example.")
        else:
            current, *pinned = sides()
            show(part, (replace(current, draft=text), *pinned))
    state.write()


draft_what_is_no_prompt()
start_page()
live_part()
end_page()
