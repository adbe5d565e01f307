"""The picture of `viz.attention.lines`: two columns of tokens, and lines as thick as what is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.attention.lines import AttentionLines, Row, lines_sentence, title
from viz.drawn import Drawn
from viz.panels import QUIET, SILENT, Json, Look, drawn, figure, ink, mono, note, scatter

_BENDS = np.linspace(0, 1, 24)
_CURVE = _BENDS**2 * (3 - 2 * _BENDS)  # leaves and arrives level
_THICKEST = 13.0  # pixels, at probability 1
_FAINT_STEPS = ((0.1, 0.3, 0.6), (0.3, 0.6, 1.4), (0.6, 1.01, 2.6))  # from, to, pixels


def attention_lines_figure(record: AttentionLines) -> Drawn:
    """Tokens on the left read tokens on the right: the thicker and darker a line, the more."""
    return drawn(
        _figure,
        record,
        alt=f"Lines from the selected token to what it reads. {lines_sentence(record)}",
        stem="attention-lines",
        table={
            "key": list(range(len(record.shares))),
            "key text": [style.visible(text) for text in record.tokens[: len(record.shares)]],
            "probability": list(record.shares),
        },
    )


def _figure(record: AttentionLines, look: Look) -> go.Figure:
    """x is 0 at the left column's edge, 1 at the right one's."""
    n, start = len(record.rows), record.row_of(record.selected)
    left, right = look.pick((-0.52, 1.74), (-0.62, 2.1))
    name_end = look.pick(1.52, 1.62)  # where the right column's boxes end; numbers stand behind it
    read = [(at, row) for at, row in enumerate(record.rows) if row.share]
    return figure(
        [
            *_faint(record),
            *(_line(start, at, row) for at, row in read),
            *_column(record, look, "queries", left, -left),
            *_column(record, look, "keys", 1.0, name_end - 1),
            _shares(record, look, name_end + 0.02),
            _spots(record, start, read),
        ],
        xaxis={"range": [left, right], **QUIET},
        yaxis={"range": [n - 0.4, -1.6], **QUIET},
        height=84 + look.pick(25, 21) * n,
        showlegend=False,
        title=look.title(title(record)),
        margin={"l": 4, "r": 4, "t": 34, "b": 4},
        annotations=[note("reads", -0.03, -1, "right"), note("is read", 1.03, -1, "left")],
        bargap=0.12,
        barmode="overlay",
    )


def _faint(record: AttentionLines) -> list[Json]:
    """The other tokens' strong lines, in the background; three widths, not to be pointed at."""
    traces = []
    for low, high, width in _FAINT_STEPS:
        x: list[float | None] = []
        y: list[float | None] = []
        for query, key, share in record.faint:
            if low <= share < high:
                x += [*np.round(_BENDS[::3], 3), 1.0, None]
                y += [*np.round(query + (key - query) * _CURVE[::3], 2), float(key), None]
        look = {"width": width, "color": style.LIGHT.grid, "shape": "spline"}
        traces.append(scatter("other tokens", x, y, "lines", line=look, **SILENT))
    return traces


def _line(start: int, at: int, row: Row) -> Json:
    """One line of the selected token; grey and dashed to a fold."""
    share = min(row.share or 0.0, 1.0)
    color, dash = (style.LIGHT.cut_line, "4px,4px") if row.folded else (style.LIGHT.accent, "solid")
    return scatter(
        "line",
        np.round(_BENDS, 3).astype(np.float32),
        np.round(start + (at - start) * _CURVE, 2).astype(np.float32),
        "lines",
        line={"width": max(0.6, _THICKEST * share), "color": color, "dash": dash, "shape": "spline"},
        opacity=0.3 + 0.6 * share,
        **SILENT,
    )


