"""The prompt in the bar on top of every page: Enter runs it.

What is typed stays in the browser until it is run; a text that cannot be the prompt stays in its box.
"""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from pages.shared.figure import scripts
from pages.shared.settings import url_state
from pages.shared.settings.kinds import clean
from pages.shared.settings.table import MOST_PROMPT_CHARACTERS

KEY = "gf.prompt"
_TYPED = "gf.typed"  # a text to run, until the script begins
_COMPONENT = scripts.component("prompt_box")


def draw() -> None:
    """The box with the prompt of now."""
    _COMPONENT(
        key=KEY,
        data={"text": url_state.get("prompt"), "most": MOST_PROMPT_CHARACTERS},
        on_run_change=_ran,
    )


def take() -> None:
    """Make what was typed the prompt. Text over the limit is not taken: a notice says so."""
    typed = st.session_state.pop(_TYPED, None)
    if typed is not None:
        url_state.forget_refused()
        url_state.set(prompt=typed)


def _ran() -> None:
    """Keep a report of the box. What comes over the wire is anybody's: what is no report of ours is none."""
    report = st.session_state[KEY].run
    text = report.get("text") if isinstance(report, Mapping) else None
    if isinstance(text, str):
        st.session_state[_TYPED] = clean(text)
