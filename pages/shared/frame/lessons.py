"""The words of a part as texts: `assets/lessons/<page>/<part>.md`, or `<page>.md` for a page without parts.

A text has sections, each under a line of its own: `# Look for` (one sentence under the control),
`# Question` and `# Answer` of "Try this", `# Mathematics` where it holds no numbers of the run, `# Sources`.
All are our own markdown. Texts are read once.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "lessons"
SECTIONS = ("Look for", "Question", "Answer", "Mathematics", "Sources")
_FORMULA = re.compile(r"\$\$.+?\$\$", re.DOTALL)
_HEADING = re.compile(rf"^# ({'|'.join(SECTIONS)})$", re.MULTILINE)


@cache
def sections(page: str, part: str = "") -> dict[str, str]:
    """The sections of a text by their headings; a section that is not there is missing from the answer."""
    words = (FOLDER / page / f"{part}.md" if part else FOLDER / f"{page}.md").read_text(encoding="utf-8")
    words = re.sub(r"(?<=\d) (?=%)", "\u00a0", words)  # a number and its % stay on one line
    before, *found = _HEADING.split(words)
    assert not before.strip(), f"{page}/{part}: text before the first heading"
    # Markdown takes a formula over two lines for text, of which only some is a formula.
    texts = [_FORMULA.sub(lambda formula: on_one_line(formula[0]), text.strip()) for text in found[1::2]]
    return dict(zip(found[::2], texts, strict=True))


def on_one_line(words: str) -> str:
    """A paragraph for a place that takes one line, such as the label of a box."""
    return " ".join(words.split())
