"""Pages of several parts: one idea a screen, chosen by one control and kept in the link.

    part = choose(PARTS, "part")
    lesson = part.draw(view, drawings)
    end_part(lesson)

A new part is one file with a `draw` and one line in its page's table. Only the chosen part is imported and
run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.shared.frame.page import details, try_this
from pages.shared.settings import url_state as state


@dataclass(frozen=True)
class Lesson:
    """What stands below the figures of a part: a question with its answer, mathematics, code, sources.

    All are our own markdown. `mathematics` may be a function, which is called when the line is open.
    """

    question: str
    answer: str
    mathematics: str | Callable[[], str] = ""
    code: str | Callable[[], str] = ""
    sources: str = ""


@dataclass(frozen=True)
class Part:
    """One part of a page. `module` has a function `draw(...) -> Lesson`."""

    key: str  # in the link
    title: str  # on the control: two or three words
    says: str  # one sentence: what one is about to see and what to look for
    module: str

    def draw(self, *args: Any) -> Lesson:
        """Draw the part; the arguments are its page's."""
        lesson: Lesson = importlib.import_module(self.module).draw(*args)
        return lesson


def choose(parts: Sequence[Part], setting: str, label: str = "Part of this page") -> Part:
    """The control that chooses a part, and its sentence. `setting` is a row of the table of settings."""
    by_key = {part.key: part for part in parts}
    st.segmented_control(
        label,
        [*by_key],
        format_func=lambda key: by_key[key].title,
        required=True,
        label_visibility="collapsed",
        **state.bound(setting),
    )
    part = by_key.get(state.get(setting), parts[0])
    st.markdown(part.says)
    return part


def end_part(lesson: Lesson) -> None:
    """The question, and the three closed lines."""
    try_this(lesson.question, lesson.answer)
    details(mathematics=lesson.mathematics, code=lesson.code, sources=lesson.sources)
