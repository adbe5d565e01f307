"""Measuring on a noisy machine: both sides interleaved in one run, medians, and a row for the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, the value, and the reach that the project set itself."""

    what: str
    value: float
    unit: str  # "ratio", "ms", "s", "MB"
    reach: float
    detail: str = ""

    @property
    def reached(self) -> bool:
        return self.value <= self.reach

    def markdown(self) -> str:
        mark = "yes" if self.reached else "**no**"
        measured, reach = f"{self.value:.3g} {self.unit}", f"{self.reach:g} {self.unit}"
        return f"| {self.what} | {measured} | {reach} | {mark} | {self.detail} |"


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def ratio(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int
) -> tuple[float, float, float]:
    """Median of the paired ratios ours/theirs, and both medians in seconds.

    The two are run in turn, first one then the other leading, so that a slow minute of the machine falls
    on both; one run of each beforehand is thrown away.
    """
    ours(), theirs()
    pairs: list[tuple[float, float]] = []
    for repeat in range(repeats):
        if repeat % 2:
            their_seconds = seconds(theirs)
            our_seconds = seconds(ours)
        else:
            our_seconds = seconds(ours)
            their_seconds = seconds(theirs)
        pairs.append((our_seconds, their_seconds))
    return (
        statistics.median(ours / theirs for ours, theirs in pairs),
        statistics.median(ours for ours, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
    )


def ratio_row(
    what: str, ours: Callable[[], object], theirs: Callable[[], object], *, repeats: int, reach: float
) -> Row:
    value, our_seconds, their_seconds = ratio(ours, theirs, repeats)
    detail = f"{our_seconds * 1000:.1f} ms against {their_seconds * 1000:.1f} ms, median of {repeats} pairs"
    return Row(what, value, "ratio", reach, detail)
