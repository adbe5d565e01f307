"""One sum in several formats and orders: how wrong each is by length, and which digits the order moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import LengthErrors
from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, drawn, figure, ink, line, mono, note, rows, scatter

_DASHES = ("solid", "dash", "solid", "dash", "solid", "dash")
_SYMBOLS = ("circle", "circle-open", "square", "diamond", "triangle-up", "triangle-up-open")
_COLORS = (5, 5, 1, 3, 0, 0)
_EXACT = 1e-9  # drawn for an error of 0: a logarithmic axis has none


@dataclass(frozen=True, eq=False)
class SumErrors:
    """Error of the first terms' sum by way, a share of the sum of sizes; inf: it overflowed."""

    report: LengthErrors
    says: str  # what is added up
    low: float
    high: float


def sum_errors_record(report: LengthErrors, says: str, *others: LengthErrors) -> SumErrors:
    """Errors by way -> what will be drawn; `others` share the axis."""
    rows = [row for one in (report, *others) for row in one.errors.values()]
    every = [float(v) for row in rows for v in row if 0 < v < math.inf]
    return SumErrors(report, says, max(min(every, default=_EXACT), _EXACT), max(every, default=1.0))


def errors_title(record: SumErrors) -> str:
    """The finding, of the whole sum."""
    sums, exact = record.report.sums, record.report.exact
    lost = [way for way, total in sums.items() if not math.isfinite(total)]
    if lost:
        return f"{record.says}: {' and '.join(lost)} overflow" + ("s" if len(lost) == 1 else "")
    off = {way: abs(total - exact) for way, total in sums.items()}
    worst = max(off, key=off.__getitem__)
    wrong = f"wrong by {style.share(off[worst] / abs(exact))}" if exact else "wrong"
    return f"{record.says}: {worst} is {wrong if off[worst] else 'right'}"


def sum_errors_figure(record: SumErrors) -> Drawn:
    """A line a way, both axes logarithmic; what overflowed ends in a cross at the top."""
    report = record.report
    said = "; ".join(f"{way} {style.three_digits(total)}" for way, total in report.sums.items())
    return drawn(
        _errors,
        record,
        alt=f"Error of a sum by how many terms are added, for several formats and orders. "
        f"{errors_title(record)}. Exact {style.three_digits(report.exact)}; {said}.",
        stem="sum-errors",
        table={
            "terms": list(report.lengths),
            **{
                f"error, {way}": ["infinite" if math.isinf(v) else v for v in row.tolist()]
                for way, row in report.errors.items()
            },
        },
    )


def _errors(record: SumErrors, look: Look) -> go.Figure:
    top = record.high * 4
    tens = [10.0**power for power in range(-9, 3)]
    ticks = [4**power for power in range(0, 10, look.pick(1, 2)) if 4**power <= record.report.lengths[-1]]
    ways = enumerate(record.report.errors.items())
    return figure(
        [trace for number, (way, row) in ways for trace in _way(record, number, way, row.tolist(), top)],
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


def _way(record: SumErrors, number: int, way: str, row: list[float], top: float) -> list[Json]:
    """A line, and crosses below `top` at the lengths whose sum overflowed."""
    color, lengths = style.category(_COLORS[number]), record.report.lengths
    traces = [
        scatter(
            way,
            lengths,
            [None if math.isinf(v) else max(v, record.low) for v in row],
            "lines+markers",
            line={"color": color, "width": 2, "dash": _DASHES[number]},
            marker={"symbol": _SYMBOLS[number], "size": 7},
            hovertemplate=f"{way}, %{{x:,}} terms: error %{{y:.3g}}<extra></extra>",
        )
    ]
    over = [length for length, v in zip(lengths, row, strict=True) if math.isinf(v)]
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
