"""What experts of a layer added for one token, and how alike they point."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.experts import ExpertCosines, ExpertShares, cosines_sentence, shares_sentence
from viz.moe.routing import named

_ROW = 38  # pixels of height


def expert_shares_figure(record: ExpertShares) -> Drawn:
    """A bar a part: its share of the sum; a mark for its share of the lengths."""
    return Drawn(
        figure=_shares(record),
        alt=shares_sentence(record),
        stem="expert-shares",
        table={
            "part": list(record.names),
            "weight": list(record.weights),
            "share of the sum": list(record.projections),
            "share of the lengths": list(record.lengths),
        },
        # On a phone the legend takes two lines.
        narrow_layout={
            "margin": {"l": 8, "r": 8, "t": 92, "b": 8},
            "height": _ROW * len(record.names) + 168,
            "title": {"font": {"size": 13}},
        },
    )


def _shares(record: ExpertShares) -> go.Figure:
    rows = list(range(len(record.names)))
    figure = go.Figure()
    figure.add_bar(
        name="of the sum",
        orientation="h",
        y=rows,
        x=list(record.projections),
        width=0.62,
        marker={
            "color": [style.LIGHT.muted if n is None else style.category(n) for n in record.numbers],
            "line": {
                "color": style.LIGHT.ink,
                "width": [3 if n == record.chosen else 0 for n in record.numbers],
            },
        },
        customdata=[-1 if n is None else n for n in record.numbers],
        hovertemplate=[
            f"{name}: {part:.4f} of the sum, {length:.4f} of the lengths, weight {weight:.4f}<extra></extra>"
            for name, part, length, weight in zip(
                record.names, record.projections, record.lengths, record.weights, strict=True
            )
        ],
    )
    figure.add_scatter(
        name="of the lengths",
        mode="markers",
        y=rows,
        x=list(record.lengths),
        marker={
            "symbol": "diamond",
            "size": 11,
            "color": style.LIGHT.background,
            "line": {"color": style.LIGHT.ink, "width": 1.5},
        },
        hoverinfo="skip",
    )
    span = record.high - record.low
    figure.update_xaxes(
        range=[record.low - 0.03 * span, record.high + 0.03 * span],
        tickformat=".0%",
        nticks=6,
        fixedrange=True,
        zeroline=True,
        zerolinecolor=style.LIGHT.line,
        title={"text": "share of what the layer's MLP adds"},
    )
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.6],
        tickvals=rows,
        ticktext=[_tick(record, row) for row in rows],
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=_ROW * len(rows) + 140,
        title={"text": shares_title(record)},
        legend={"y": 1.0, "itemclick": False, "itemdoubleclick": False},
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
    )
    return figure


def _tick(record: ExpertShares, row: int) -> str:
    word = "gate" if record.numbers[row] is None else "weight"
    name = record.names[row]
    bold = f"<b>{name}</b>" if record.numbers[row] == record.chosen else name
    return f"{bold}, {word} {style.share(record.weights[row])}"


def shares_title(record: ExpertShares) -> str:
    """The finding: who made most of it."""
    best = max(range(len(record.names)), key=lambda row: record.projections[row])
    who = "the shared expert" if record.numbers[best] is None else record.names[best]
    return f"L{record.layer}: {who} makes {style.share(record.projections[best])} of the MLP output"


def expert_cosines_figure(record: ExpertCosines) -> Drawn:
    """Every two experts: +1 where they say the same, 0 where they have nothing in common."""
    n = len(record.experts)
    pairs = [(a, b) for a in range(n) for b in range(n)]
    return Drawn(
        figure=_cosines(record),
        alt=f"Cosines between the outputs of {n} experts of layer {record.layer} for "
        f"{style.label(record.text)}. {cosines_sentence(record)}",
        stem="expert-cosines",
        table={
            "expert": [record.experts[a] for a, _ in pairs],
            "other expert": [record.experts[b] for _, b in pairs],
            "cosine": [record.cosines[a][b] for a, b in pairs],
        },
    )


def _cosines(record: ExpertCosines) -> go.Figure:
    n = len(record.experts)
    names = [
        f"<b>{named(expert)}</b>" if row < record.n_asked else named(expert)
        for row, expert in enumerate(record.experts)
    ]
    figure = go.Figure()
    figure.add_heatmap(
        name="cosines",
        z=np.array(record.cosines, dtype=np.float32),
        zmin=-1,
        zmax=1,
        colorscale=style.SIGNED_SCALE,
        texttemplate="%{z:.2f}" if n <= 9 else None,
        textfont={"size": 11},
        hovertemplate=[
            [f"{named(a)} and {named(b)}: %{{z:.4f}}<extra></extra>" for b in record.experts]
            for a in record.experts
        ],
        colorbar={"title": {"text": "cosine"}, "tickvals": [-1, 0, 1], "len": 0.8},
    )
    axis: dict[str, Any] = {"showgrid": False, "fixedrange": True, "tickvals": list(range(n))}
    figure.update_xaxes(range=[-0.5, n - 0.5], side="top", ticktext=names, constrain="domain", **axis)
    figure.update_yaxes(range=[n - 0.5, -0.5], ticktext=names, scaleanchor="x", constraintoward="top", **axis)
    line = {"color": style.LIGHT.ink, "width": 2.5}
    ends = {"x0": -0.5, "y0": -0.5, "x1": record.n_asked - 0.5, "y1": record.n_asked - 0.5}
    figure.update_layout(
        template=style.TEMPLATE,
        height=400,
        title={"text": cosines_title(record), "automargin": False},
        shapes=[{"type": "rect", "line": line, **ends}],
        margin={"l": 8, "r": 8, "t": 62, "b": 8},
    )
    return figure


def cosines_title(record: ExpertCosines) -> str:
    """The finding: how alike the asked experts are."""
    pairs = record.pairs
    if not pairs:
        return f"L{record.layer}: one expert asked"
    mean = style.three_digits(float(np.mean(pairs)))
    return f"Asked experts: cosine {mean}" if len(pairs) == 1 else f"Asked experts: mean cosine {mean}"
