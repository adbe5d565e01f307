"""Pages of several parts: one idea a screen, chosen by one control and kept in the link.

    show(choose(), sides)

A new part is one file with a `draw`, its words in `assets/lessons`, and one row in `contents`. Only the
chosen part is imported and run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from model_runtime.errors import PointUnavailable
from pages.shared.frame import contents, lessons, not_finite
from pages.shared.frame.choice import choose as choose
from pages.shared.frame.contents import Part
from pages.shared.frame.errors import missing
from pages.shared.frame.page import details, try_this
from pages.shared.frame.printed import printed
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state


@dataclass(frozen=True)
class Lesson:
    """What stands below the figures of a part. What is "" here is taken from the part's text.

    `mathematics` may be a function, which is called when its line is open. `code` are functions and classes,
    printed whole as they stand in their files.
    """

    question: str = ""
    answer: str = ""
    mathematics: str | Callable[[], str] = ""
    code: str | Callable[[], str] | tuple[Any, ...] = ()
    sources: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)  # what stands for {name} in the part's text


def show(part: Part, sides: Sequence[Side]) -> None:
    """Draw a part and what stands below it; where a model has none of that, a sentence and a way on."""
    try:
        not_finite.check(part, sides)
        lesson = draw(part, sides)
    except PointUnavailable as refusal:
        missing(refusal.what, "Choose another model on top of the page.")
    else:
        end_part(lesson, part)


def draw(part: Part, sides: Sequence[Side]) -> Lesson:
    """Draw a part alone."""
    lesson: Lesson = importlib.import_module(part.module).draw(sides)
    return lesson


def end_part(lesson: Lesson, part: Part | None = None) -> None:
    """The question, and the three closed lines; of the page itself where it has no parts."""
    words = lessons.sections(contents.entry_of(state.page()).url, part.key if part else "")
    for name, value in lesson.fill.items():
        words = {heading: text.replace(f"{{{name}}}", value) for heading, text in words.items()}
    question = lesson.question or lessons.on_one_line(words.get("Question", ""))
    try_this(question, lesson.answer or words.get("Answer", ""))
    code = lesson.code
    if isinstance(code, tuple):
        code = partial(printed, *code) if code else ""
    details(
        mathematics=lesson.mathematics or words.get("Mathematics", ""),
        code=code,
        sources=lesson.sources or words.get("Sources", ""),
    )
