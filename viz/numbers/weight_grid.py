"""Weights before and after quantization, on the grid that they are rounded to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.weights import CloseLook, Strip
from viz import style
from viz.drawn import Drawn
from viz.panels import PHONE, SILENT, Json, Look, drawn, figure, ink, note, on, panels, scatter

MOST_LINES = 40  # grid lines in a panel; more would be a grey wash
WHATS = ("around the largest weight", "typical weights")


@dataclass(frozen=True)
class WeightGrid:
    """Two strips of a matrix, as in `WHATS`, each with the ends of its axis."""

    matrix: str
    strips: tuple[Strip, Strip]
    ranges: tuple[tuple[float, float], tuple[float, float]]


def weight_grid_record(matrix: str, look: CloseLook, others: Sequence[CloseLook] = ()) -> WeightGrid:
    """Strips -> what will be drawn; `others` are a second run's, which share the axes."""
    looks = (look, *others)
    ranges = _ends([one.largest for one in looks]), _ends([one.typical for one in looks])
    return WeightGrid(matrix, (look.largest, look.typical), ranges)


def _ends(strips: Sequence[Strip]) -> tuple[float, float]:
    """Of an axis that has room for all values of these strips."""
    values = np.concatenate([part for strip in strips for part in (strip.weights, strip.near)])
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or abs(high) or 1.0
    return low - room, high + room


def title_of(record: WeightGrid) -> str:
    """The finding: how much of the grid typical weights get."""
    typical = record.strips[1]
    n = len(typical.weights)
    only = "only " if typical.used <= 3 < n else ""
    noun = "level" if typical.used == 1 else "levels"
    return f"{n} typical weights use {only}{typical.used} {noun} of {typical.n_levels}"


def weight_grid_figure(record: WeightGrid) -> Drawn:
    """Two panels: dots for the weights, diamonds where they are rounded to, lines for the grid."""
    pairs = list(zip(WHATS, record.strips, strict=True))
    said = "; ".join(
        f"{what}, row {strip.row}: levels {style.three_digits(strip.scale)} apart, {strip.used} of "
        f"{strip.n_levels} used, off by at most {style.three_digits(_most_off(strip))}"
        for what, strip in pairs
    )
    cells = [
        (what, strip.row, strip.start + place, *weight)
        for what, strip in pairs
        for place, weight in enumerate(
            zip(strip.weights.tolist(), strip.near.tolist(), strip.codes.tolist(), strict=True)
        )
    ]
    names = ("strip", "row", "column", "before", "after", "code")
    return drawn(
        _figure,
        record,
        alt=f"Weights of {record.matrix} before and after rounding. {title_of(record)}. {said}.",
        stem="weight-grid",
        table=dict(zip(names, map(list, zip(*cells, strict=True)), strict=True)),
        tablet=PHONE,
    )


def _most_off(strip: Strip) -> float:
    return float(np.abs(strip.weights.astype(np.float64) - strip.near).max())


def _figure(record: WeightGrid, look: Look) -> go.Figure:
    x: list[Json] = [
        {
            "showgrid": False,
            "range": [strip.start - 1, strip.start + len(strip.weights)],
            "tickformat": "d",
            "nticks": 6,
            "title": {"text": f"column of row {strip.row:,}"},
        }
        for strip in record.strips
    ]
    y: list[Json] = [
        {"showgrid": False, "range": list(ends), "title": {"text": "weight"}, "nticks": 7}
        for ends in record.ranges
    ]
    across = look.pick([(0.0, 0.46), (0.54, 1.0)], [(0.0, 1.0)])
    up = look.pick([(0.0, 0.91)], [(0.56, 0.94), (0.0, 0.38)])
    title = style.inert(title_of(record))
    return figure(
        [trace for place in (0, 1) for trace in _strip(record, place)],
        **panels(across, up, x, y),
        title=look.title(title, phone_lines=2),
        height=look.pick(400, 720),
        width=look.pick(style.WIDE_PRINT, None),
        annotations=[_heading(record, place, look) for place in (0, 1)],
        legend={"itemclick": False, "itemdoubleclick": False},
        margin={"r": 12, "t": look.pick(64, 88)},
    )


def _heading(record: WeightGrid, place: int, look: Look) -> Json:
    strip = record.strips[place]
    grid = f"levels {style.three_digits(strip.scale)} apart" if strip.scale else "all zero"
    if _lines(strip, record.ranges[place]) is None:
        grid += look.pick(", too close to draw", "")
    x, y = look.pick([(0.0, 0.92), (0.54, 0.92)], [(0.0, 0.945), (0.0, 0.385)])[place]
    words = f"<b>{style.inert(WHATS[place])}</b>: {grid}"
    return note(words, x, y, "left bottom", xref="paper", yref="paper", font=ink(12))


def _lines(strip: Strip, ends: tuple[float, float]) -> list[float] | None:
    """The levels in sight; None where they are too many to draw."""
    if not strip.scale:
        return [0.0]
    low, high = strip.levels
    first = max(low, math.ceil(ends[0] / strip.scale + strip.zero))
    last = min(high, math.floor(ends[1] / strip.scale + strip.zero))
    if last - first + 1 > MOST_LINES:
        return None
    return [strip.scale * (code - strip.zero) for code in range(first, last + 1)]


def _strip(record: WeightGrid, place: int) -> list[Json]:
    strip = record.strips[place]
    before, after = strip.weights.tolist(), strip.near.tolist()
    left, right = strip.start - 1, strip.start + len(before)
    columns, levels = list(range(strip.start, right)), _lines(strip, record.ranges[place]) or []
    ends = [x for _ in levels for x in (left, right, None)] or [None]
    upright = list(chain.from_iterable((column, column, None) for column in columns))
    fall = list(chain.from_iterable((*pair, None) for pair in zip(before, after, strict=True)))
    grid: Json = {"line": {"color": style.LIGHT.line, "width": 1}, **SILENT}
    off: Json = {"line": {"color": style.LIGHT.warning, "width": 2}, "showlegend": False, **SILENT}
    dot = {"symbol": "circle-open", "size": 8, "color": style.LIGHT.ink, "line": {"width": 1.5}}
    diamond = {"symbol": "diamond", "size": 7, "color": style.LIGHT.accent}
    weight: Json = {"marker": dot, "hovertemplate": "column %{x}: %{y:.6g}<extra></extra>"}
    rounded: Json = {
        "marker": diamond,
        "customdata": strip.codes.tolist(),
        "hovertemplate": "column %{x}: code %{customdata}, %{y:.6g}<extra></extra>",
    }
    first: Json = {"showlegend": place == 0, **on(place)}
    level = [y for at in levels for y in (at, at, None)] or [None]
    return [
        scatter("level", ends, level, "lines", legendgroup="grid", **grid, **first),
        scatter("error", upright, fall, "lines", legendgroup="error", **off, **on(place)),
        scatter("weight", columns, before, legendgroup="weight", **weight, **first),
        scatter("rounded to", columns, after, legendgroup="rounded", **rounded, **first),
    ]
