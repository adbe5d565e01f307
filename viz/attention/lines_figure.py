"""The picture of `viz.attention.lines`: two columns of tokens, and lines as thick as what is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.lines import AttentionLines, Row, lines_sentence, title
from viz.drawn import Drawn

_BENDS = np.linspace(0, 1, 24)
_CURVE = _BENDS**2 * (3 - 2 * _BENDS)  # leaves and arrives level
_THICKEST = 13.0  # pixels, at probability 1
_FAINT_STEPS = ((0.1, 0.3, 0.6), (0.3, 0.6, 1.4), (0.6, 1.01, 2.6))  # from, to, pixels


@dataclass(frozen=True)
class _Layout:
    """A width of screen. x is 0 at the left column's edge, 1 at the right one's."""

    left: float  # where the left column begins
    right: float  # where the right column ends; numbers stand before it
    name_end: float  # where the right column's boxes end
    letters: int  # of a token
    size: int
    row: float  # pixels

    def height(self, n_rows: int) -> float:
        return 84 + self.row * n_rows


_WIDE = _Layout(-0.52, 1.74, 1.52, 16, 13, 25)
_NARROW = _Layout(-0.62, 2.1, 1.62, 10, 11, 21)


def attention_lines_figure(record: AttentionLines) -> Drawn:
    """Tokens on the left read tokens on the right: the thicker and darker a line, the more."""
    return Drawn(
        figure=_figure(record, _WIDE),
        alt=f"Lines from the selected token to what it reads. {lines_sentence(record)}",
        stem="attention-lines",
        table={
            "key": list(range(len(record.shares))),
            "key text": [style.visible(text) for text in record.tokens[: len(record.shares)]],
            "probability": list(record.shares),
        },
        narrow_figure=_figure(record, _NARROW),
    )


def _figure(record: AttentionLines, layout: _Layout) -> go.Figure:
    figure = go.Figure()
    _add_faint(figure, record)
    for at, row in enumerate(record.rows):
        if row.share:
            _add_line(figure, record, at, row)
    _add_column(figure, record, layout, "queries")
    _add_column(figure, record, layout, "keys")
    _add_shares(figure, record, layout)
    _add_hovers(figure, record)
    n = len(record.rows)
    hidden = {"showgrid": False, "showticklabels": False, "fixedrange": True, "zeroline": False}
    figure.update_xaxes(range=[layout.left, layout.right], **hidden)
    figure.update_yaxes(range=[n - 0.4, -1.6], **hidden)
    size = {"size": 13} if layout is _NARROW else {}
    figure.update_layout(
        template=style.TEMPLATE,
        height=layout.height(n),
        showlegend=False,
        title={"text": title(record), "font": size},
        margin={"l": 4, "r": 4, "t": 34, "b": 4},
        annotations=[_head(-0.03, "right", "reads"), _head(1.03, "left", "is read")],
        bargap=0.12,
        barmode="overlay",
    )
    return figure


def _head(x: float, anchor: str, words: str) -> dict[str, Any]:
    return {"x": x, "y": -1, "xanchor": anchor, "text": words, "showarrow": False}


def _place(record: AttentionLines) -> int:
    """The selected token's row."""
    return next(at for at, row in enumerate(record.rows) if row.first <= record.selected <= row.last)


def _add_faint(figure: go.Figure, record: AttentionLines) -> None:
    """The other tokens' strong lines, in the background; three widths, not to be pointed at."""
    for low, high, width in _FAINT_STEPS:
        x: list[float | None] = []
        y: list[float | None] = []
        for query, key, share in record.faint:
            if low <= share < high:
                x += [*np.round(_BENDS[::3], 3), 1.0, None]
                y += [*np.round(query + (key - query) * _CURVE[::3], 2), float(key), None]
        figure.add_scatter(
            name="other tokens",
            x=x,
            y=y,
            mode="lines",
            line={"width": width, "color": style.LIGHT.grid, "shape": "spline"},
            hoverinfo="skip",
        )


def _add_line(figure: go.Figure, record: AttentionLines, at: int, row: Row) -> None:
    """One line of the selected token; grey and dashed to a fold."""
    share = min(row.share or 0.0, 1.0)
    start = _place(record)
    opacity = 0.3 + 0.6 * share
    color = style.LIGHT.cut_line if row.folded else style.LIGHT.accent
    figure.add_scatter(
        name="line",
        x=np.round(_BENDS, 3).astype(np.float32),
        y=np.round(start + (at - start) * _CURVE, 2).astype(np.float32),
        mode="lines",
        line={
            "width": max(0.6, _THICKEST * share),
            "color": color,
            "dash": "4px,4px" if row.folded else "solid",
            "shape": "spline",
        },
        opacity=opacity,
        hoverinfo="skip",
    )


