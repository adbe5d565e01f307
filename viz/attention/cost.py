"""What attention costs against the length of the text: formulas as curves, and timings with their fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import CostFit, CostMeasurement
from viz import style

LONGEST = 131_072  # tokens at the end of the calculators' axis


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
    said = f"{timed.name}: {style.three_digits(timed.milliseconds[-1], 'ms')} at {last:,} tokens"
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