def _column(record: AttentionLines, look: Look, side: str, base: float, width: float) -> list[Json]:
    """The boxes and names of one column; a click on a box chooses its token."""
    left, n = side == "queries", len(record.rows)
    chosen = record.selected if left else record.key
    outlined = [chosen is not None and row.first <= chosen <= row.last for row in record.rows]
    # Names that the selected token may not read are grey.
    colors = [style.LIGHT.ink if left or row.share is not None else style.LIGHT.muted for row in record.rows]
    boxes = {
        "type": "bar",
        "name": side,
        "orientation": "h",
        "base": [base] * n,
        "x": [width] * n,
        "y": list(range(n)),
        "marker": {
            "color": [_fill(record, row, left) for row in record.rows],
            "cornerradius": 4,
            "line": {"color": style.LIGHT.ink, "width": [2 * line for line in outlined]},
        },
        "customdata": [["token" if left else "key", (row.first + row.last) // 2] for row in record.rows],
        "hovertemplate": [_hover(record, row, left) for row in record.rows],
    }
    names = scatter(
        f"{side} names",
        [-0.02 if left else 1.02] * n,
        range(n),
        "text",
        text=[_name(record, row, look, bold) for row, bold in zip(record.rows, outlined, strict=True)],
        textposition="middle left" if left else "middle right",
        textfont={**mono(look.pick(13, 11)), "color": colors},
        cliponaxis=False,
        **SILENT,
    )
    return [boxes, names]


def _fill(record: AttentionLines, row: Row, left: bool) -> str:
    if row.folded:
        return style.LIGHT.surface
    if not left and row.share is None:
        return style.MASKED
    return style.faded(style.token_color(record.ids[row.first]), 0.28)


def _name(record: AttentionLines, row: Row, look: Look, bold: bool) -> str:
    if row.folded:
        return f"⋯ {counted(row.n_tokens, 'token')}"
    words = style.label(record.tokens[row.first], look.pick(16, 10))
    return f"<b>{words}</b>" if bold else words


def _hover(record: AttentionLines, row: Row, left: bool) -> str:
    where = f"token {row.first} “{style.label(record.tokens[row.first], 40)}”"
    if row.folded:
        where = f"tokens {row.first}–{row.last}, folded"
    said = "choose it as the reader" if left else _read(record, row)
    return f"{where}<br>{said}<extra></extra>"


def _read(record: AttentionLines, row: Row) -> str:
    query = style.label(record.tokens[record.selected])
    if row.share is None:
        return f"comes later: “{query}” may not read it"
    together = "together " if row.folded else ""
    return f"read by “{query}”: {together}{row.share:.6f} ({style.share(row.share)})"


def _shares(record: AttentionLines, look: Look, x: float) -> Json:
    """Numbers beside the strongest keys, the chosen one, and the folds that get something."""
    named = {record.key, *(key for key, _ in record.strongest)}
    shown = [
        (at, row.share)
        for at, row in enumerate(record.rows)
        if row.share is not None and (row.first in named or (row.folded and row.share >= 0.001))
    ]
    return scatter(
        "shares",
        [x] * len(shown),
        [at for at, _ in shown],
        "text",
        text=[style.share(share) for _, share in shown],
        textposition="middle right",
        textfont=ink(look.pick(13, 11)),
        cliponaxis=False,
        **SILENT,
    )


def _spots(record: AttentionLines, start: int, read: Sequence[tuple[int, Row]]) -> Json:
    """Unseen points along the lines, so that a line can be pointed at and chosen."""
    spots = [(at, row, bend) for at, row in read for bend in (8, 13, 18)]
    return scatter(
        "lines",
        [round(float(_BENDS[bend]), 3) for _, _, bend in spots],
        [round(float(start + (at - start) * _CURVE[bend]), 2) for at, _, bend in spots],
        marker={"size": 9, "opacity": 0},
        customdata=[["key", (row.first + row.last) // 2] for _, row, _ in spots],
        hovertemplate=[_hover(record, row, False) for _, row, _ in spots],
    )
