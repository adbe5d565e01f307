"""One sum in several formats and orders: how wrong each is by length, and which digits the order moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_DASHES = ("solid", "dash", "solid", "dash", "solid", "dash")
_SYMBOLS = ("circle", "circle-open", "square", "diamond", "triangle-up", "triangle-up-open")
_COLORS = (5, 5, 1, 3, 0, 0)
_EXACT = 1e-9  # drawn for an error of 0: a logarithmic axis has none


@dataclass(frozen=True)
class SumErrors:
    """Error of the first `lengths` terms' sum by way, a share of the sum of sizes; inf: it overflowed."""

    ways: tuple[str, ...]
    lengths: tuple[int, ...]
    errors: tuple[tuple[float, ...], ...]  # [way][length]
    sums: tuple[float, ...]  # of all terms
    exact: float
    says: str  # what is added up
    low: float
    high: float


def sum_errors_record(
    lengths: Sequence[int],
    errors: Mapping[str, np.ndarray],
    sums: Mapping[str, float],
    exact: float,
    says: str,
    *others: Mapping[str, np.ndarray],
) -> SumErrors:
    """Errors by way -> what will be drawn; `others` share the axis."""
    every = [v for table in (errors, *others) for row in table.values() for v in row if 0 < v < math.inf]
    return SumErrors(
        tuple(errors),
        tuple(lengths),
        tuple(tuple(map(float, row)) for row in errors.values()),
        tuple(sums.values()),
        exact,
        says,
        max(min(every, default=_EXACT), _EXACT),
        max(every, default=1.0),
    )


def errors_title(record: SumErrors) -> str:
    """The finding, of the whole sum."""
    lost = [way for way, total in zip(record.ways, record.sums, strict=True) if not math.isfinite(total)]
    if lost:
        return f"{record.says}: {' and '.join(lost)} overflow" + ("s" if len(lost) == 1 else "")
    off = [abs(total - record.exact) for total in record.sums]
    worst = max(range(len(off)), key=off.__getitem__)
    wrong = f"wrong by {style.share(off[worst] / abs(record.exact))}" if record.exact else "wrong"
    return f"{record.says}: {record.ways[worst]} is {wrong if off[worst] else 'right'}"


def sum_errors_figure(record: SumErrors) -> Drawn:
    """A line a way, both axes logarithmic; what overflowed ends in a cross at the top."""
    said = "; ".join(
        f"{way} {style.three_digits(total)}" for way, total in zip(record.ways, record.sums, strict=True)
    )
    return Drawn(
        figure=_errors(record, narrow=False),
        alt=f"Error of a sum by how many terms are added, for several formats and orders. "
        f"{errors_title(record)}. Exact {style.three_digits(record.exact)}; {said}.",
        stem="sum-errors",
        table={
            "terms": list(record.lengths),
            **{
                f"error, {way}": ["infinite" if math.isinf(v) else v for v in row]
                for way, row in zip(record.ways, record.errors, strict=True)
            },
        },
        narrow_figure=_errors(record, narrow=True),
    )


def _errors(record: SumErrors, narrow: bool) -> go.Figure:
    figure = go.Figure()
    top = record.high * 4
    for number, (way, row) in enumerate(zip(record.ways, record.errors, strict=True)):
        color = style.category(_COLORS[number])
        finite = [None if math.isinf(v) else max(v, record.low) for v in row]
        figure.add_scatter(
            name=way,
            x=list(record.lengths),
            y=finite,
            mode="lines+markers",
            line={"color": color, "width": 2, "dash": _DASHES[number]},
            marker={"symbol": _SYMBOLS[number], "size": 7},
            hovertemplate=f"{way}, %{{x:,}} terms: error %{{y:.3g}}<extra></extra>",
        )
        over = [length for length, v in zip(record.lengths, row, strict=True) if math.isinf(v)]
        if over:
            figure.add_scatter(
                name=f"{way}: ∞",
                x=over,
                y=[top / (1 + 0.5 * number)] * len(over),
                mode="markers",
                marker={"symbol": "x", "size": 9, "color": color},
                showlegend=False,
                hovertemplate=f"{way}, %{{x:,}} terms: infinite<extra></extra>",
            )
    title = errors_title(record)
    tens = [10.0**power for power in range(-9, 3)]
    ticks = [4**power for power in range(10) if 4**power <= record.lengths[-1]]
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(": ", ":<br>", 1), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=470 if narrow else 400,
        legend={"y": -0.22, "yanchor": "top"} if narrow else {"y": 1.0, "yanchor": "bottom"},
        margin={"l": 8, "r": 12, "t": 72 if narrow else 76, "b": 8},
    )
    figure.update_xaxes(
        type="log",
        title={"text": "terms added"},
        tickvals=ticks[:: 2 if narrow else 1],
        ticktext=[f"{tick:,}" for tick in ticks][:: 2 if narrow else 1],
        fixedrange=True,
    )
    figure.update_yaxes(
        type="log",
        title={"text": "error (share of the sum of sizes)"},
        range=[math.log10(record.low) - 0.3, math.log10(top) + 0.3],
        tickvals=tens,
        ticktext=[f"10<sup>{round(math.log10(ten))}</sup>".replace("-", "−") for ten in tens],
        fixedrange=True,
    )
    return figure


