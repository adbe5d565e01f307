"""What attention costs against the length of the text: formulas as curves, and timings with their fit.

Both axes are logarithmic: a straight line is a power of the length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model_runtime.records import CostFit, CostMeasurement
from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.labels import apart
from viz.panels import SILENT, Json, Look, drawn, figure, ink, line, note, scatter

LONGEST = 131_072  # tokens at the end of the calculators' axis
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")


@dataclass(frozen=True)
class Curve:
    """A quantity by formula at growing lengths."""

    name: str
    values: tuple[float, ...]
    at_prompt: float


@dataclass(frozen=True)
class LengthCurves:
    """Calculators on one axis of lengths."""

    title: str
    quantity: str  # on the y axis, with its unit
    lengths: tuple[int, ...]
    curves: tuple[Curve, ...]
    n_prompt: int
    in_bytes: bool = False
    low: float = 1.0  # ends of the y axis, shared by compared runs
    high: float = 1.0


@dataclass(frozen=True)
class Timed:
    """Timings of one thing, with the fitted curve a + b n + c n^2 (None where it could not be fitted)."""

    name: str
    milliseconds: tuple[float, ...]
    fit: tuple[float, ...] | None  # milliseconds at `CostCurve.fit_lengths`
    words: str  # the curve with its numbers
    exponent: float | None  # how the time grew with the length at the end: 1 in proportion, 2 as its square


@dataclass(frozen=True)
class CostCurve:
    """What was measured on this machine."""

    lengths: tuple[int, ...]
    fit_lengths: tuple[float, ...]
    timed: tuple[Timed, ...]
    n_prompt: int
    low: float  # milliseconds: ends of the y axis, shared by compared runs
    high: float


def steps(n_prompt: int, longest: int = LONGEST) -> tuple[int, ...]:
    """Lengths for a curve: powers of two and those between, with the prompt's own.

    >>> steps(5, 16)
    (1, 2, 3, 4, 5, 6, 8, 12, 16)
    """
    twos = [2**i for i in range(longest.bit_length())]
    found = {*twos, *(3 * n // 2 for n in twos if n > 1), n_prompt}
    return tuple(sorted(n for n in found if n <= max(longest, n_prompt)))


def length_curves_record(
    formulas: Mapping[str, Callable[[int], float]],
    n_prompt: int,
    *,
    title: str,
    quantity: str,
    in_bytes: bool = False,
) -> LengthCurves:
    """Formulas -> what will be drawn."""
    lengths = steps(n_prompt)
    curves = tuple(
        Curve(name, tuple(float(formula(n)) for n in lengths), float(formula(n_prompt)))
        for name, formula in formulas.items()
    )
    values = [value for curve in curves for value in curve.values if value > 0]
    return LengthCurves(title, quantity, lengths, curves, n_prompt, in_bytes, min(values), max(values))


def timed_record(
    name: str,
    lengths: Sequence[int],
    seconds: Sequence[float],
    fit: CostFit | None,
    fit_lengths: Sequence[float],
) -> Timed:
    """Timings -> milliseconds, the curve's points and words, and the exponent at the end."""
    curve, words = None, "Too few lengths for a curve."
    if fit is not None:
        a, b, c = fit.a, fit.b, fit.c
        curve = tuple(1000 * (a + b * n + c * n * n) for n in fit_lengths)
        terms = [
            f"{style.three_digits(1000 * value)}{power}"
            for value, power in ((a, ""), (b, " n"), (c, " n²"))
            if value
        ]
        words = f"{' + '.join(terms) or '0'} milliseconds (r² = {fit.r2:.4f})"
    return Timed(name, tuple(1000 * s for s in seconds), curve, words, exponent_of(lengths, seconds))


def exponent_of(lengths: Sequence[int], seconds: Sequence[float]) -> float | None:
    """The slope of log(seconds) over log(length), over the lengths from a quarter of the longest on.

    >>> round(exponent_of((64, 256, 512, 1024), [1e-6 * n**2 for n in (64, 256, 512, 1024)]), 3)
    2.0
    """
    late = [(n, s) for n, s in zip(lengths, seconds, strict=True) if 4 * n >= max(lengths) and s > 0]
    if len(late) < 2:
        return None
    x, y = np.log([n for n, _ in late]), np.log([s for _, s in late])
    return float(np.polyfit(x, y, 1)[0])


