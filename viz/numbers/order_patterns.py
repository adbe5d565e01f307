"""The pattern that each order of operations gives: fp32's beside those in a narrow format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import ORDER_TITLES

MOST_TOKENS = 48  # drawn; more would be cells too small to see
_NARROW_LABELLED = 12  # on a phone: queries only
_LABELLED = 16  # tokens whose names fit on a panel's axes


@dataclass(frozen=True)
class OrderPatterns:
    """Panels of one head: `patterns` float32 [panel][query, key], NaN where a row is no number.

    `first` is the position of the first token drawn: so many stand before it.
    """

    titles: tuple[str, ...]
    patterns: tuple[np.ndarray, ...]
    texts: tuple[str, ...]
    first: int
    finding: str


def order_patterns_record(
    reference: np.ndarray,  # [query, key], fp32's
    patterns: Mapping[str, np.ndarray],  # by order, in the narrow format
    texts: Sequence[str],
    selected: int,
    number_format: str,
) -> OrderPatterns:
    """Patterns -> what will be drawn: at most `MOST_TOKENS` tokens, the selected one among them."""
    n = len(texts)
    first = 0 if n <= MOST_TOKENS else min(max(0, selected + 1 - MOST_TOKENS), n - MOST_TOKENS)
    cut = slice(first, first + MOST_TOKENS)
    whole = {order: _worst(pattern, reference) for order, pattern in patterns.items()}
    return OrderPatterns(
        ("fp32", *(f"{ORDER_TITLES[order]}, {number_format}" for order in patterns)),
        tuple(matrix[cut, cut] for matrix in (reference, *patterns.values())),
        tuple(texts[cut]),
        first,
        _finding(whole, number_format),
    )


def _worst(pattern: np.ndarray, reference: np.ndarray) -> tuple[int, float]:
    """Rows that are NaN, and the largest difference in the others."""
    gaps = np.abs(pattern - reference).max(1)
    whole = np.isfinite(gaps)
    return int((~whole).sum()), float(gaps[whole].max()) if whole.any() else float("nan")


def _finding(whole: Mapping[str, tuple[int, float]], number_format: str) -> str:
    broken = [order for order, (rows, _) in whole.items() if rows]
    fine = max((gap for rows, gap in whole.values() if not rows), default=float("nan"))
    close = "are fp32's" if fine < 1e-6 else f"differ from fp32 by {style.share(fine)} at most"
    if not broken:
        return f"All three patterns {close}"
    if len(broken) == len(whole):
        return f"No pattern in {number_format} is whole"
    lost = " and ".join(ORDER_TITLES[order] for order in broken)
    return f"{lost} {'loses' if len(broken) == 1 else 'lose'} rows; the others {close}"


def order_patterns_figure(record: OrderPatterns) -> Drawn:
    """Four maps on one scale; rows that are no number are grey and say so."""
    queries = range(len(record.texts))
    cells = [(q, k) for q in queries for k in range(q + 1)]
    names = [style.visible(text) for text in record.texts]
    before = f" {record.first} tokens before them are not drawn." if record.first else ""
    narrow = _figure(record, narrow=True)
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Attention patterns of one head: {'; '.join(record.titles)}. {record.finding}.{before}",
        stem="order-patterns",
        table={
            "query": [record.first + q for q, _ in cells],
            "key": [record.first + k for _, k in cells],
            "query token": [names[q] for q, _ in cells],
            "key token": [names[k] for _, k in cells],
            **{
                title: [_plain(matrix[q, k]) for q, k in cells]
                for title, matrix in zip(record.titles, record.patterns, strict=True)
            },
        },
        narrow_figure=narrow,
        middle_figure=narrow,
    )


def _plain(value: float) -> float | str:
    return "NaN" if np.isnan(value) else float(value)


def _figure(record: OrderPatterns, narrow: bool) -> go.Figure:
    """Made in one piece: a figure that is put together call by call takes ten times as long."""
    traces: list[go.Heatmap] = []
    layout: dict[str, Any] = {}
    notes: list[dict[str, Any]] = []
    columns = 2 if narrow else 4
    for number, (title, matrix) in enumerate(zip(record.titles, record.patterns, strict=True)):
        row, column = divmod(number, columns)
        across = (column / columns + (0.02 if column else 0), (column + 1) / columns - 0.02)
        down = (0.0, 1.0) if not narrow else ((0.56, 1.0) if row == 0 else (0.0, 0.44))
        traces += _maps(record, matrix, number)
        layout |= _axes(record, number, across, down)
        notes.append({
            "text": f"<b>{title}</b>", "x": across[0], "y": down[1], "xref": "paper", "yref": "paper",
            "xanchor": "left", "yanchor": "bottom", "yshift": _head(record, narrow), "showarrow": False,
            "font": {"size": 12 if narrow else 13, "color": style.LIGHT.ink},
        })  # fmt: skip
        notes += _nan_notes(matrix, number)
    heading: dict[str, object] = {"text": record.finding}
    if narrow:
        heading = style.narrow_title(record.finding.replace(" by ", "<br>by "), ";")
    lines = 1 + str(heading["text"]).count("<br>")
    layout |= {
        "template": style.TEMPLATE,
        "title": heading,
        "height": 560 if narrow else 380,
        "width": None if narrow else style.WIDE_PRINT,
        "annotations": notes,
        "showlegend": False,
        "plot_bgcolor": style.MASKED,
        "margin": {"l": 8, "r": 8, "t": (56 + 18 * lines if narrow else 60) + _head(record, narrow), "b": 8},
    }
    return go.Figure(traces, layout)


def _head(record: OrderPatterns, narrow: bool) -> int:
    """Pixels above a panel for the names of its keys."""
    return 4 if narrow or len(record.texts) > _LABELLED else 58


def _suffix(number: int) -> str:
    return str(number + 1) if number else ""


def _maps(record: OrderPatterns, matrix: np.ndarray, number: int) -> list[go.Heatmap]:
    """A panel's map, under it the grey of the rows that are no number."""
    n = len(matrix)
    axes = {"xaxis": f"x{_suffix(number)}", "yaxis": f"y{_suffix(number)}"}
    future = np.triu(np.ones((n, n), dtype=bool), 1)
    broken = np.isnan(matrix).any(1)
    shown = np.where(future | broken[:, None], np.nan, matrix).astype(np.float32)
    maps = []
    if broken.any():
        maps.append(go.Heatmap(
            z=np.where(broken[:, None] & ~future, 1.0, np.nan).astype(np.float32), zmin=0, zmax=1,
            colorscale=[[0, style.LIGHT.cut], [1, style.LIGHT.cut]], showscale=False, xgap=0, ygap=1,
            hoverongaps=False, hovertemplate="query %{y}: NaN<extra></extra>", **axes,
        ))  # fmt: skip
    maps.append(go.Heatmap(
        z=shown, zmin=0, zmax=1, colorscale=[list(stop) for stop in style.PROBABILITY_SCALE], showscale=False,
        xgap=1 if n <= 24 else 0, ygap=1 if n <= 24 else 0, hoverongaps=False,
        hovertemplate=f"{record.titles[number]}<br>query %{{y}}, key %{{x}}: %{{z:.3%}}<extra></extra>",
        **axes,
    ))  # fmt: skip
    return maps


