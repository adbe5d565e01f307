"""Weights before and after quantization, on the grid that they are rounded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

MOST_LINES = 40  # grid lines in a panel; more would be a grey wash


@dataclass(frozen=True)
class GridStrip:
    """Neighbours of one row, before and after, and the grid: level c is scale x (c - zero)."""

    what: str  # "around the largest weight", "typical"
    row: int
    start: int
    before: tuple[float, ...]
    after: tuple[float, ...]
    codes: tuple[int, ...]
    scale: float
    zero: float
    levels: tuple[int, int]

    @property
    def used(self) -> int:
        """On how many levels the weights end."""
        return len(set(self.codes))

    @property
    def n_levels(self) -> int:
        return self.levels[1] - self.levels[0] + 1

    def span(self) -> tuple[float, float]:
        """Least and largest of all drawn values."""
        values = (*self.before, *self.after)
        return min(values), max(values)


@dataclass(frozen=True)
class WeightGrid:
    """Two strips of a matrix, each with the ends of its axis."""

    matrix: str
    strips: tuple[GridStrip, GridStrip]  # around the largest weight, typical
    ranges: tuple[tuple[float, float], tuple[float, float]]


def weight_grid_record(
    matrix: str,
    strips: tuple[GridStrip, GridStrip],
    others: Sequence[tuple[GridStrip, GridStrip]] = (),
) -> WeightGrid:
    """Strips -> what will be drawn; `others` are a second run's, which share the axes."""
    ends = []
    for place in (0, 1):
        spans = [pair[place].span() for pair in (strips, *others)]
        low, high = min(span[0] for span in spans), max(span[1] for span in spans)
        room = 0.06 * (high - low) or abs(high) or 1.0
        ends.append((low - room, high + room))
    return WeightGrid(matrix, strips, (ends[0], ends[1]))


def title_of(record: WeightGrid) -> str:
    """The finding: how much of the grid typical weights get."""
    typical = record.strips[1]
    only = "only " if typical.used <= 3 < len(typical.before) else ""
    noun = "level" if typical.used == 1 else "levels"
    return f"{len(typical.before)} typical weights use {only}{typical.used} {noun} of {typical.n_levels}"


def weight_grid_figure(record: WeightGrid) -> Drawn:
    """Two panels: dots for the weights, diamonds where they are rounded to, lines for the grid."""
    columns: dict[str, list[object]] = {
        "strip": [], "row": [], "column": [], "before": [], "after": [], "code": []
    }  # fmt: skip
    for strip in record.strips:
        n = len(strip.before)
        columns["strip"] += [strip.what] * n
        columns["row"] += [strip.row] * n
        columns["column"] += range(strip.start, strip.start + n)
        columns["before"] += strip.before
        columns["after"] += strip.after
        columns["code"] += strip.codes
    said = "; ".join(
        f"{strip.what}, row {strip.row}: levels {style.three_digits(strip.scale)} apart, {strip.used} of "
        f"{strip.n_levels} used, off by at most {style.three_digits(_most_off(strip))}"
        for strip in record.strips
    )
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Weights of {record.matrix} before and after rounding. {title_of(record)}. {said}.",
        stem="weight-grid",
        table=columns,
        narrow_figure=_figure(record, narrow=True),
    )


def _most_off(strip: GridStrip) -> float:
    return max(abs(a - b) for a, b in zip(strip.before, strip.after, strict=True))


