"""One prompt in several number formats, by layer: the largest activation, and the error against fp32.

The pictures are in `precision_lines_figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from viz import style


@dataclass(frozen=True)
class Largest:
    """The largest absolute value of the stream by place (0 enters the first layer, l + 1 leaves layer l).

    Infinity and NaN stand for themselves: they are marked at the upper edge.
    """

    lines: dict[str, tuple[float, ...]]  # format -> by place
    limit: float  # largest number of fp16
    selected: int | None  # layer
    low: float  # of the axis
    high: float
    strip: bool  # room for infinities and NaN, in this run or another


@dataclass(frozen=True)
class StreamErrors:
    """Relative error of the stream by place, of all tokens but the first, and of the first; NaN: no number.

    With one token `rest` is NaN throughout, and the first is drawn alone.
    """

    rest: dict[str, tuple[float, ...]]
    first: dict[str, tuple[float, ...]]
    selected: int | None
    low: float
    high: float
    strip: bool

    @property
    def main(self) -> dict[str, tuple[float, ...]]:
        """What the title speaks of: the rest, or the only token."""
        alone = all(np.isnan(line[0]) for line in self.rest.values())
        return self.first if alone else self.rest


def largest_record(
    lines: Mapping[str, np.ndarray],
    limit: float,
    selected: int | None,
    *others: Mapping[str, np.ndarray],
) -> Largest:
    """Values by format -> what will be drawn; `others` share the axis."""
    every = [line for table in (lines, *others) for line in table.values()]
    low, high = _range(every)
    strip = any(broken_from(line) is not None for line in every)
    return Largest(_tuples(lines), limit, selected, low, max(high, limit), strip)


def errors_record(
    rest: Mapping[str, np.ndarray],
    first: Mapping[str, np.ndarray],
    selected: int | None,
    *others: Mapping[str, np.ndarray],
) -> StreamErrors:
    """Errors by format -> what will be drawn; `others` (rest and first of other runs) share the axis."""
    every = [line for table in (rest, first, *others) for line in table.values()]
    low, high = _range(every)
    # A line without any number is that of tokens which a prompt of one token does not have.
    strip = any(broken_from(line) is not None for line in every if np.isfinite(line).any())
    return StreamErrors(_tuples(rest), _tuples(first), selected, low, high, strip)


def _tuples(lines: Mapping[str, np.ndarray]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(float(v) for v in line) for name, line in lines.items()}


def _range(lines: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([np.asarray(line, dtype=np.float64) for line in lines])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(values.min()), float(values.max())) if values.size else (1e-3, 1.0)


def place_name(place: int) -> str:
    return "embedding" if place == 0 else f"layer {place - 1}"


def broken_from(line: Sequence[float] | np.ndarray) -> int | None:
    """The first place whose value is no finite number."""
    bad = np.flatnonzero(~np.isfinite(np.asarray(line)))
    return int(bad[0]) if bad.size else None


def largest_title(record: Largest) -> str:
    """The finding: does fp16 hold, and with how much room?"""
    broken = {name: broken_from(line) for name, line in record.lines.items()}
    lost = [name for name, place in broken.items() if place is not None]
    if lost:
        others = [name for name in record.lines if name not in lost]
        places: dict[int, list[str]] = {}
        for name in lost:
            places.setdefault(broken[name] or 0, []).append(name)
        where = ", ".join(
            f"{' and '.join(names)} {_verb(names, 'overflow')} in {place_name(place)}"
            for place, names in places.items()
        )
        goes = (
            f"{' and '.join(others)} {'go' if len(others) > 1 else 'goes'} on" if others else "none is left"
        )
        return f"{where}; {goes}"
    line = next(iter(record.lines.values()))
    peak, place = max(line), int(np.argmax(line))
    return (
        f"Largest number in the stream: {style.three_digits(peak)}, after {place_name(place)}; "
        f"{_of_limit(peak / record.limit)}"
    )


def _of_limit(part: float) -> str:
    if part > 1:
        return "more than fp16 can hold"
    return f"{style.share(part)} of what fp16 can hold"


def _verb(names: Sequence[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}s"


def errors_title(record: StreamErrors) -> str:
    """The finding: how far off each format ends."""
    said = []
    off = style.shares(*(line[-1] for line in record.main.values()))
    for (name, line), words in zip(record.main.items(), off, strict=True):
        place = broken_from(line)
        if place is None:
            said.append(f"{name} is {words} off")
        else:
            said.append(f"{name} is no number from {place_name(place)} on")
    return f"After the last layer: {'; '.join(said)}"
