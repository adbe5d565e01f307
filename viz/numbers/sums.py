"""One sum in several formats and orders: how wrong each is by length, and which digits the order moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, drawn, figure, ink, line, mono, note, rows, scatter

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
    return drawn(
        _errors,
        record,
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
    )


def _errors(record: SumErrors, look: Look) -> go.Figure:
    top = record.high * 4
    tens = [10.0**power for power in range(-9, 3)]
    ticks = [4**power for power in range(0, 10, look.pick(1, 2)) if 4**power <= record.lengths[-1]]
    traces = [trace for number in range(len(record.ways)) for trace in _way(record, number, top)]
    return figure(
        traces,
        title=look.title(errors_title(record), ":", phone_lines=2),
        height=look.pick(400, 470),
        legend=look.pick({}, {"y": -0.22, "yanchor": "top"}),
        margin={"r": 12, "t": look.pick(76, 72)},
        xaxis={
            "type": "log",
            "title": {"text": "terms added"},
            "tickvals": ticks,
            "ticktext": [f"{tick:,}" for tick in ticks],
        },
        yaxis={
            "type": "log",
            "title": {"text": "error (share of the sum of sizes)"},
            "range": [math.log10(record.low) - 0.3, math.log10(top) + 0.3],
            "tickvals": tens,
            "ticktext": [f"10<sup>{power}</sup>".replace("-", "−") for power in range(-9, 3)],
        },
    )


def _way(record: SumErrors, number: int, top: float) -> list[Json]:
    """A line, and crosses below `top` at the lengths whose sum overflowed."""
    way, row, color = record.ways[number], record.errors[number], style.category(_COLORS[number])
    traces = [
        scatter(
            way,
            record.lengths,
            [None if math.isinf(v) else max(v, record.low) for v in row],
            "lines+markers",
            line={"color": color, "width": 2, "dash": _DASHES[number]},
            marker={"symbol": _SYMBOLS[number], "size": 7},
            hovertemplate=f"{way}, %{{x:,}} terms: error %{{y:.3g}}<extra></extra>",
        )
    ]
    over = [length for length, v in zip(record.lengths, row, strict=True) if math.isinf(v)]
    if over:
        traces.append(
            scatter(
                f"{way}: ∞",
                over,
                [top / (1 + 0.5 * number)] * len(over),
                marker={"symbol": "x", "size": 9, "color": color},
                showlegend=False,
                hovertemplate=f"{way}, %{{x:,}} terms: infinite<extra></extra>",
            )
        )
    return traces


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
    digits = _digits(record)
    said = "; ".join(f"{order} {value}" for order, value in zip(record.orders, digits, strict=True))
    return drawn(
        _orders,
        record,
        alt=f"Sums of the same fp32 numbers in several orders. {orders_title(record)}. Exact "
        f"{record.exact:.12g}; {said}.",
        stem="sum-orders",
        table={
            "order": list(record.orders),
            "sum": list(record.results),
            "off by, in gaps of fp32": list(record.steps),
        },
    )


def _digits(record: SumOrders) -> list[str]:
    return [f"{result:,.9g}" for result in record.results]


def _orders(record: SumOrders, look: Look) -> go.Figure:
    digits, n = _digits(record), len(record.orders)
    reach = max(1.0, *(abs(step) for step in record.steps))
    dots = scatter(
        "sums",
        record.steps,
        list(range(n)),
        marker={"color": style.LIGHT.accent, "size": 11},
        text=digits,
        cliponaxis=False,
        hovertemplate="%{text}: off by %{x:.3g} gaps<extra></extra>",
    )
    right: Json = {"within": "x", "xshift": 6, "font": mono()}
    return figure(
        [dots],
        title=look.title(orders_title(record), ",", phone_lines=2),
        height=look.pick(130, 150) + 30 * n,
        shapes=[line(x=0, dash="dash", width=1.5)],
        showlegend=False,
        annotations=[note(value, 1, row, "left", **right) for row, value in enumerate(digits)],
        margin={"r": 92, "t": look.pick(48, 72)},
        xaxis={
            "range": [-1.1 * reach, 1.1 * reach],
            "title": {"text": "off by, in gaps of fp32" + look.pick(" (dashed: exact)", "")},
            "nticks": 5,
        },
        yaxis=rows(record.orders, showgrid=True, tickfont=ink(look.pick(13, 11))),
    )
