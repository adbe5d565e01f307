"""The pattern that each order of operations gives: fp32's beside those in a narrow format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import ORDERS, OrderReport
from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import ORDER_TITLES
from viz.panels import PHONE, Json, Look, columns, drawn, figure, heading, ink, note, on, panels, rows
from viz.token_map import token_map

MOST_TOKENS = 48  # drawn; more would be cells too small to see
_NARROW_LABELLED = 12  # on a phone: queries only
_LABELLED = 16  # tokens whose names fit on a panel's axes


@dataclass(frozen=True, eq=False)
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
    report: OrderReport, texts: Sequence[str], selected: int, number_format: str
) -> OrderPatterns:
    """Patterns -> what will be drawn: at most `MOST_TOKENS` tokens, the selected one among them."""
    n = len(texts)
    first = 0 if n <= MOST_TOKENS else min(max(0, selected + 1 - MOST_TOKENS), n - MOST_TOKENS)
    cut = slice(first, first + MOST_TOKENS)
    results = [report.results["after", "fp32"], *(report.results[order, number_format] for order in ORDERS)]
    return OrderPatterns(
        ("fp32", *(f"{ORDER_TITLES[order]}, {number_format}" for order in ORDERS)),
        tuple(result.pattern[cut, cut] for result in results),
        tuple(texts[cut]),
        first,
        _finding(report, number_format),
    )


def _finding(report: OrderReport, number_format: str) -> str:
    found = {ORDER_TITLES[order]: report.results[order, number_format] for order in ORDERS}
    broken = [title for title, result in found.items() if result.broken_rows]
    whole = [result.difference for result in found.values() if not result.broken_rows]
    if not whole:
        return f"No pattern in {number_format} is whole"
    close = "are fp32's" if max(whole) < 1e-6 else f"differ from fp32 by {style.share(max(whole))} at most"
    if not broken:
        return f"All three patterns {close}"
    return f"{' and '.join(broken)} {'loses' if len(broken) == 1 else 'lose'} rows; the others {close}"


def order_patterns_figure(record: OrderPatterns) -> Drawn:
    """Four maps on one scale; rows that are no number are grey and say so."""
    cells = [(q, k) for q in range(len(record.texts)) for k in range(q + 1)]
    names = [style.visible(text) for text in record.texts]
    before = f" {record.first} tokens before them are not drawn." if record.first else ""
    return drawn(
        _figure,
        record,
        alt=f"Attention patterns of one head: {'; '.join(record.titles)}. {record.finding}.{before}",
        stem="order-patterns",
        table={
            "query": [record.first + q for q, _ in cells],
            "key": [record.first + k for _, k in cells],
            "query token": [names[q] for q, _ in cells],
            "key token": [names[k] for _, k in cells],
            **{
                title: ["NaN" if np.isnan(matrix[cell]) else float(matrix[cell]) for cell in cells]
                for title, matrix in zip(record.titles, record.patterns, strict=True)
            },
        },
        tablet=PHONE,
    )


def _figure(record: OrderPatterns, look: Look) -> go.Figure:
    n, n_columns = len(record.texts), look.pick(4, 2)
    labels = [style.label(text, 10) for text in record.texts] if n <= _LABELLED else []
    ticks: Json = {"tickvals": list(range(len(labels))), "ticktext": labels, "tickfont": {"size": 10}}
    keys = columns([""] * n, side="top", tickangle=-60, showticklabels=look.pick(bool(labels), False))
    named = n <= look.pick(n, _NARROW_LABELLED)
    queries = [rows([""] * n, showticklabels=named and panel % n_columns == 0) for panel in range(4)]
    head = look.pick(58 if labels else 4, 4)  # pixels above a panel for the names of its keys
    title = look.title(record.finding.replace(" by ", look.pick(" by ", "<br>by ")), ";")
    lines = 1 + title["text"].count("<br>")
    across = [
        (left / n_columns + 0.02 * bool(left), (left + 1) / n_columns - 0.02) for left in range(n_columns)
    ]
    up = look.pick([(0.0, 1.0)], [(0.56, 1.0), (0.0, 0.44)])
    maps, notes = [], []
    for panel, (name, matrix) in enumerate(zip(record.titles, record.patterns, strict=True)):
        maps += _maps(name, matrix, panel)
        notes.append(heading(f"<b>{name}</b>", panel, yshift=head, font=ink(look.pick(13, 12))))
        notes += _nan_notes(matrix, panel)
    return figure(
        maps,
        **panels(across, up, {**keys, **ticks}, [{**axis, **ticks} for axis in queries]),
        title=title,
        height=look.pick(380, 560),
        width=look.pick(style.WIDE_PRINT, None),
        annotations=notes,
        showlegend=False,
        plot_bgcolor=style.MASKED,
        margin={"t": look.pick(60, 56 + 18 * lines) + head},
    )


def _maps(title: str, matrix: np.ndarray, panel: int) -> list[Json]:
    """A panel's map, under it the grey of the rows that are no number."""
    n = len(matrix)
    future = np.triu(np.ones((n, n), dtype=bool), 1)
    broken = np.isnan(matrix).any(1)
    words = f"{title}<br>query %{{y}}, key %{{x}}: %{{z:.3%}}<extra></extra>"
    cell: Json = {"showscale": False, **on(panel)}
    shown = np.where(future | broken[:, None], np.nan, matrix)
    whole = token_map(title, shown, 0, 1, style.PROBABILITY_SCALE, hovertemplate=words, **cell)
    if not broken.any():
        return [whole]
    lost = np.where(broken[:, None] & ~future, 1.0, np.nan)
    grey, words = ((0, style.LIGHT.cut), (1, style.LIGHT.cut)), "query %{y}: NaN<extra></extra>"
    return [token_map("NaN", lost, 0, 1, grey, xgap=0, ygap=1, hovertemplate=words, **cell), whole]


def _nan_notes(matrix: np.ndarray, panel: int) -> list[Json]:
    """The word NaN on the rows that are none; one word for all where rows are too thin."""
    broken: list[float] = [*np.flatnonzero(np.isnan(matrix).any(1)).tolist()]
    if broken and len(matrix) > _LABELLED:
        broken = [float(np.mean(broken))]
    return [note("NaN", row / 2, row, panel=panel, font=ink(11)) for row in broken]
