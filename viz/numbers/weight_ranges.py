"""How large a model's weights are, layer by layer, against what number formats can hold; and a round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")


@dataclass(frozen=True)
class FormatLimit:
    """What is drawn of a format: where its normal numbers begin and its numbers end, as powers of two."""

    title: str
    low: float  # log2 of the smallest normal number
    high: float  # log2 of the largest


@dataclass(frozen=True)
class WeightSizes:
    """Share of each group's weights in each power of two, float32 [group, exponent], and what lies outside.

    `below` and `above`: of all weights, for each limit: too small for its normal numbers, too large for it.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    low: int  # exponent of the first column
    zeros: float  # share of all weights
    limits: tuple[FormatLimit, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    top: float  # end of the colour scale


@dataclass(frozen=True)
class TripErrors:
    """Relative error of a round trip by group, for each format; 0 to 1."""

    names: tuple[str, ...]
    formats: tuple[str, ...]
    errors: tuple[tuple[float, ...], ...]  # [format][group]
    low: float
    high: float


def weight_sizes_record(
    names: Sequence[str],
    counts: np.ndarray,  # int64 [group, exponent]
    zeros: np.ndarray,  # int64 [group]
    low: int,
    limits: Sequence[FormatLimit],
    above: Sequence[int],
    below: Sequence[int],
    top: float | None = None,
) -> WeightSizes:
    """Counts -> what will be drawn: the columns that hold anything, as shares of each group."""
    sizes = counts.sum(1) + zeros
    used = np.flatnonzero(counts.sum(0))
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    shares = (counts[:, first:last] / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    n = int(sizes.sum())
    return WeightSizes(
        tuple(names),
        shares,
        low + first,
        float(zeros.sum() / n),
        tuple(limits),
        tuple(int(count) / n for count in below),
        tuple(int(count) / n for count in above),
        float(shares.max()) if top is None else top,
    )


def title_of(record: WeightSizes) -> str:
    """The finding: which format is too narrow for these weights."""
    worst = max(range(len(record.limits)), key=lambda i: record.below[i] + record.above[i])
    share = record.below[worst] + record.above[worst]
    if not share:
        return "Every weight is a normal number in every format"
    name = record.limits[worst].title
    return f"{style.share(share)} of the weights lie outside the normal range of {name}"


def outside_sentence(record: WeightSizes) -> str:
    """For each format, what lies outside its normal numbers."""
    parts = []
    n = len(record.limits)
    said = style.shares(*record.below, *record.above)
    for i, limit in enumerate(record.limits):
        below = said[i] if record.below[i] else "none"
        above = said[n + i] if record.above[i] else "none"
        parts.append(f"{limit.title}: {below} too small, {above} too large")
    return f"Outside the normal range: {'; '.join(parts)}."


def weight_sizes_figure(record: WeightSizes) -> Drawn:
    """A heat map: a row a layer, a column a power of two; lines where formats begin and end."""
    exponents = list(range(record.low, record.low + record.shares.shape[1]))
    columns = {f"2^{exponent}": record.shares[:, i].tolist() for i, exponent in enumerate(exponents)}
    middle = exponents[int(record.shares.mean(0).argmax())]
    return Drawn(
        figure=_sizes(record, narrow=False),
        alt=f"Share of the weights of each layer by size. {title_of(record)}. Most lie between "
        f"2^{middle} and 2^{middle + 1}. {outside_sentence(record)}",
        stem="weight-sizes",
        table={
            "layer": list(record.names),
            **columns,
        },
        narrow_figure=_sizes(record, narrow=True),
    )


def _sizes(record: WeightSizes, narrow: bool) -> go.Figure:
    n = record.shares.shape[1]
    figure = go.Figure(
        go.Heatmap(
            z=record.shares,
            x=[record.low + column + 0.5 for column in range(n)],
            y=list(range(len(record.names))),
            zmin=0,
            zmax=record.top,
            colorscale=[list(stop) for stop in style.PROBABILITY_SCALE],
            showscale=not narrow,
            colorbar={"title": {"text": "share of the layer"}, "tickformat": ".0%", "nticks": 4},
            customdata=np.repeat(np.arange(len(record.names), dtype=np.int16)[:, None], n, axis=1),
            hovertemplate="%{y}: %{z:.3%} from 2<sup>%{x:.0f}</sup><extra></extra>",
            xgap=1,
            ygap=1 if len(record.names) < 40 else 0,
        )
    )
    shapes, notes = _limit_lines(record, narrow)
    title = title_of(record)
    ticks = [record.low + i for i in range(n + 1) if (record.low + i) % (8 if narrow else 4) == 0]
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(" lie", "<br>lie"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=max(300, min(560, 130 + 13 * len(record.names))),
        shapes=shapes,
        annotations=notes,
        plot_bgcolor=style.LIGHT.background,
        margin={"l": 8, "r": 8, "t": 92 if narrow else 88, "b": 8},
    )
    figure.update_xaxes(
        title={"text": "size of the weight"},
        fixedrange=True,
        showgrid=False,
        tickvals=ticks,
        ticktext=[f"2<sup>{tick}</sup>".replace("-", "−") if tick else "1" for tick in ticks],
    )
    every = max(1, -(-len(record.names) // (12 if narrow else 18)))
    rows = [0, *range(1, len(record.names), every)]
    figure.update_yaxes(
        range=[len(record.names) - 0.5, -0.5],
        fixedrange=True,
        showgrid=False,
        tickvals=rows,
        ticktext=[_short(record.names[row], narrow) for row in rows],
    )
    return figure


def _short(name: str, narrow: bool) -> str:
    return name.replace("layer ", "L").replace("outside the layers", "other" if narrow else "outside layers")


def _limit_lines(record: WeightSizes, narrow: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A line where each format's normal numbers begin, and where it ends if that is in sight."""
    shapes, notes = [], []
    right = record.low + record.shares.shape[1]
    for number, limit in enumerate(record.limits):
        for at, words in ((limit.low, "normal from"), (limit.high, "ends")):
            if not record.low < at < right:
                continue
            color, begins = style.LIGHT.warning, at == limit.low
            line = {"color": color, "width": 1.5, "dash": _DASHES[number % 4]}
            shapes.append(
                {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}
            )
            said = limit.title if narrow else f"{limit.title} {words} here"
            notes.append({
                "x": at, "y": 1, "yref": "paper", "yanchor": "bottom",
                "xanchor": "left" if begins else "right",
                "text": f"{said} →" if begins else said, "yshift": 15 * (number % 2), "showarrow": False,
                "font": {"size": 11, "color": color},
            })  # fmt: skip
    return shapes, notes


def trip_errors_record(
    names: Sequence[str], errors: Mapping[str, Sequence[float]], *others: Mapping[str, Sequence[float]]
) -> TripErrors:
    """Errors by format title -> what will be drawn; `others` share the axis."""
    values = [v for table in (errors, *others) for row in table.values() for v in row if v > 0]
    low, high = (min(values), max(values)) if values else (1e-4, 1.0)
    return TripErrors(
        tuple(names), tuple(errors), tuple(tuple(map(float, row)) for row in errors.values()), low, high
    )


def trip_errors_figure(record: TripErrors) -> Drawn:
    """A line a format over the layers, logarithmic."""
    means = {name: float(np.mean(row)) for name, row in zip(record.formats, record.errors, strict=True)}
    words = ", ".join(
        f"{name} {value}" for name, value in zip(means, style.shares(*means.values()), strict=True)
    )
    by_format = dict(zip(record.formats, map(list, record.errors), strict=True))
    return Drawn(
        figure=_trips(record),
        alt=f"Relative error of the weights after a round trip, by layer, logarithmic. Mean: {words}.",
        stem="round-trip-errors",
        table={"layer": list(record.names), **by_format},
        narrow_layout={
            "title.text": _TRIP_TITLE.replace(": ", ":<br>"), "title.font.size": 13, "title.pad.t": 36,
            "margin.t": 96, "margin.r": 8, "annotations": [], "showlegend": True,
        },
    )  # fmt: skip


_TRIP_TITLE = "What a round trip costs: bits of the significand decide, not the layer"


def _trips(record: TripErrors) -> go.Figure:
    figure = go.Figure()
    places = list(range(len(record.names)))
    notes = []
    means = style.shares(*(float(np.mean(row)) for row in record.errors))
    for number, (name, row) in enumerate(zip(record.formats, record.errors, strict=True)):
        figure.add_scatter(
            name=name, x=places, y=[max(v, record.low / 2) for v in row], mode="lines+markers",
            line={"color": style.category(number), "dash": _DASHES[number % 4]},
            marker={"symbol": _SYMBOLS[number % 4], "size": 6}, text=list(record.names),
            hovertemplate=f"{name}, %{{text}}: %{{y:.4%}}<extra></extra>",
        )  # fmt: skip
        notes.append({"x": places[-1], "y": float(np.log10(max(row[-1], record.low / 2))), "xanchor": "left",
                      "xshift": 10, "showarrow": False, "text": f"{name}, {means[number]}",
                      "font": {"size": 12, "color": style.LIGHT.ink}})  # fmt: skip
    tens = [10.0**power for power in range(-8, 1)]
    figure.update_layout(
        template=style.TEMPLATE, title={"text": _TRIP_TITLE}, height=330, showlegend=False, annotations=notes,
        margin={"l": 8, "r": 140, "t": 56, "b": 8},
    )  # fmt: skip
    every = max(1, -(-len(places) // 12))
    shown = [0, *range(1 + (every > 1) * every, len(places), every)]
    figure.update_xaxes(fixedrange=True, showgrid=False, tickvals=shown,
                        ticktext=[_short(record.names[i], True) for i in shown])  # fmt: skip
    figure.update_yaxes(
        type="log", fixedrange=True, title={"text": "relative error"}, tickvals=tens,
        ticktext=list(style.shares(*tens)),
        range=[np.log10(record.low) - 0.3, np.log10(record.high) + 0.3],
    )  # fmt: skip
    return figure
