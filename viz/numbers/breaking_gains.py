"""At which gain the heads of every layer leave fp16, for the three orders of operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from model_runtime.records.numbers import Order
from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import ORDER_TITLES, gain_axis, gain_line, gain_words
from viz.panels import Json, Look, box, drawn, figure, ink, note, scatter, share_ticks

_SYMBOLS = {"after": "circle", "key": "square", "query": "diamond-open"}
_DASHES = {"after": "solid", "key": "solid", "query": "dot"}
_COLORS = {"after": 5, "key": 0, "query": 3}
_CURVE = 0.3  # of the height


@dataclass(frozen=True)
class BreakingGains:
    """For each order: share of the heads that are broken, by gain; by layer the first head's gain.

    Heads whose numbers are not finite as they stand have no gain: they are counted, in `n_lost` alone.
    """

    orders: tuple[Order, ...]
    gains: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]  # [order][gain]
    first: tuple[tuple[float, ...], ...]  # [order][layer]
    n_heads: int  # that have a gain
    n_lost: int  # that have none
    gain: float
    broken_now: tuple[int, ...]  # [order], heads at this very gain
    layer: int


def breaking_gains_record(
    by_order: Mapping[Order, np.ndarray], gains: Sequence[float], gain: float, layer: int
) -> BreakingGains:
    """Gains [layer, head] at which each head breaks, NaN: none -> what will be drawn over `gains`."""
    at = np.asarray(gains, dtype=np.float64)
    lost = np.any([np.isnan(heads) for heads in by_order.values()], axis=0)  # [layer, head]
    first = (np.where(lost, np.inf, heads).min(1) for heads in by_order.values())
    return BreakingGains(
        tuple(by_order),
        tuple(map(float, gains)),
        tuple(tuple((heads[~lost] <= at[:, None]).mean(1).tolist()) for heads in by_order.values()),
        tuple(tuple(np.where(lost.all(1), np.nan, least).tolist()) for least in first),
        int((~lost).sum()),
        int(lost.sum()),
        gain,
        tuple(int((heads <= gain).sum()) for heads in by_order.values()),
        layer,
    )


def breaking_title(record: BreakingGains) -> str:
    """The finding: how much further q and k may grow when the division comes first."""
    first = {
        order: min((gain for gain in row if not math.isnan(gain)), default=math.inf)
        for order, row in zip(record.orders, record.first, strict=True)
    }
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
    return drawn(
        _figure,
        record,
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
    )


def heads_sentence(record: BreakingGains) -> str:
    """How many heads are broken at the chosen gain."""
    parts = [
        f"{n} with {ORDER_TITLES[order]}" for order, n in zip(record.orders, record.broken_now, strict=True)
    ]
    gain, n = gain_words(record.gain), record.n_heads
    lost = ""
    if record.n_lost:
        lost = (
            f" {counted(record.n_lost, 'head')} of layers with values that are infinite or not a number "
            "(NaN) as they stand are left out."
        )
    if not any(record.broken_now):
        whole = "the one head is not" if n == 1 else f"none of the {n:,} heads is"
        return f"At gain {gain} {whole} broken.{lost}"
    return f"Broken at gain {gain}, of {counted(n, 'head')}: {', '.join(parts)}.{lost}"


def _figure(record: BreakingGains, look: Look) -> go.Figure:
    n_layers = len(record.first[0])
    band = (record.layer - 0.5, record.layer + 0.5)
    masked: Json = {"fillcolor": style.LIGHT.masked, "line": {"width": 0}, "layer": "below"}
    return figure(
        _traces(record),
        title=look.title(breaking_title(record), ";", phone_lines=2),
        height=int(min(700, 330 + 11 * n_layers)),
        shapes=[box((0, 1), band, xref="paper", yref="y2", **masked), gain_line(record.gain)],
        annotations=[_gain_note(record)],
        legend={"traceorder": "normal"},
        margin={"r": 12, "t": look.pick(76, 116)},
        xaxis={**gain_axis(record.gains), "title": {"text": "gain on q and k"}, "anchor": "y2"},
        yaxis={
            "domain": [1 - _CURVE, 1],
            "range": [-0.04, 1.04],
            **share_ticks(0, 1, 3),
            "title": {"text": "heads broken"},
        },
        yaxis2={
            "domain": [0, 1 - _CURVE - 0.05],
            "range": [n_layers - 0.5, -0.5],
            "title": {"text": "layer"},
            "tickformat": "d",
            "anchor": "x",
        },
    )


def _traces(record: BreakingGains) -> list[Json]:
    """Two traces for each order: the share of broken heads, and each layer's first head."""
    traces: list[Json] = []
    layers = list(range(len(record.first[0])))
    for order, shares, first in zip(record.orders, record.shares, record.first, strict=True):
        color, title = style.category(_COLORS[order]), ORDER_TITLES[order]
        traces.append(
            scatter(
                f"heads broken, {title}",
                record.gains,
                shares,
                "lines",
                line={"color": color, "width": 2.5, "dash": _DASHES[order]},
                showlegend=False,
                hovertemplate=f"{title}, gain %{{x:.3g}}: %{{y:.1%}} of heads<extra></extra>",
            )
        )
        marker = {"color": color, "symbol": _SYMBOLS[order], "line": {"width": 1.5, "color": color}}
        traces.append(
            scatter(
                title,
                [gain if math.isfinite(gain) else None for gain in first],
                layers,
                yaxis="y2",
                marker={**marker, "size": 9 if order != "query" else 12},
                customdata=layers,
                hovertemplate=f"layer %{{y}}: {title} breaks at gain %{{x:.3g}}<extra></extra>",
            )
        )
    return traces


def _gain_note(record: BreakingGains) -> Json:
    left = record.gain <= math.sqrt(record.gains[0] * record.gains[-1])
    text, height = f"gain now: {gain_words(record.gain)}", 1 - _CURVE - 0.025
    side, shift = ("left", 6) if left else ("right", -6)
    at = math.log10(record.gain)
    return note(text, at, height, f"{side} middle", yref="paper", xshift=shift, font=ink(12))
