"""What a head is worth: the words, true in both directions, and the overview about 0."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.records import HeadWorth
from viz.attention.head_grid import alt, head_grid_figure, table
from viz.attention.worth import (
    Effect,
    effect_record,
    effect_words,
    verdict,
    worth_of_layers,
    worth_record,
)

TEXTS = ("When", " Harry", " Potter", " knew", " Harry")
IDS = (5, 6, 7, 8, 6)


def effect(
    row: tuple[float, ...], before: float, after: float, token: int = 7, text: str = " Potter"
) -> Effect:
    given = {"layer": 24, "head": 4, "token": token, "text": text, "before": before, "after": after}
    return effect_record(row, IDS, TEXTS, **given)


READS, LOOKS_AWAY = (0.05, 0.05, 0.8, 0.05, 0.05), (0.1, 0.1, 0.01, 0.0, 0.79)


def test_a_head_that_reads_the_token_and_works_against_it() -> None:
    assert effect_words(effect(READS, 0.579, 0.872)).replace("\xa0", " ") == (
        "Without L24 H4, “·Potter” rises from 57.9 % to 87.2 %. At the end of the prompt it reads “·Potter” "
        "with 80.0 %, more than anything else. It reads “·Potter” and yet works against it here."
    )


def test_a_head_that_decides_without_reading_the_token() -> None:
    assert effect_words(effect(LOOKS_AWAY, 0.579, 0.0381)).replace("\xa0", " ") == (
        "Without L24 H4, “·Potter” falls from 57.9 % to 3.81 %. At the end of the prompt it reads “·Harry” "
        "most (79.0 %), and “·Potter” with 1.00 %. It does not read “·Potter” itself, and yet the guess "
        "leans on it."
    )


@pytest.mark.parametrize(
    ("row", "before", "after", "says"),
    [
        (READS, 0.5, 0.2, "What it reads and what it does point the same way here: to “·Potter”."),
        (READS, 0.5, 0.495, "It reads “·Potter”, and yet the guess hardly needs it here."),
        (LOOKS_AWAY, 0.5, 0.7, "It works against “·Potter” here."),
        (LOOKS_AWAY, 0.5, 0.504, ""),
        (LOOKS_AWAY, 0.005, 0.0001, "It does not read “·Potter” itself, and yet the guess leans on it."),
    ],
)
def test_both_facts_decide_the_verdict(
    row: tuple[float, ...], before: float, after: float, says: str
) -> None:
    assert verdict(effect(row, before, after)) == says


def test_a_token_that_is_not_in_the_prompt_cannot_be_read() -> None:
    found = effect(READS, 0.5, 0.1, token=99, text=" Tokyo")
    assert found.reads is None
    assert "it reads “·Potter” most (80.0\xa0%); “·Tokyo” does not stand in the prompt." in effect_words(
        found
    )


def test_copies_of_the_token_are_read_together() -> None:
    assert effect((0.1, 0.3, 0.1, 0.1, 0.4), 0.5, 0.1, token=6, text=" Harry").reads == pytest.approx(0.7)


def worth(after: list[list[float]]) -> HeadWorth:
    return HeadWorth(tuple(range(len(after))), 7, float(np.log(0.5)), np.log(np.array(after)))


def grid(found: HeadWorth, **more: object):  # type: ignore[no-untyped-def]
    return worth_record(found, " Potter", layer=0, head=1, top=0.45, **more)  # type: ignore[arg-type]


def test_the_overview_is_about_nought_and_titled_by_the_largest_fall() -> None:
    record = grid(worth([[0.5, 0.9], [0.05, 0.4]]), off=[(1, 1)])
    assert record.strongest == (1, 0)
    np.testing.assert_allclose(np.array(record.values, dtype=float), [[0, -0.4], [0.45, 0.1]], atol=1e-12)
    drawn = head_grid_figure(record)
    cells = drawn.figure.data[0]
    assert (cells.zmin, cells.zmax) == (-0.45, 0.45)
    assert drawn.figure.layout.title.text == "Most: <b>L1 H0</b>, 50.0 → 5.00\xa0%"
    assert cells.text[0][1] == ": 50.0 → 90.0\xa0%"
    assert cells.text[1][1] == " (off): 50.0 → 40.0\xa0%"
    assert "Largest in layer 1, head 0: +45 points." in alt(record)
    assert table(record)["how much “·Potter” falls without the head"][2] == pytest.approx(0.45)
    assert drawn.stem == "attention-heads-worth"


def test_it_says_how_much_of_it_is_done_while_it_fills() -> None:
    part = HeadWorth((1,), 7, float(np.log(0.5)), np.log(np.array([[0.05, 0.4]])))
    found = worth_of_layers([part], 2, 2)
    assert found is not None
    record = grid(found)
    assert record.values[0] == (None, None)
    assert record.words is not None
    assert record.words.finding == "So far: <b>L1 H0</b>, 50.0 → 5.00\xa0%"
    assert worth_of_layers([], 2, 2) is None


def test_where_no_head_matters_the_title_says_so() -> None:
    record = grid(worth([[0.5, 0.9], [0.495, 0.5]]))
    assert record.words is not None
    assert record.words.finding == "No head is worth 1 point"
    tiny = HeadWorth((0,), 7, np.log(2e-3), np.log(np.array([[3e-5]])))
    assert worth_record(tiny, "x", layer=0, head=0, top=1.0).words.cells == (("0.200 → 0.00300\xa0%",),)  # type: ignore[union-attr]
    nothing = grid(worth([[np.nan, np.nan]]))
    assert nothing.strongest is None
    assert "No head is measured yet" in head_grid_figure(nothing).figure.layout.title.text
