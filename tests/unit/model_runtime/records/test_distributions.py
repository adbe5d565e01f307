"""Distributions by hand, and logits that overflow exp."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.records.distributions import kl, log_softmax, softmax, total_variation


def test_softmax_stands_large_logits() -> None:
    assert softmax(np.array([1000.0, 1000.0], dtype=np.float32)).tolist() == [0.5, 0.5]


def test_scores_that_would_overflow_exp() -> None:
    scores = np.array([1000.0, 0.0, 999.0], dtype=np.float32)
    expected = [-np.log1p(np.exp(-1)), -1000 - np.log1p(np.exp(-1)), -1 - np.log1p(np.exp(-1))]
    np.testing.assert_allclose(log_softmax(scores), expected, rtol=1e-12)


def test_rows_are_distributions_of_their_own() -> None:
    scores = np.random.default_rng(3).normal(0, 9, size=(4, 7)).astype(np.float32)
    np.testing.assert_allclose(softmax(scores).sum(axis=-1), 1)
    np.testing.assert_allclose(np.exp(log_softmax(scores)), softmax(scores), rtol=1e-12)
    np.testing.assert_array_equal(softmax(scores)[2], softmax(scores[2]))


def test_kl_is_finite_where_a_probability_underflows() -> None:
    one, other = log_softmax(np.array([0.0, 800.0])), log_softmax(np.array([800.0, 0.0]))
    assert kl(one, other) == pytest.approx(800)
    assert kl(one, one) == 0.0


def test_total_variation_of_distributions_with_nothing_in_common_is_one() -> None:
    assert total_variation(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0
