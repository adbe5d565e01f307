"""How an edit moved a distribution: divergence, moved mass, and the line that says it."""

from __future__ import annotations

import numpy as np
import pytest

from viz.distributions import change_sentence, distribution_change_record

BEFORE = np.log(np.array([0.5, 0.25, 0.25]))
AFTER = np.log(np.array([0.25, 0.5, 0.25]))


def text_of(token_id: int) -> str:
    return (" a", " b", " c")[token_id]


def test_the_numbers_by_hand() -> None:
    change = distribution_change_record(BEFORE, AFTER, text_of)
    assert (change.top_text, change.new_top_text) == (" a", " b")
    assert change.top_before == pytest.approx(0.5)
    assert change.top_after == pytest.approx(0.25)
    assert change.moved == pytest.approx(0.25)
    assert change.divergence == pytest.approx(0.25 * np.log(2))


def test_nothing_changed() -> None:
    change = distribution_change_record(BEFORE, BEFORE, text_of)
    assert (change.moved, change.divergence) == (0.0, 0.0)
    assert "becomes" not in change_sentence(change)


def test_logits_shifted_by_a_constant_are_equal() -> None:
    change = distribution_change_record(BEFORE, BEFORE + 100, text_of)
    assert change.divergence == pytest.approx(0, abs=1e-12)


def test_far_logits_stay_finite() -> None:
    far = np.array([0.0, -2_000.0], dtype=np.float32)
    change = distribution_change_record(far, far[::-1], text_of)
    assert np.isfinite(change.divergence)
    assert change.divergence == pytest.approx(2_000)


def test_the_line_names_the_new_favourite() -> None:
    sentence = change_sentence(distribution_change_record(BEFORE, AFTER, text_of))
    assert "“·a” goes from 50.0\xa0% to 25.0\xa0% and “·b” becomes the likeliest (50.0\xa0%)" in sentence
    assert "0.173\xa0nats" in sentence
