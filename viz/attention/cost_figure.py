"""Curves against the length of the text, both axes logarithmic: a straight line is a power of the length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.cost import CostCurve, LengthCurves, growth_sentence
from viz.attention.key_groups import in_bytes
from viz.drawn import Drawn
from viz.labels import apart

_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def length_curves_figure(record: LengthCurves) -> Drawn:
    """Calculators: one line each, named at its end, with the prompt's length marked."""
    at = [f"{curve.name} {_number(record, curve.at_prompt)}" for curve in record.curves]
    return Drawn(
        figure=_curves(record, narrow=False),
        alt=f"{record.title}. {record.quantity} by length. At {record.n_prompt:,} tokens: {'; '.join(at)}.",
        stem="attention-cost-formulas",
        table={
            "tokens": list(record.lengths),
            **{f"{curve.name}, {record.quantity}": list(curve.values) for curve in record.curves},
        },
        narrow_figure=_curves(record, narrow=True),
    )


def _number(record: LengthCurves, value: float) -> str:
    return in_bytes(value) if record.in_bytes else style.three_digits(int(value) if value < 1e9 else value)


def _curves(record: LengthCurves, narrow: bool) -> go.Figure:
    figure = go.Figure()
    ends = apart([math.log10(curve.values[-1]) for curve in record.curves], 0.09 * _span(record))
    annotations = []
    for number, curve in enumerate(record.curves):
        color = style.category(number)
        figure.add_scatter(
            name=curve.name,
            x=np.array(record.lengths, dtype=np.int32),
            y=np.array(curve.values, dtype=np.float64),
            mode="lines",
            line={"color": color, "dash": _DASHES[number % 4], "width": 2.5},
            text=[_number(record, value) for value in curve.values],
            hovertemplate="%{x:,} tokens<br>%{text}<extra>" + curve.name + "</extra>",
        )
        figure.add_scatter(
            name=f"{curve.name}, this prompt",
            x=[record.n_prompt],
            y=[curve.at_prompt],
            mode="markers",
            marker={"size": 10, "symbol": _SYMBOLS[number % 4], "color": color},
            showlegend=False,
            hovertemplate=f"this prompt, {record.n_prompt:,} tokens<br>{_number(record, curve.at_prompt)}"
            f"<extra>{curve.name}</extra>",
        )
        if not narrow:
            annotations.append(_end_name(record, curve.name, ends[number]))
    _finish(figure, record.n_prompt, annotations, narrow)
    figure.update_xaxes(range=_reach(record.lengths[0], record.lengths[-1], 0.02, 0.02))
    figure.update_yaxes(
        range=_reach(record.low, record.high, 0.05, 0.08), title={"text": record.quantity}, **_ticks(record)
    )
    figure.update_layout(
        title={"text": record.title, "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8 if narrow else 150, "t": 54, "b": 8},
        showlegend=narrow,
        legend={"y": -0.2, "yanchor": "top"},
    )
    return figure


def _span(record: LengthCurves) -> float:
    return math.log10(record.high / record.low) or 1.0


def _end_name(record: LengthCurves, name: str, height: float) -> dict[str, Any]:
    """A curve's name beside its end. (On a phone a legend has the names.)"""
    return {
        "x": math.log10(record.lengths[-1]),
        "y": height,
        "xanchor": "left",
        "yanchor": "middle",
        "xshift": 6,
        "text": name,
        "showarrow": False,
        "font": {"color": style.LIGHT.ink, "size": 12},
    }


def _ticks(record: LengthCurves) -> dict[str, Any]:
    low, high = math.ceil(math.log10(record.low)), math.floor(math.log10(record.high))
    step = max(1, round((high - low) / 5))
    values = [10.0**i for i in range(low, high + 1, step)]
    names = [in_bytes(v) if record.in_bytes else f"10<sup>{round(math.log10(v))}</sup>" for v in values]
    return {"tickvals": values, "ticktext": names}


def _reach(low: float, high: float, below: float, above: float) -> list[float]:
    """A logarithmic axis from a little below `low` to a little above `high`."""
    start, end = math.log10(low), math.log10(high)
    span = (end - start) or 1.0
    return [start - below * span, end + above * span]


def _finish(figure: go.Figure, n_prompt: int, annotations: list[dict[str, Any]], narrow: bool) -> None:
    """Both axes logarithmic, and a line where the prompt is."""
    tens = [10**i for i in range(7)]
    names = {"tickvals": tens, "ticktext": [f"{n:,}" for n in tens]}
    figure.update_xaxes(type="log", title={"text": "tokens"}, fixedrange=True, **names)
    figure.update_yaxes(type="log", dtick=1, fixedrange=True)
    mark = {
        "x": math.log10(n_prompt),
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "left",
        "text": f"this prompt, {n_prompt:,}",
        "showarrow": False,
        "font": {"size": 11, "color": style.LIGHT.ink},
    }
    line = {
        "type": "line",
        "x0": n_prompt,
        "x1": n_prompt,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": style.LIGHT.line, "width": 1, "dash": "dot"},
    }
    figure.update_layout(
        template=style.TEMPLATE,
        height=360 if narrow else 400,
        showlegend=False,
        annotations=[*annotations, mark],
        shapes=[line],
    )


def cost_curve_figure(record: CostCurve) -> Drawn:
    """Measured points with the fitted curves."""
    words = " ".join(growth_sentence(record, i) for i in range(len(record.timed)))
    return Drawn(
        figure=_measured(record, narrow=False),
        alt=f"Time on this machine by length of the text, measured. {words}",
        stem="attention-cost-measured",
        table={
            "tokens": list(record.lengths),
            **{f"{timed.name}, ms": list(timed.milliseconds) for timed in record.timed},
        },
        narrow_figure=_measured(record, narrow=True),
    )


def _measured(record: CostCurve, narrow: bool) -> go.Figure:
    figure = go.Figure()
    annotations = []
    for number, timed in enumerate(record.timed):
        color = style.category(number)
        if timed.fit is not None:
            figure.add_scatter(
                name=f"{timed.name}, fitted",
                x=np.array(record.fit_lengths, dtype=np.float32),
                y=np.array(timed.fit, dtype=np.float32),
                mode="lines",
                line={"color": color, "width": 1.5, "dash": "dash"},
                hoverinfo="skip",
            )
        figure.add_scatter(
            name=timed.name,
            x=list(record.lengths),
            y=list(timed.milliseconds),
            mode="markers",
            marker={"size": 9, "symbol": _SYMBOLS[number], "color": color},
            hovertemplate=f"{timed.name}<br>%{{x:,}} tokens<br>%{{y:.4g}} ms<extra></extra>",
        )
        annotations.append(
            {
                "x": math.log10(record.lengths[-1]),
                "y": math.log10(timed.milliseconds[-1]),
                "xanchor": "right",
                "yanchor": "bottom",
                "yshift": 8,
                "text": f"{timed.name}, {style.three_digits(timed.milliseconds[-1], 'ms')}",
                "font": {"color": style.LIGHT.ink, "size": 12},
            }
        )
    _finish(figure, record.n_prompt, annotations, narrow)
    first = min(record.lengths[0], record.n_prompt)
    last = max(record.lengths[-1], record.n_prompt)
    figure.update_xaxes(range=_reach(first, last, 0.04, 0.04))
    tens = [10.0**i for i in range(-3, 7)]
    ticks = {"tickvals": tens, "ticktext": [f"{ten:,g}" for ten in tens]}
    figure.update_yaxes(
        range=_reach(record.low, record.high, 0.08, 0.2), title={"text": "milliseconds"}, **ticks
    )
    figure.update_layout(
        title={"text": _title(record), "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8, "t": 54, "b": 8},
    )
    return figure


def _title(record: CostCurve) -> str:
    exponent = record.timed[0].exponent
    if exponent is None:
        return "Measured on this machine"
    return f"Measured: time of {record.timed[0].name} grows as n<sup>{exponent:.2f}</sup>"