def _add_column(figure: go.Figure, record: AttentionLines, layout: _Layout, side: str) -> None:
    """The boxes and names of one column; a click on a box chooses its token."""
    left = side == "queries"
    base, width = (layout.left, -layout.left) if left else (1.0, layout.name_end - 1)
    chosen = record.selected if left else record.key
    outlined = [row.first <= chosen <= row.last if chosen is not None else False for row in record.rows]
    figure.add_bar(
        name=side,
        orientation="h",
        base=[base] * len(record.rows),
        x=[width] * len(record.rows),
        y=list(range(len(record.rows))),
        marker={
            "color": [_fill(record, row, left) for row in record.rows],
            "cornerradius": 4,
            "line": {"color": style.LIGHT.ink, "width": [2 * line for line in outlined]},
        },
        customdata=[["token" if left else "key", (row.first + row.last) // 2] for row in record.rows],
        hovertemplate=[_hover(record, row, left) for row in record.rows],
    )
    edge, anchor = (-0.02, "middle left") if left else (1.02, "middle right")
    figure.add_scatter(
        name=f"{side} names",
        x=[edge] * len(record.rows),
        y=list(range(len(record.rows))),
        mode="text",
        text=[_name(record, row, layout, line) for row, line in zip(record.rows, outlined, strict=True)],
        textposition=anchor,
        textfont={"family": style.MONO, "size": layout.size, "color": _ink(record, left)},
        cliponaxis=False,
        hoverinfo="skip",
    )


def _ink(record: AttentionLines, left: bool) -> list[str]:
    """Names that the selected token may not read are grey."""
    return [style.LIGHT.ink if left or row.share is not None else style.LIGHT.muted for row in record.rows]


def _fill(record: AttentionLines, row: Row, left: bool) -> str:
    if row.folded:
        return style.LIGHT.surface
    if not left and row.share is None:
        return style.MASKED
    return style.faded(style.token_color(record.ids[row.first]), 0.28)


def _name(record: AttentionLines, row: Row, layout: _Layout, bold: bool) -> str:
    if row.folded:
        return f"⋯ {row.n_tokens:,} tokens"
    words = style.label(record.tokens[row.first], layout.letters)
    return f"<b>{words}</b>" if bold else words


def _hover(record: AttentionLines, row: Row, left: bool) -> str:
    if row.folded:
        where = f"tokens {row.first}–{row.last}, folded"
    else:
        where = f"token {row.first} “{style.label(record.tokens[row.first], 40)}”"
    if left:
        return f"{where}<br>choose it as the reader<extra></extra>"
    return f"{where}<br>{_read(record, row)}<extra></extra>"


def _read(record: AttentionLines, row: Row) -> str:
    query = style.label(record.tokens[record.selected])
    if row.share is None:
        return f"comes later: “{query}” may not read it"
    together = "together " if row.folded else ""
    return f"read by “{query}”: {together}{row.share:.6f} ({style.share(row.share)})"


def _add_shares(figure: go.Figure, record: AttentionLines, layout: _Layout) -> None:
    """Numbers beside the strongest keys, the chosen one, and the folds that get something."""
    named = {key for key, _ in record.strongest} | ({record.key} if record.key is not None else set())
    rows = [
        (at, row)
        for at, row in enumerate(record.rows)
        if row.share is not None and (row.first in named or (row.folded and row.share >= 0.001))
    ]
    figure.add_scatter(
        name="shares",
        x=[layout.name_end + 0.02] * len(rows),
        y=[at for at, _ in rows],
        mode="text",
        text=[style.share(row.share or 0.0) for _, row in rows],
        textposition="middle right",
        textfont={"size": layout.size, "color": style.LIGHT.ink},
        cliponaxis=False,
        hoverinfo="skip",
    )


def _add_hovers(figure: go.Figure, record: AttentionLines) -> None:
    """Unseen points along the lines, so that a line can be pointed at and chosen."""
    start = _place(record)
    spots = [(at, row, i) for at, row in enumerate(record.rows) if row.share for i in (8, 13, 18)]
    figure.add_scatter(
        name="lines",
        x=[round(float(_BENDS[i]), 3) for _, _, i in spots],
        y=[round(float(start + (at - start) * _CURVE[i]), 2) for at, _, i in spots],
        mode="markers",
        marker={"size": 9, "opacity": 0},
        customdata=[["key", (row.first + row.last) // 2] for _, row, _ in spots],
        hovertemplate=[_hover(record, row, False) for _, row, _ in spots],
    )