def _figure(record: WeightGrid, narrow: bool) -> go.Figure:
    figure = go.Figure()
    for place, strip in enumerate(record.strips):
        _add_strip(figure, strip, place, record.ranges[place])
    title = style.inert(title_of(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title, "font": {"size": 13}, "pad": {"t": 36, "b": 0}} if narrow else {"text": title},
        height=720 if narrow else 400,
        width=None if narrow else style.WIDE_PRINT,
        annotations=[_heading(record, place, narrow) for place in (0, 1)],
        legend={
            "y": 1.0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False,
        },
        margin={"l": 8, "r": 12, "t": 88 if narrow else 64, "b": 8},
    )  # fmt: skip
    for place in (0, 1):
        number = "" if place == 0 else "2"
        across, up = ([0, 1], [0.56, 0.94] if place == 0 else [0, 0.38]) if narrow else (
            [0, 0.46] if place == 0 else [0.54, 1], [0, 0.91])  # fmt: skip
        strip = record.strips[place]
        figure.update_layout({
            f"xaxis{number}": {
                "domain": across, "anchor": f"y{number}", "fixedrange": True, "showgrid": False,
                "range": [strip.start - 1, strip.start + len(strip.before)], "tickformat": "d",
                "nticks": 6, "title": {"text": f"column of row {strip.row:,}"},
            },
            f"yaxis{number}": {
                "domain": up, "anchor": f"x{number}", "fixedrange": True, "showgrid": False,
                "range": list(record.ranges[place]), "title": {"text": "weight"}, "nticks": 7,
            },
        })  # fmt: skip
    return figure


def _heading(record: WeightGrid, place: int, narrow: bool) -> dict[str, object]:
    strip = record.strips[place]
    step = style.three_digits(strip.scale)
    grid = f"levels {step} apart" if strip.scale else "all zero"
    if _lines(strip, record.ranges[place]) is None:
        grid += ", too close to draw"
    return {
        "x": 0 if narrow or place == 0 else 0.54, "xref": "paper", "xanchor": "left",
        "y": (0.945 if place == 0 else 0.385) if narrow else 0.92, "yref": "paper", "yanchor": "bottom",
        "showarrow": False, "text": f"<b>{style.inert(strip.what)}</b>: {grid}",
        "font": {"size": 12, "color": style.LIGHT.ink},
    }  # fmt: skip


def _lines(strip: GridStrip, ends: tuple[float, float]) -> list[float] | None:
    """The levels in sight; None where they are too many to draw."""
    if not strip.scale:
        return [0.0]
    low, high = strip.levels
    first = max(low, int(np.ceil(ends[0] / strip.scale + strip.zero)))
    last = min(high, int(np.floor(ends[1] / strip.scale + strip.zero)))
    if last - first + 1 > MOST_LINES:
        return None
    return [strip.scale * (code - strip.zero) for code in range(first, last + 1)]


def _add_strip(figure: go.Figure, strip: GridStrip, place: int, ends: tuple[float, float]) -> None:
    axes = {"xaxis": "x" if place == 0 else "x2", "yaxis": "y" if place == 0 else "y2"}
    columns = list(range(strip.start, strip.start + len(strip.before)))
    left, right = strip.start - 1, strip.start + len(strip.before)
    levels = _lines(strip, ends) or []
    figure.add_scatter(
        name="level", legendgroup="grid", showlegend=place == 0, mode="lines",
        x=[x for _ in levels for x in (left, right, None)] or [None],
        y=[y for level in levels for y in (level, level, None)] or [None],
        line={"color": style.LIGHT.line, "width": 1}, hoverinfo="skip", **axes,
    )  # fmt: skip
    figure.add_scatter(
        name="error", legendgroup="error", showlegend=False, mode="lines", hoverinfo="skip",
        x=[x for column in columns for x in (column, column, None)],
        y=[y for pair in zip(strip.before, strip.after, strict=True) for y in (*pair, None)],
        line={"color": style.LIGHT.warning, "width": 2}, **axes,
    )  # fmt: skip
    figure.add_scatter(
        name="weight", legendgroup="weight", showlegend=place == 0, mode="markers", x=columns, y=strip.before,
        marker={"symbol": "circle-open", "size": 8, "color": style.LIGHT.ink, "line": {"width": 1.5}},
        hovertemplate="column %{x}: %{y:.6g}<extra></extra>", **axes,
    )  # fmt: skip
    figure.add_scatter(
        name="rounded to", legendgroup="rounded", showlegend=place == 0, mode="markers", x=columns,
        y=strip.after, customdata=list(strip.codes),
        marker={"symbol": "diamond", "size": 7, "color": style.LIGHT.accent},
        hovertemplate="column %{x}: code %{customdata}, %{y:.6g}<extra></extra>", **axes,
    )  # fmt: skip
