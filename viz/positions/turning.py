"""What turning a head's queries and keys looks like, as a record and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_ARROWS = 64  # thin arrows of a kind in a panel
Point = tuple[float, float]


@dataclass(frozen=True)
class Turning:
    """One pair of numbers of one head: the queries and keys in its plane, and all pairs as clocks.

    Positions count from 0. `at` is the position by which the selected query is turned.
    """

    tokens: tuple[str, ...]
    layer: int
    head: int
    pair: int
    query: int
    key: int
    at: int
    shown: tuple[int, ...]  # positions whose arrows are drawn
    q: tuple[Point, ...]  # of the positions shown, before
    k: tuple[Point, ...]
    turned_q: tuple[Point, ...]  # after, as attention received them
    turned_k: tuple[Point, ...]
    frequencies: tuple[float, ...]  # radians a position, by pair
    length: float  # what the rotation multiplies lengths by
    resting: int  # pairs that do not turn

    @property
    def angle(self) -> float:
        """Radians that the selected query is turned by."""
        return self.at * self.frequencies[self.pair]

    def arrow(self, position: int, which: str) -> Point:
        """The arrow of a shown position: "q", "k", "turned_q" or "turned_k"."""
        point: Point = getattr(self, which)[self.shown.index(position)]
        return point


def turning_record(
    planes: dict[str, np.ndarray],  # "q", "k", "turned_q", "turned_k" -> [pos, 2], the pair's two numbers
    frequencies: np.ndarray,  # [pair]
    tokens: Sequence[str],
    *,
    layer: int,
    head: int,
    pair: int,
    query: int,
    key: int,
    at: int,
    length: float,
    resting: int,
) -> Turning:
    """Values -> what will be drawn; of long prompts evenly spaced tokens, the selected two always."""
    spaced = np.linspace(0, len(tokens) - 1, min(len(tokens), MOST_ARROWS)).round()
    shown = sorted({*(int(p) for p in spaced), query, key})
    points = {
        name: tuple((float(plane[p, 0]), float(plane[p, 1])) for p in shown) for name, plane in planes.items()
    }
    return Turning(
        tokens=tuple(tokens),
        layer=layer,
        head=head,
        pair=pair,
        query=query,
        key=key,
        at=at,
        shown=tuple(shown),
        frequencies=tuple(float(f) for f in frequencies),
        length=length,
        resting=resting,
        **points,
    )


def turned_point(point: Point, angle: float, length: float = 1.0) -> Point:
    """A pair turned by `angle` radians, against the clock.

    >>> turned_point((1.0, 0.0), math.pi / 2)[1]
    1.0
    """
    x, y = point
    cos, sin = length * math.cos(angle), length * math.sin(angle)
    return x * cos - y * sin, y * cos + x * sin


def degrees(radians: float) -> str:
    """
    >>> degrees(math.pi / 2)
    '90°'
    """
    return f"{style.three_digits(math.degrees(radians))}°"


def named(record: Turning, position: int) -> str:
    return f"“{style.shorten(style.visible(record.tokens[position]), 16)}”"


def turning_title(record: Turning) -> str:
    """The finding, plain text; assets/js/rotation.js says the same (a test compares)."""
    name = named(record, record.query)
    return f"{name} at position {record.at:,}: pair {record.pair} turns by {degrees(record.angle)}"


def turning_words(record: Turning) -> str:
    """One line below the figure; assets/js/rotation.js says the same."""
    theta = record.frequencies[record.pair]
    words = f"{record.at:,} × {style.three_digits(theta)} rad = {style.three_digits(record.angle)} rad, "
    words += f"{style.three_digits(record.angle / (2 * math.pi))} turns of this pair."
    if record.at == record.query:
        words += " This is its own position."
    first, last = record.frequencies[0], record.frequencies[-1]
    return (
        f"{words} Meanwhile the fastest clock made {style.three_digits(record.at * first / (2 * math.pi))} "
        f"turns and the slowest {style.three_digits(record.at * last / (2 * math.pi))}."
    )
