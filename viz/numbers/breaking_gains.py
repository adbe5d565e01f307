"""At which gain the heads of every layer leave fp16, for the three orders of operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import ORDER_TITLES, gain_words

_SYMBOLS = {"after": "circle", "key": "square", "query": "diamond-open"}
_DASHES = {"after": "solid", "key": "solid", "query": "dot"}
_COLORS = {"after": 5, "key": 0, "query": 3}
_CURVE = 0.3  # of the height


@dataclass(frozen=True)
class BreakingGains:
    """For each order: share of all heads that are broken, by gain; by layer the first head's gain."""

    orders: tuple[str, ...]
    gains: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]  # [order][gain]
    first: tuple[tuple[float, ...], ...]  # [order][layer]
    n_heads: int  # in all
    gain: float
    broken_now: tuple[int, ...]  # [order], heads at this very gain
    layer: int


def breaking_gains_record(
    by_order: Mapping[str, np.ndarray], gains: Sequence[float], gain: float, layer: int
) -> BreakingGains:
    """Gains [layer, head] at which each head breaks -> what will be drawn over `gains`."""
    at = np.asarray(gains, dtype=np.float64)
    return BreakingGains(
        tuple(by_order),
        tuple(map(float, gains)),
        tuple(tuple((heads.reshape(1, -1) <= at[:, None]).mean(1).tolist()) for heads in by_order.values()),
        tuple(tuple(heads.min(1).tolist()) for heads in by_order.values()),
        next(iter(by_order.values())).size,
        gain,
        tuple(int((heads <= gain).sum()) for heads in by_order.values()),
        layer,
    )


def breaking_title(record: BreakingGains) -> str:
    """The finding: how much further q and k may grow when the division comes first."""
    first = {order: min(row) for order, row in zip(record.orders, record.first, strict=True)}
    after, key = first["after"], first["key"]
    if not math.isfinite(after):
        return "No head leaves fp16 at any gain"
    if key <= after * 1.001:
        return f"The first head leaves fp16 at gain {gain_words(after)}, in any order"
    later = f"with the division first at {gain_words(key)}"
    return f"The first head leaves fp16 at gain {gain_words(after)}; {later}"


def breaking_gains_figure(record: BreakingGains) -> Drawn:
    """Above: heads broken, by gain. Below: each layer's first head. One axis of gains."""
    layers = range(len(record.first[0]))
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Gain at which attention leaves fp16, by layer and order. {breaking_title(record)}. "
        f"{heads_sentence(record)}",
        stem="breaking-gains",
        table={
            "layer": list(layers),
            **{
                f"gain of the first head, {ORDER_TITLES[order]}": list(row)
                for order, row in zip(record.orders, record.first, strict=True)
            },
        },
        narrow_figure=_figure(record, narrow=True),
    )


def heads_sentence(record: BreakingGains) -> str:
    """How many heads are broken at the chosen gain."""
    parts = [
        f"{n} with {ORDER_TITLES[order]}" for order, n in zip(record.orders, record.broken_now, strict=True)
    ]
    gain, n = gain_words(record.gain), record.n_heads
    if not any(record.broken_now):
        return f"At gain {gain} none of the {n} heads is broken."
    return f"Broken at gain {gain}, of {n} heads: {', '.join(parts)}."


def _figure(record: BreakingGains, narrow: bool) -> go.Figure:
    traces: list[go.Scatter] = []
    n_layers = len(record.first[0])
    for order, shares, first in zip(record.orders, record.shares, record.first, strict=True):
        color = style.category(_COLORS[order])
        traces.append(
            go.Scatter(
                name=f"heads broken, {ORDER_TITLES[order]}",
                x=list(record.gains),
                y=list(shares),
                mode="lines",
                xaxis="x",
                yaxis="y",
                line={"color": color, "width": 2.5, "dash": _DASHES[order]},
                showlegend=False,
                hovertemplate=f"{ORDER_TITLES[order]}, gain %{{x:.3g}}: %{{y:.1%}} of heads<extra></extra>",
            )
        )
        traces.append(
            go.Scatter(
                name=ORDER_TITLES[order],
                x=[gain if math.isfinite(gain) else None for gain in first],
                y=list(range(n_layers)),
                mode="markers",
                xaxis="x",
                yaxis="y2",
                marker={
                    "color": color,
                    "symbol": _SYMBOLS[order],
                    "size": 9 if order != "query" else 12,
                    "line": {"width": 1.5, "color": color},
                },
                customdata=list(range(n_layers)),
                hovertemplate=f"layer %{{y}}: {ORDER_TITLES[order]} breaks at gain %{{x:.3g}}<extra></extra>",
            )
        )
    title = breaking_title(record)
    low, high = record.gains[0], record.gains[-1]
    ticks = [2.0**power for power in range(-4, 20) if low <= 2.0**power <= high]
    layout = {
        "template": style.TEMPLATE,
        "title": {"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        "height": int(min(700, 330 + 11 * n_layers)),
        "shapes": _shapes(record),
        "annotations": [_gain_note(record)],
        "legend": {"y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        "margin": {"l": 8, "r": 12, "t": 116 if narrow else 76, "b": 8},
        "xaxis": {
            "type": "log",
            "range": [math.log10(low), math.log10(high)],
            "fixedrange": True,
            "tickvals": ticks,
            "ticktext": [f"{tick:g}" for tick in ticks],
            "title": {"text": "gain on q and k"},
            "anchor": "y2",
        },
        "yaxis": {
            "domain": [1 - _CURVE, 1],
            "range": [-0.04, 1.04],
            "tickformat": ".0%",
            "fixedrange": True,
            "title": {"text": "heads broken"},
            "nticks": 3,
        },
        "yaxis2": {
            "domain": [0, 1 - _CURVE - 0.05],
            "range": [n_layers - 0.5, -0.5],
            "fixedrange": True,
            "title": {"text": "layer"},
            "tickformat": "d",
            "anchor": "x",
        },
    }
    return go.Figure(traces, layout)


def _shapes(record: BreakingGains) -> list[dict[str, Any]]:
    line = {"color": style.LIGHT.ink, "width": 1.5, "dash": "dash"}
    band = {
        "type": "rect",
        "x0": 0,
        "x1": 1,
        "xref": "paper",
        "yref": "y2",
        "y0": record.layer - 0.5,
        "y1": record.layer + 0.5,
        "fillcolor": style.LIGHT.masked,
        "line": {"width": 0},
        "layer": "below",
    }
    here = {
        "type": "line",
        "x0": record.gain,
        "x1": record.gain,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": line,
    }
    return [band, here]


def _gain_note(record: BreakingGains) -> dict[str, Any]:
    at_right = record.gain > math.sqrt(record.gains[0] * record.gains[-1])
    return {
        "x": math.log10(record.gain),
        "y": 1 - _CURVE - 0.025,
        "yref": "paper",
        "yanchor": "middle",
        "xanchor": "right" if at_right else "left",
        "xshift": -6 if at_right else 6,
        "showarrow": False,
        "text": f"gain now: {gain_words(record.gain)}",
        "font": {"size": 12, "color": style.LIGHT.ink},
    }
