"""Narrow numbers on a real forward and backward pass: orders of scaling, ways of softmax, sums, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model_runtime.records.sized import Sized

Inside = Literal["wide", "narrow"]  # sums in fp32 inside a product, or every step rounded
Order = Literal["after", "key", "query"]
ORDERS: tuple[Order, ...] = ("after", "key", "query")
Way = tuple[bool, Inside]  # of a softmax: (shifted, inside)


@dataclass(frozen=True, eq=False)
class OrderResult:
    """One order in one format, for one head.

    Attributes:
        largest: the largest |number| that the product hands on (in "after": before it is scaled), over the
            visible cells; infinite where one overflowed.
        overflowed: visible cells whose product is no finite number. A soft cap can hide it from the scores:
            the tanh of infinity is 1.
        up, down, nan: visible scores that are +infinity (its row becomes NaN), -infinity (as if masked: the
            key is erased without a word) and NaN; of `n_cells` visible ones.
        broken_rows: queries whose probabilities are NaN.
        pattern: float32 [query_pos, key_pos]; NaN in broken rows, 0 where not visible.
        difference: the largest |pattern - the pattern of fp32| over the rows that are whole; NaN without one.
    """

    largest: float
    overflowed: int
    up: int
    down: int
    nan: int
    n_cells: int
    broken_rows: tuple[int, ...]
    pattern: np.ndarray
    difference: float

    @property
    def infinite(self) -> int:
        """Visible scores that are no finite number: fewer than the products where a soft cap bends them."""
        return self.up + self.down + self.nan


@dataclass(frozen=True, eq=False)
class OrderReport(Sized):
    """All orders in all formats: `results` by (order, format)."""

    layer: int
    head: int
    gain: float
    inside: Inside
    scaling: float
    d_head: int
    results: Mapping[tuple[Order, str], OrderResult]


@dataclass(frozen=True, eq=False)
class RowResult:
    """One way's row: `exps` and their sum `total` in the format used inside, `shares` [key] as handed on.

    Infinite where they overflowed, NaN where infinity was divided by infinity or 0 by 0, and all 0 where
    only the sum overflowed. `error` is the largest |share - exact share|, NaN where a share is.
    """

    exps: np.ndarray
    total: float
    shares: np.ndarray
    error: float

    @property
    def broken(self) -> bool:
        """Whether the row is no distribution: a share is no number, or all are 0."""
        return not (np.isfinite(self.shares).all() and self.shares.any())

    @property
    def sum_of_shares(self) -> float:
        """In float64: 1 but for rounding."""
        return float(self.shares.astype(np.float64).sum())


@dataclass(frozen=True, eq=False)
class RowReport(Sized):
    """All ways on one row: `scores` [key] as the format has them, `exact` shares of the unrounded in fp64.

    `keys` are the token positions of the visible keys: a window or a cut edge leaves some out.
    """

    keys: np.ndarray
    scores: np.ndarray
    exact: np.ndarray
    results: Mapping[Way, RowResult]


@dataclass(frozen=True, eq=False)
class BreakCurve(Sized):
    """For each way, over `gains`: share of the head's rows that are no distribution (`RowResult.broken`), and
    the largest error among its whole rows (NaN without one); float64 [gain] each."""

    gains: tuple[float, ...]
    broken: Mapping[Way, np.ndarray]
    error: Mapping[Way, np.ndarray]
    n_rows: int


@dataclass(frozen=True, eq=False)
class LengthErrors(Sized):
    """Errors of the first `lengths` terms' sum, by way, float64 [length]: |sum - exact| / sum of |terms|.

    Infinite where the sum overflowed. `sums` are the sums of all terms, `exact` what they should be.
    """

    lengths: tuple[int, ...]
    errors: Mapping[str, np.ndarray]
    sums: Mapping[str, float]
    exact: float


@dataclass(frozen=True, eq=False)
class LossScaling:
    """What scales 2^k of the loss do to one prompt's gradients in fp16, by kind of gradient.

    Shares are of the gradients that are not 0 in fp32. The loss is the mean over 2^`batch` prompts, so that
    this one's gradients are 2^-batch as large.

    Attributes:
        counts: int64 [kind, binade], gradients by power of two without scale and batch, from 2^`lowest` on.
        vanishing, infinite: float64 [kind, k], of the fp32 gradients times the scale, rounded to fp16.
        passes: k of the real passes in fp16.
        measured, broken: float64 [kind, pass]: share that is 0 in them; infinite or no number, of all.
        error: float64 [pass], |g_k / 2^k - g| / |g| over all weights; NaN where one is not finite.
        bf16: that error in bf16 without a scale.
        rows, layers: names, and the share that vanishes in each, float32 [row, k]; the first `split` are
            gradients of weights, the others of the stream.
    """

    batch: int
    kinds: tuple[str, ...]
    scales: tuple[int, ...]  # k
    counts: np.ndarray
    lowest: int
    vanishing: np.ndarray
    infinite: np.ndarray
    passes: tuple[int, ...]
    measured: np.ndarray
    broken: np.ndarray
    error: np.ndarray
    bf16: float
    rows: tuple[str, ...]
    split: int
    layers: np.ndarray

    def nearest_pass(self, k: int) -> int:
        """Index of the pass with the largest scale that is not above 2^k; the first where there is none."""
        below = [i for i, at in enumerate(self.passes) if at <= k]
        return max(below, key=lambda i: self.passes[i], default=0)
