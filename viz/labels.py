"""Where names go when they would lie on one another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def apart(values: list[float], least: float, lines: Sequence[int] = ()) -> list[float]:
    """The same heights, moved up where one would be nearer than `least` to the one below.

    `lines`: how many lines each label has, `least` high each; they are centred at their heights.

    >>> apart([0.0, 0.5, 3.0], 1.0)
    [0.0, 1.0, 3.0]
    >>> apart([0.0, 0.5, 3.0], 1.0, [1, 2, 1])
    [0.0, 1.5, 3.0]
    """
    tall = lines or [1] * len(values)
    order = sorted(range(len(values)), key=lambda i: values[i])
    moved = list(values)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + least * (tall[below] + tall[above]) / 2)
    return moved
