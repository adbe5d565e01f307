"""Where names go when they would lie on one another."""

from __future__ import annotations

from itertools import pairwise


def apart(values: list[float], least: float) -> list[float]:
    """The same heights, moved up where one would be nearer than `least` to the one below.

    >>> apart([0.0, 0.5, 3.0], 1.0)
    [0.0, 1.0, 3.0]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    moved = list(values)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + least)
    return moved