def cost_curve_record(measured: CostMeasurement, n_prompt: int) -> CostCurve:
    """Timings -> what will be drawn."""
    lengths = measured.lengths
    fit_lengths = tuple(float(n) for n in np.geomspace(min(lengths), max(lengths), 60))
    records = (
        timed_record(
            "attention of one layer", lengths, measured.attention_seconds, measured.attention_fit, fit_lengths
        ),
        timed_record("whole model", lengths, measured.forward_seconds, measured.forward_fit, fit_lengths),
    )
    values = [v for record in records for v in record.milliseconds]
    return CostCurve(lengths, fit_lengths, records, n_prompt, min(values), max(values))


def growth_sentence(record: CostCurve, index: int) -> str:
    """How the time of one thing grew, in plain text."""
    timed = record.timed[index]
    last = record.lengths[-1]
    half = next((n for n in reversed(record.lengths) if 2 * n == last), None)
    said = f"{timed.name}: {style.three_digits(timed.milliseconds[-1], 'ms')} at {counted(last, 'token')}"
    if half is not None:
        ratio = timed.milliseconds[-1] / timed.milliseconds[record.lengths.index(half)]
        said += f", {style.three_digits(ratio)} times as long as at {half:,}"
    if timed.exponent is None:
        return f"{said}."
    power = f"n to the power {timed.exponent:.2f} ({_kind(timed)})"
    return f"{said}. Over the longest lengths the time grows as {power}."


def _kind(timed: Timed) -> str:
    exponent = timed.exponent or 0.0
    if exponent < 0.8:
        return "less than in proportion: fixed costs still count"
    if exponent < 1.25:
        return "about in proportion to the text"
    return "between proportion and square" if exponent < 1.75 else "nearly the square, or more"


def length_curves_figure(record: LengthCurves) -> Drawn:
    """Calculators: one line each, named at its end (on a phone in a legend), the prompt's length marked."""
    at = [f"{curve.name} {_number(record, curve.at_prompt)}" for curve in record.curves]
    return drawn(
        _curves,
        record,
        alt=f"{record.title}. {record.quantity} by length. At {counted(record.n_prompt, 'token')}: "
        f"{'; '.join(at)}.",
        stem=f"attention-{'memory' if record.in_bytes else 'cost'}-formulas",
        table={
            "tokens": list(record.lengths),
            **{f"{curve.name}, {record.quantity}": list(curve.values) for curve in record.curves},
        },
    )


def _number(record: LengthCurves, value: float) -> str:
    if record.in_bytes:
        return style.in_bytes(value)
    return style.three_digits(int(value) if value < 1e9 else value)


def _curves(record: LengthCurves, look: Look) -> go.Figure:
    span = math.log10(record.high / record.low) or 1.0
    ends = apart([math.log10(curve.values[-1]) for curve in record.curves], 0.09 * span)
    last = math.log10(record.lengths[-1])
    names = [
        note(curve.name, last, end, "left middle", xshift=6, font=ink(12))
        for curve, end in zip(record.curves, ends, strict=True)
    ]
    low, high = math.ceil(math.log10(record.low)), math.floor(math.log10(record.high))
    tens = [10.0**power for power in range(low, high + 1, max(1, round((high - low) / 5)))]
    words = [
        style.in_bytes(ten) if record.in_bytes else f"10<sup>{round(math.log10(ten))}</sup>" for ten in tens
    ]
    return _against_length(
        [trace for number, curve in enumerate(record.curves) for trace in _curve(record, number, curve)],
        record.n_prompt,
        look.pick(names, []),
        look,
        x=_reach(record.lengths[0], record.lengths[-1], 0.02, 0.02),
        y={
            "range": _reach(record.low, record.high, 0.05, 0.08),
            "title": {"text": record.quantity},
            "tickvals": tens,
            "ticktext": words,
        },
        title=look.title(record.title),
        margin={"r": look.pick(150, 8), "t": 54},
        showlegend=look.pick(False, True),
        legend={"y": -0.2, "yanchor": "top"},
    )


