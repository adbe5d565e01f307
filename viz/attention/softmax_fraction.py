"""The numbers behind one cell of a pattern: its score, and the softmax fraction written out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SoftmaxFraction:
    """One key's part of one query's softmax, with the largest score taken off as the computer does."""

    score: float  # of the key, after the scale
    top: float  # largest score of the row
    numerator: float  # exp(score - top)
    denominator: float  # the sum of that over all keys the query may read
    n_keys: int

    @property
    def probability(self) -> float:
        """numerator / denominator."""
        return self.numerator / self.denominator


def softmax_fraction(scores: np.ndarray, key: int, sink: float | None = None) -> SoftmaxFraction:
    """The fraction for one key of one row of scores, -inf where the query may not look.

    Args:
        scores: [key_pos].
        sink: the share that a learned sink takes; it stands in the denominator too.

    >>> fraction = softmax_fraction(np.array([0.0, np.log(3.0), -np.inf]), 0)
    >>> round(fraction.numerator, 4), round(fraction.denominator, 4), fraction.n_keys
    (0.3333, 1.3333, 2)
    """
    seen = scores[np.isfinite(scores)].astype(np.float64)
    top = float(seen.max())
    total = float(np.exp(seen - top).sum()) / (1 - (sink or 0.0))
    return SoftmaxFraction(float(scores[key]), top, float(np.exp(scores[key] - top)), total, len(seen))
