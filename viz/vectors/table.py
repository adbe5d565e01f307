"""One row of the embedding table as a strip of coloured cells, and ranked tokens beside a number each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import QUIET, Look, bars, drawn, figure, heat, mono, rows


@dataclass(frozen=True, eq=False)
class RowStrip:
    """The numbers of one row, float32 [d_model]; `top` ends the colour scale on both sides."""

    token: str
    token_id: int
    values: np.ndarray
    norm: float
    top: float
    what: str  # "embedding" or "head"


def row_strip_record(
    token: str, token_id: int, values: np.ndarray, top: float | None = None, what: str = "embedding"
) -> RowStrip:
    """A row -> what will be drawn. `top`: shared with another figure."""
    own = float(np.abs(values).max(initial=0.0)) or 1.0
    norm = float(np.linalg.norm(values.astype(np.float64)))
    return RowStrip(token, token_id, values.astype(np.float32), norm, own if top is None else top, what)


def strip_title(record: RowStrip) -> str:
    """What it is and how long."""
    name = style.shorten(style.visible(record.token), 16)
    return (
        f"“{name}” is row {record.token_id:,}: {len(record.values):,} numbers, length "
        f"{style.three_digits(record.norm)}"
    )


def row_strip_figure(record: RowStrip) -> Drawn:
    """Cells line by line, as one reads; the exact value on hover."""
    largest = int(np.abs(record.values).argmax()) if len(record.values) else 0
    return drawn(
        _strip,
        record,
        alt=f"{strip_title(record)}. Largest entry: number {largest}, "
        f"{style.three_digits(float(record.values[largest]))}.",
        stem=f"{record.what}-row",
        table={"dimension": list(range(len(record.values))), "value": record.values.tolist()},
    )


def _strip(record: RowStrip, look: Look) -> go.Figure:
    n, per_line = len(record.values), look.pick(64, 32)
    lines = -(-n // per_line)
    cells = np.full(lines * per_line, np.nan, dtype=np.float32)
    cells[:n] = record.values
    starts = range(0, lines, max(1, lines // 9))
    return figure(
        [
            heat(
                "value",
                cells.reshape(lines, per_line),
                -record.top,
                record.top,
                style.SIGNED_SCALE,
                customdata=np.arange(lines * per_line, dtype=np.int32).reshape(lines, per_line),
                hovertemplate="dimension %{customdata}: %{z:.5g}<extra></extra>",
                showscale=look.pick(True, False),
                colorbar={"title": {"text": "value"}, "nticks": 3},
            )
        ],
        title=look.title(style.inert(strip_title(record)), ":"),
        height=look.pick(64, 84) + max(90, min(420, look.pick(16, 12) * lines)),
        margin={"t": look.pick(44, 64)},
        xaxis=QUIET,
        yaxis={
            "range": [lines - 0.5, -0.5],
            "showgrid": False,
            "tickvals": list(starts),
            "ticktext": [f"{line * per_line:,}" for line in starts],
            "title": {"text": look.pick("dimension", "")},
        },
    )


@dataclass(frozen=True)
class RankedTokens:
    """Tokens and a number each, the best first. `by`: "cosine" or "euclidean"; `top` ends the axis."""

    title: str
    by: str
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    values: tuple[float, ...]
    marked: frozenset[int]  # ids that are drawn hatched: the words that were put in
    top: float


def ranked_tokens_record(
    title: str,
    by: str,
    ids: Sequence[int],
    texts: Sequence[str],
    values: Sequence[float],
    marked: Sequence[int] = (),
    top: float | None = None,
) -> RankedTokens:
    """A ranking -> what will be drawn."""
    own = max([abs(value) for value in values if np.isfinite(value)] or [1.0]) or 1.0
    end = (max(1.0, own) if by == "cosine" else own) if top is None else top
    return RankedTokens(title, by, tuple(ids), tuple(texts), tuple(values), frozenset(marked), end)


def ranked_tokens_figure(record: RankedTokens, stem: str = "nearest-tokens") -> Drawn:
    """A bar a token, from 0; `customdata` is its id."""
    quantity = "cosine" if record.by == "cosine" else "distance"
    said = ", ".join(
        f"“{style.visible(text)}” {value:.3g}"
        for text, value in list(zip(record.texts, record.values, strict=True))[:5]
    )
    return Drawn(
        figure=_ranked(record),
        alt=f"{record.title}. By {quantity}, nearest first: {said}.",
        stem=stem,
        table={
            "token": [style.visible(text) for text in record.texts],
            "id": list(record.ids),
            quantity: list(record.values),
        },
        narrow_layout={"title.font.size": 13},
    )


def _ranked(record: RankedTokens) -> go.Figure:
    quantity = "cosine" if record.by == "cosine" else "distance (Euclid)"
    color = style.category(0 if record.by == "cosine" else 2)
    marked = [token_id in record.marked for token_id in record.ids]
    hatched = {"shape": ["/" if mark else "" for mark in marked], "fgcolor": style.LIGHT.cut_line}
    return figure(
        [
            bars(
                quantity,
                record.values,
                [style.three_digits(value) for value in record.values],
                size=12,
                marker={"color": [style.LIGHT.cut if mark else color for mark in marked], "pattern": hatched},
                customdata=list(record.ids),
                hovertext=[style.label(text) for text in record.texts],
                hovertemplate="%{hovertext}, id %{customdata:,}: %{x:.5f}<extra></extra>",
            )
        ],
        title={"text": style.inert(record.title)},
        height=76 + 27 * max(1, len(record.ids)),
        uniformtext={"minsize": 8, "mode": "show"},
        margin={"r": 56, "t": 48},
        xaxis={
            "range": [1.1 * min([0.0, *record.values]), 1.05 * record.top],
            "nticks": 5,
            "title": {"text": quantity},
        },
        yaxis=rows([style.label(text, 18) for text in record.texts], tickfont=mono()),
    )
