"""Two distributions side by side: which tokens, which shares, and what the figure draws."""

from __future__ import annotations

import numpy as np
import pytest

from viz.output.two_distributions import title_of, two_distributions_figure, two_distributions_record

TEXTS = [" a", "<b>", "c", "d", "e"]


def record(first: list[float], second: list[float], most: int = 2):  # type: ignore[no-untyped-def]
    before, after = (np.log(np.array(shares)) for shares in (first, second))
    return two_distributions_record(before, after, TEXTS.__getitem__, ("before", "after"), most)


def test_the_likeliest_of_both_are_there_in_the_first_s_order() -> None:
    made = record([0.5, 0.3, 0.1, 0.06, 0.04], [0.1, 0.2, 0.05, 0.6, 0.05])
    assert made.token_ids == (0, 1, 3)
    assert made.first == pytest.approx((0.5, 0.3, 0.06))
    assert made.second == pytest.approx((0.1, 0.2, 0.6))
    assert made.rest == pytest.approx((0.14, 0.1))
    assert title_of(made) == "“·a” gives way to “d”; 55.0\xa0% of the probability moves"


def test_equal_distributions_move_nothing() -> None:
    made = record([0.5, 0.2, 0.1, 0.1, 0.1], [0.5, 0.2, 0.1, 0.1, 0.1])
    assert title_of(made) == "“·a” stays the likeliest; 0\xa0% of the probability moves"
    assert made.change.divergence == 0


def test_the_figure_has_both_on_one_axis_and_tokens_cannot_be_markup() -> None:
    made = record([0.3, 0.5, 0.1, 0.06, 0.04], [0.1, 0.7, 0.1, 0.05, 0.05])
    drawn = two_distributions_figure(made)
    bars = drawn.figure.data
    assert [list(bar.x) for bar in bars] == [[*made.first, made.rest[0]], [*made.second, made.rest[1]]]
    assert drawn.figure.layout.xaxis.range[0] == 0
    assert "<b>" not in " ".join(drawn.figure.layout.yaxis.ticktext)
    assert "&lt;b&gt;" in drawn.figure.layout.yaxis.ticktext[0]
    assert drawn.table["token"][-1] == "all others"
    assert sum(drawn.table["probability, after"]) == pytest.approx(1)
