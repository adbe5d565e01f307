"""The arithmetic of distributions, in float64 whatever comes in."""

from __future__ import annotations

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64.

    >>> softmax(np.array([0.0, np.log(3.0)])).round(2).tolist()
    [0.25, 0.75]
    """
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis, in float64: finite where a probability underflows.

    >>> np.exp(log_softmax(np.array([0.0, np.log(3.0)]))).round(2).tolist()
    [0.25, 0.75]
    """
    shifted = scores.astype(np.float64) - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def kl(log_p: np.ndarray, log_q: np.ndarray) -> float:
    """Kullback-Leibler divergence, sum p (log p - log q), in nats; never below 0 by rounding, and NaN of NaN.

    >>> round(kl(np.log([0.5, 0.5]), np.log([0.25, 0.75])), 4)
    0.1438
    """
    return float(np.maximum((np.exp(log_p) * (log_p - log_q)).sum(), 0.0))


def total_variation(mine: np.ndarray, theirs: np.ndarray) -> float:
    """How far two distributions are apart: half the sum of all differences, 0 (equal) to 1 (apart).

    It is the share of draws in which the two must differ, however cleverly the draws are paired.

    >>> total_variation(np.array([0.5, 0.5]), np.array([0.75, 0.25]))
    0.25
    """
    assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
    return float(np.abs(mine - theirs).sum()) / 2