def _curve(record: LengthCurves, number: int, curve: Curve) -> list[Json]:
    color, named = style.category(number), f"<extra>{curve.name}</extra>"
    at_prompt = f"this prompt, {counted(record.n_prompt, 'token')}<br>{_number(record, curve.at_prompt)}"
    return [
        scatter(
            curve.name,
            np.array(record.lengths, dtype=np.int32),
            np.array(curve.values, dtype=np.float64),
            "lines",
            line={"color": color, "dash": _DASHES[number % 4], "width": 2.5},
            text=[_number(record, value) for value in curve.values],
            hovertemplate="%{x:,} tokens<br>%{text}" + named,
        ),
        scatter(
            f"{curve.name}, this prompt",
            [record.n_prompt],
            [curve.at_prompt],
            marker={"size": 10, "symbol": _SYMBOLS[number % 4], "color": color},
            showlegend=False,
            hovertemplate=at_prompt + named,
        ),
    ]


def _reach(low: float, high: float, below: float, above: float) -> list[float]:
    """A logarithmic axis from a little below `low` to a little above `high`, as shares of what is between."""
    start, end = math.log10(low), math.log10(high)
    span = (end - start) or 1.0
    return [start - below * span, end + above * span]


def _against_length(
    traces: Sequence[Json],
    n_prompt: int,
    names: Sequence[Json],
    look: Look,
    x: Sequence[float],
    y: Json,
    **layout: Any,
) -> go.Figure:
    """Both axes logarithmic, and a line where the prompt is."""
    tens = [10**power for power in range(7)]
    mark = f"this prompt, {n_prompt:,}"
    return figure(
        traces,
        xaxis={
            "type": "log",
            "range": list(x),
            "title": {"text": "tokens"},
            "tickvals": tens,
            "ticktext": [f"{ten:,}" for ten in tens],
        },
        yaxis={"type": "log", **y},
        height=look.pick(400, 360),
        annotations=[*names, note(mark, math.log10(n_prompt), 1, "left bottom", within="y", font=ink(11))],
        shapes=[line(n_prompt, dash="dot", color=style.LIGHT.line)],
        **layout,
    )


def cost_curve_figure(record: CostCurve) -> Drawn:
    """Measured points with the fitted curves."""
    words = " ".join(growth_sentence(record, number) for number in range(len(record.timed)))
    return drawn(
        _measured,
        record,
        alt=f"Time on this machine by length of the text, measured. {words}",
        stem="attention-cost-measured",
        table={
            "tokens": list(record.lengths),
            **{f"{timed.name}, ms": list(timed.milliseconds) for timed in record.timed},
        },
    )


def _measured(record: CostCurve, look: Look) -> go.Figure:
    exponent = record.timed[0].exponent
    title = "Measured on this machine"
    if exponent is not None:
        title = f"Measured: time of {record.timed[0].name} grows as n<sup>{exponent:.2f}</sup>"
    last = math.log10(record.lengths[-1])
    names = [
        note(
            f"{timed.name}, {style.three_digits(timed.milliseconds[-1], 'ms')}",
            last,
            math.log10(timed.milliseconds[-1]),
            "right bottom",
            yshift=8,
            font=ink(12),
        )
        for timed in record.timed
    ]
    tens = [10.0**power for power in range(-3, 7)]
    ends = (min(record.lengths[0], record.n_prompt), max(record.lengths[-1], record.n_prompt))
    return _against_length(
        [trace for number, timed in enumerate(record.timed) for trace in _timed(record, number, timed)],
        record.n_prompt,
        names,
        look,
        x=_reach(*ends, 0.04, 0.04),
        y={
            "range": _reach(record.low, record.high, 0.08, 0.2),
            "title": {"text": "milliseconds"},
            "tickvals": tens,
            "ticktext": [style.round_number(ten) for ten in tens],
        },
        title=look.title(title),
        margin={"t": 54},
        showlegend=False,
    )


def _timed(record: CostCurve, number: int, timed: Timed) -> list[Json]:
    color = style.category(number)
    points = scatter(
        timed.name,
        record.lengths,
        timed.milliseconds,
        marker={"size": 9, "symbol": _SYMBOLS[number], "color": color},
        hovertemplate=f"{timed.name}<br>%{{x:,}} tokens<br>%{{y:.4g}} ms<extra></extra>",
    )
    if timed.fit is None:
        return [points]
    at, curve = (np.array(values, dtype=np.float32) for values in (record.fit_lengths, timed.fit))
    dashed = {"color": color, "width": 1.5, "dash": "dash"}
    return [scatter(f"{timed.name}, fitted", at, curve, "lines", line=dashed, **SILENT), points]