def _axes(
    record: OrderPatterns, number: int, across: tuple[float, float], down: tuple[float, float]
) -> dict[str, Any]:
    """A panel's axes: keys on top, queries on the left of the first panel, named where there is room."""
    n, suffix, tall = len(record.texts), _suffix(number), down == (0.0, 1.0)
    labels = [style.label(text, 10) for text in record.texts] if n <= _LABELLED else []
    shared = {
        "fixedrange": True, "showgrid": False, "tickfont": {"size": 10}, "tickvals": list(range(len(labels))),
        "ticktext": labels,
    }  # fmt: skip
    return {
        f"xaxis{suffix}": {**shared, "domain": across, "anchor": f"y{suffix}", "side": "top", "tickangle":
        -60,
                           "range": [-0.5, n - 0.5], "showticklabels": bool(labels) and tall},
        f"yaxis{suffix}": {**shared, "domain": down, "anchor": f"x{suffix}", "range": [n - 0.5, -0.5],
                           "showticklabels": across[0] == 0 and (tall or n <= _NARROW_LABELLED)},
    }  # fmt: skip


def _nan_notes(matrix: np.ndarray, number: int) -> list[dict[str, Any]]:
    """The word NaN on the rows that are none; one word for all where rows are too thin."""
    broken = np.flatnonzero(np.isnan(matrix).any(1))
    if not len(broken):
        return []
    suffix = _suffix(number)
    if len(matrix) > _LABELLED:
        spots = [(float(broken.mean()), float(broken.mean()) / 2)]
    else:
        spots = [(float(row), float(row) / 2) for row in broken]
    return [
        {
            "text": "NaN",
            "x": x,
            "y": y,
            "xref": f"x{suffix}",
            "yref": f"y{suffix}",
            "showarrow": False,
            "font": {"size": 11, "color": style.LIGHT.ink},
        }
        for y, x in spots
    ]
