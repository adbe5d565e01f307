"""Weights in fewer bits: their sizes and round trips, a few of them on a grid, and a block of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """What a format does to the weights of each group (rows as in `WeightRanges.names`).

    Counts are int64 [group]: `above` the largest number, `subnormal` below the smallest normal one, `gone` to
    zero (also counted as subnormal). error float64 [group]: |stored - weight| / |weight| over the group, of
    those that stay finite.
    """

    above: np.ndarray
    subnormal: np.ndarray
    gone: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class WeightRanges:
    """Sizes of all weights by layer.

    counts int64 [group, exponent]: weights with 2^e <= |w| < 2^(e+1), e from `lowest` on; the ends hold what
    lies beyond. zeros, sizes int64 [group]; largest float64 [group]. trips: by key of the format.
    """

    names: tuple[str, ...]  # "outside the layers", "layer 0", ...
    lowest: int
    counts: np.ndarray
    zeros: np.ndarray
    sizes: np.ndarray
    largest: np.ndarray
    trips: Mapping[str, RoundTrip]

    @property
    def nbytes(self) -> int:
        return int(self.counts.nbytes + 8 * len(self.names) * (3 + 4 * len(self.trips)))


@dataclass(frozen=True, eq=False)
class Strip:
    """Neighbours of one row, before and after: weights, near float32 [n], codes int64 [n].

    Level c of their grid is scale x (c - zero), c from levels[0] to levels[1].
    """

    row: int  # of the matrix; rows of stacked experts are counted through
    start: int  # column of the first
    weights: np.ndarray
    near: np.ndarray
    codes: np.ndarray
    scale: float
    zero: float
    levels: tuple[int, int]

    @property
    def used(self) -> int:
        """On how many levels the weights end."""
        return len(set(self.codes.tolist()))

    @property
    def largest(self) -> float:
        """The largest size among the weights."""
        return float(np.abs(self.weights).max())

    @property
    def n_levels(self) -> int:
        return self.levels[1] - self.levels[0] + 1

    @property
    def nbytes(self) -> int:
        return int(self.weights.nbytes + self.near.nbytes + self.codes.nbytes)


@dataclass(frozen=True, eq=False)
class CloseLook:
    """Up to 32 neighbours around the largest weight of a matrix, and 32 typical ones.

    Largest: of the whole matrix; at the end of a row its strip may be shorter. Typical: of all whole strips,
    the one whose largest weight is the median. This one, and `to_zero`, are found on every `step`-th row.
    """

    largest: Strip
    typical: Strip
    to_zero: float  # share of the weights, 0 to 1, that were not 0 and became 0
    step: int = 1

    @property
    def nbytes(self) -> int:
        return self.largest.nbytes + self.typical.nbytes


@dataclass(frozen=True)
class Block:
    """One block of a GGUF file: `data` its bytes; scale and minimum (0 in Q8_0), codes and weights [32]."""

    kind: str  # "Q4_1", "Q8_0"
    data: bytes
    scale: float
    minimum: float
    codes: tuple[int, ...]
    weights: tuple[float, ...]