@dataclass(frozen=True)
class SumOrders:
    """The same fp32 numbers in several orders: each result, and its distance from the exact sum."""

    orders: tuple[str, ...]
    results: tuple[float, ...]
    exact: float
    gap: float  # distance of neighbouring fp32 numbers at the sum

    @property
    def steps(self) -> tuple[float, ...]:
        """Distances from the exact sum, in gaps of fp32."""
        return tuple((result - self.exact) / self.gap for result in self.results)


def sum_orders_record(results: Mapping[str, float], exact: float) -> SumOrders:
    """Results by order -> what will be drawn."""
    gap = float(np.spacing(np.float32(abs(exact)))) or float(np.finfo(np.float32).tiny)
    return SumOrders(tuple(results), tuple(results.values()), exact, gap)


def orders_title(record: SumOrders) -> str:
    """The finding: how many different answers there are."""
    n = len(set(record.results))
    if n == 1:
        return f"{len(record.results)} orders, one result: this sum is kind"
    return f"{len(record.results)} orders of the same fp32 numbers, {n} different sums"


def sum_orders_figure(record: SumOrders) -> Drawn:
    """A dot an order on an axis of fp32's own gaps, the exact sum in the middle."""
    digits = [f"{result:,.9g}" for result in record.results]
    said = "; ".join(f"{order} {value}" for order, value in zip(record.orders, digits, strict=True))
    return Drawn(
        figure=_orders(record, digits, narrow=False),
        alt=f"Sums of the same fp32 numbers in several orders. {orders_title(record)}. Exact "
        f"{record.exact:.12g}; {said}.",
        stem="sum-orders",
        table={
            "order": list(record.orders),
            "sum": list(record.results),
            "off by, in gaps of fp32": list(record.steps),
        },
        narrow_figure=_orders(record, digits, narrow=True),
    )


def _orders(record: SumOrders, digits: Sequence[str], narrow: bool) -> go.Figure:
    rows = list(range(len(record.orders)))
    figure = go.Figure(
        go.Scatter(
            x=list(record.steps),
            y=rows,
            mode="markers",
            marker={"color": style.LIGHT.accent, "size": 11},
            text=list(digits),
            cliponaxis=False,
            hovertemplate="%{text}: off by %{x:.3g} gaps<extra></extra>",
        )
    )
    reach = max(1.0, *(abs(step) for step in record.steps))
    exact: dict[str, Any] = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper"}
    figure.update_layout(
        template=style.TEMPLATE,
        title={
            "text": orders_title(record).replace(", ", ",<br>"),
            "font": {"size": 13},
            "pad": {"t": 36, "b": 0},
        }
        if narrow
        else {"text": orders_title(record)},
        height=(150 if narrow else 130) + 30 * len(rows),
        shapes=[{**exact, "line": {"color": style.LIGHT.ink, "width": 1.5, "dash": "dash"}}],
        showlegend=False,
        annotations=[_value(value, row) for row, value in enumerate(digits)],
        margin={"l": 8, "r": 92, "t": 72 if narrow else 48, "b": 8},
    )
    figure.update_xaxes(
        range=[-1.1 * reach, 1.1 * reach],
        title={
            "text": "off by, in gaps of fp32 (dashed: exact)" if not narrow else "off by, in gaps of fp32"
        },
        nticks=5,
        fixedrange=True,
    )
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows,
        ticktext=list(record.orders),
        fixedrange=True,
        tickfont={"size": 11 if narrow else 13, "color": style.LIGHT.ink},
    )
    return figure


def _value(value: str, row: int) -> dict[str, Any]:
    """A result in full, right of the axis."""
    return {
        "x": 1,
        "xref": "paper",
        "y": row,
        "text": value,
        "xanchor": "left",
        "xshift": 6,
        "showarrow": False,
        "font": {"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
    }
