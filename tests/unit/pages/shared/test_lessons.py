"""The words of the parts as texts."""

from __future__ import annotations

import pytest

from pages.shared.frame import contents, lessons

PARTS = [(entry.url, part.key) for entry in contents.PAGES for part in entry.parts]


@pytest.mark.parametrize(("page", "part"), [*PARTS, ("home", ""), ("next-token", "")])
def test_a_formula_stands_on_one_line(page: str, part: str) -> None:
    for text in lessons.sections(page, part).values():
        assert text.count("$$") % 2 == 0
        assert not [formula for formula in text.split("$$")[1::2] if "\n" in formula]


def test_formulas_are_joined_and_nothing_else() -> None:
    kept = lessons.sections("embeddings", "senses")["Mathematics"]
    assert r"\rVert}, \qquad \text{baseline}_l" in kept
    assert "\n\n" in kept  # paragraphs stay
