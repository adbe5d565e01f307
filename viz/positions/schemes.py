"""Four position schemes side by side: the table or bias itself, who resembles whom, and by distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_CELLS = 64  # positions a side that are drawn; of more, every second, third ...
MOST_COLUMNS = 64  # columns of a table that are drawn
NAMES = {"sinusoidal": "Sinusoidal", "learned": "Learned", "rotary": "RoPE", "alibi": "ALiBi"}

Rows = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Scheme:
    """One column of the picture. Everything is drawn for `positions`; profiles go over all distances."""

    key: str  # of NAMES
    source: str  # which table, in a few words
    positions: tuple[int, ...]
    table: Rows  # [position][column]; for ALiBi [distance][head]
    table_says: str  # what its columns are
    similarity: Rows  # [position i][position j]; None is masked
    similarity_says: str
    distances: tuple[int, ...]
    mean: tuple[float, ...]  # [distance]
    low: tuple[float, ...]
    high: tuple[float, ...]
    explained: float  # share of the variance that the distance alone explains
    spread: float  # largest difference at one distance

    @property
    def name(self) -> str:
        return NAMES[self.key]

    @property
    def table_reach(self) -> float:
        return reach_of(self.table)

    @property
    def similarity_reach(self) -> float:
        """Cosines have the scale -1 to 1; a bias has its own."""
        return reach_of(self.similarity) if self.key == "alibi" else 1.0


@dataclass(frozen=True)
class Missing:
    """A scheme that there is nothing of here, and why."""

    key: str
    reason: str

    @property
    def name(self) -> str:
        return NAMES[self.key]


@dataclass(frozen=True)
class Wavelengths:
    """How many positions until a pair is back where it started, by pair."""

    lines: tuple[tuple[str, tuple[float | None, ...]], ...]  # name, [pair]; None never moves
    n_ctx: int
    n_slow: tuple[int, ...]  # of each line: pairs that do not come round within n_ctx


@dataclass(frozen=True)
class Slopes:
    """ALiBi: one slope a head, and which heads fill in between the powers of two."""

    slopes: tuple[float, ...]
    n_regular: int  # the first of them are one geometric series
    head: int


@dataclass(frozen=True)
class Spiral:
    """A table of positions in its first principal components."""

    source: str
    positions: tuple[int, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    third: tuple[float, ...]
    explained: tuple[float, ...]  # share of the variance, largest first


def reach_of(rows: Rows) -> float:
    """The largest absolute value, above 0."""
    return max((abs(value) for row in rows for value in row if value is not None), default=0.0) or 1.0


def shown_positions(n: int, most: int = MOST_CELLS) -> tuple[int, ...]:
    """At most `most` of n positions, evenly apart, from 0.

    >>> shown_positions(5, 3), shown_positions(3, 3)
    ((0, 2, 4), (0, 1, 2))
    """
    return tuple(range(0, n, -(-n // most)))


def scheme_record(
    key: str,
    source: str,
    table: np.ndarray,  # [pos, column]
    similarity: np.ndarray,  # [pos, pos], -inf where masked
    profile: tuple[np.ndarray, np.ndarray, np.ndarray],  # mean, low, high [distance]
    explained: float,
    *,
    table_says: str,
    similarity_says: str,
) -> Scheme:
    """Values -> what will be drawn.

    Raises:
        ValueError: the similarity is not of these positions.
    """
    n = len(similarity)
    if similarity.shape != (n, n) or len(profile[0]) != n:
        raise ValueError(f"similarity {similarity.shape} and profile of {len(profile[0])} distances")
    at = np.array(shown_positions(n))
    mean, low, high = (tuple(float(value) for value in values) for values in profile)
    return Scheme(
        key=key,
        source=source,
        positions=tuple(int(i) for i in at),
        table=_rows(table[at[at < len(table)]]),
        table_says=table_says,
        similarity=_rows(similarity[np.ix_(at, at)]),
        similarity_says=similarity_says,
        distances=tuple(range(n)),
        mean=mean,
        low=low,
        high=high,
        explained=float(explained),
        spread=max(b - a for a, b in zip(low, high, strict=True)),
    )


def widest_columns(table: np.ndarray, most: int = MOST_COLUMNS) -> np.ndarray:
    """The columns of a table that vary most, in their own order, int [column]."""
    best = np.argsort(-table.var(axis=0, dtype=np.float64), kind="stable")[:most]
    return np.sort(best)


def _rows(values: np.ndarray) -> Rows:
    return tuple(tuple(float(v) if np.isfinite(v) else None for v in row) for row in values)


def wavelengths_record(lines: Sequence[tuple[str, np.ndarray]], n_ctx: int) -> Wavelengths:
    """Wavelengths [pair] by name -> what will be drawn."""
    return Wavelengths(
        lines=tuple((name, tuple(float(v) if np.isfinite(v) else None for v in row)) for name, row in lines),
        n_ctx=n_ctx,
        n_slow=tuple(int((row > n_ctx).sum()) for _, row in lines),
    )


def slopes_record(slopes: np.ndarray, head: int) -> Slopes:
    """Slopes [head] -> what will be drawn."""
    regular = 1 << (len(slopes).bit_length() - 1)
    return Slopes(tuple(float(s) for s in slopes), regular, min(head, len(slopes) - 1))


def spiral_record(source: str, coordinates: np.ndarray, explained: np.ndarray) -> Spiral:
    """Principal components [pos, 3] and all their shares -> what will be drawn: at most 512 positions."""
    at = shown_positions(len(coordinates), 512)
    padded = np.pad(coordinates, ((0, 0), (0, max(0, 3 - coordinates.shape[1]))))
    first, second, third = (tuple(float(padded[i, c]) for i in at) for c in range(3))
    return Spiral(source, at, first, second, third, tuple(float(share) for share in explained))


def explained_words(scheme: Scheme) -> str:
    """How far the distance alone decides, for the screen."""
    if scheme.spread <= 1e-4 * max(abs(scheme.mean[0] - min(scheme.mean)), 1e-12):
        return "alone decides"
    return f"explains {style.share(scheme.explained)}"


def scheme_sentence(scheme: Scheme | Missing) -> str:
    """One scheme in one sentence of plain text."""
    if isinstance(scheme, Missing):
        return f"{scheme.name}: {scheme.reason}"
    spread = style.three_digits(scheme.spread)
    return (
        f"{scheme.name} ({scheme.source}): the distance {explained_words(scheme)}; two pairs equally far "
        f"apart differ by {spread} at most."
    )


def shared_distance(scheme: Scheme) -> int | None:
    """The first distance at which the mean falls below half of its value at 0; None if it never does."""
    half = scheme.mean[0] / 2
    return next((d for d, value in enumerate(scheme.mean) if value < half), None)
