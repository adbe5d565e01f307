"""The text box's draft: what the server keeps of what is typed, and what it does not believe."""

from __future__ import annotations

import pytest

from pages.tokens.live_text import MOST_CHARACTERS, Draft, drafted, reported

TYPED = Draft("ab", prompt="a", length=2, caret=2, version=3, seq=5)


def test_a_first_visit_shows_the_prompt() -> None:
    assert drafted(None, "hello") == Draft("hello", "hello", 5)


def test_a_draft_stays_while_the_prompt_does() -> None:
    assert drafted(TYPED, "a") is TYPED


def test_a_prompt_changed_elsewhere_comes_into_the_box() -> None:
    assert drafted(TYPED, "other") == Draft("other", "other", 5, version=4, seq=5)


def test_a_report_is_taken_over() -> None:
    report = {"seq": 6, "text": "abc", "length": 3, "caret": 1, "done": True}
    assert reported(TYPED, report) == Draft("abc", "a", 3, 1, version=3, seq=6, done=True)


def test_an_overtaken_report_is_not() -> None:
    assert reported(TYPED, {"seq": 5, "text": "old", "length": 3, "caret": 1}) is TYPED


@pytest.mark.parametrize(
    "report",
    [
        None,
        3,
        "x",
        {},
        {"seq": 9},
        {"seq": "nan", "text": "x"},
        {"seq": 9, "text": 4},
        {"seq": 1e300, "text": "x"},
    ],
)
def test_nonsense_changes_nothing(report: object) -> None:
    assert reported(TYPED, report) is TYPED


def test_numbers_out_of_range_are_clamped_and_half_characters_replaced() -> None:
    draft = reported(TYPED, {"seq": 6, "text": "a\ud800b", "length": -4, "caret": 1e9, "done": "yes"})
    assert (draft.text, draft.length, draft.caret, draft.done) == ("a?b", 3, 3, False)
    huge = reported(TYPED, {"seq": 6, "text": "x" * 30_000, "length": 1e308, "caret": "inf"})
    assert len(huge.text) == MOST_CHARACTERS
    assert huge.caret == MOST_CHARACTERS
