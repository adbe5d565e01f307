"""What becomes of gradients in fp16 as the loss scale grows: what vanishes, what overflows, and the error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import COLORS, DASHES, SYMBOLS, Finding, finding_words, power, scale_axis
from viz.panels import Json, Look, drawn, figure, heading, ink, line, note, on, panels, scatter


@dataclass(frozen=True)
class GradientFates:
    """Shares of the gradients that are not 0 in fp32, by kind and scale 2^k.

    vanishing, infinite [kind][k]: of the fp32 gradients times 2^k, rounded to fp16. measured and
    broken [kind][pass]: are 0, and are infinite or NaN, in real fp16 passes with the scales `passes`.
    """

    names: tuple[str, ...]
    scales: tuple[int, ...]
    vanishing: tuple[tuple[float, ...], ...]
    infinite: tuple[tuple[float, ...], ...]
    passes: tuple[int, ...]
    measured: tuple[tuple[float, ...], ...]
    broken: tuple[tuple[float, ...], ...]
    k: int
    findings: tuple[Finding, ...]
    top: float  # of the left axis


@dataclass(frozen=True)
class GradientErrors:
    """Relative error of the unscaled weights' gradient of real passes; NaN where it is not finite."""

    passes: tuple[int, ...]
    errors: tuple[float, ...]
    bf16: float
    k: int
    low: float
    high: float


def gradient_fates_record(
    names: Sequence[str],
    scales: Sequence[int],
    vanishing: Sequence[np.ndarray],
    infinite: Sequence[np.ndarray],
    passes: Sequence[int],
    measured: Sequence[np.ndarray],
    broken: Sequence[np.ndarray],
    k: int,
    findings: Sequence[Finding],
    top: float | None = None,
) -> GradientFates:
    """Shares -> what will be drawn; `top` is that of a run beside it."""

    def rows(values: Sequence[np.ndarray]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(map(float, row)) for row in values)

    highest = max(float(np.max(row)) for row in (*vanishing, *measured))
    return GradientFates(
        tuple(names),
        tuple(scales),
        rows(vanishing),
        rows(infinite),
        tuple(passes),
        rows(measured),
        rows(broken),
        k,
        tuple(findings),
        (highest or 0.01) if top is None else top,
    )


def gradient_fates_figure(record: GradientFates) -> Drawn:
    """Two panels over the scale: what becomes 0, what becomes infinite. Lines: rounded; points: measured."""
    at = {k: i for i, k in enumerate(record.passes)}
    table: dict[str, Sequence[object]] = {"k of the scale 2^k": list(record.scales)}
    for kind, name in enumerate(record.names):
        table[f"{name}, become 0"] = list(record.vanishing[kind])
        table[f"{name}, become infinite"] = list(record.infinite[kind])
        for words, rows in (("are 0", record.measured), ("are not finite", record.broken)):
            measured = [rows[kind][at[k]] if k in at else "" for k in record.scales]
            table[f"{name}, {words} in a real pass"] = measured
    whole = [k for i, k in enumerate(record.passes) if not any(row[i] for row in record.broken)]
    best = (
        f"The largest scale of a pass without infinity is {power(max(whole))}" if whole else "None is finite"
    )
    return drawn(
        _fates,
        record,
        alt="Share of gradients that become 0, and that become infinite, against the scale of the loss. "
        f"{fates_title(record)}. {finding_words(record.findings, record.k)}. {best}.",
        stem="gradient-fates",
        table=table,
    )


def _fates(record: GradientFates, look: Look) -> go.Figure:
    halves = look.pick([(0.0, 0.46), (0.55, 1.0)], [(0.0, 1.0)])
    heights = look.pick([(0.0, 1.0)], [(0.59, 1.0), (0.0, 0.38)])
    scales = {**scale_axis(record.scales, look), "range": [record.scales[0] - 0.6, record.scales[-1] + 0.6]}
    shares: Json = {"tickformat": ".1~%", "nticks": 5}
    vanish = {**shares, "range": [-0.04 * record.top, 1.1 * record.top]}
    points = scatter(
        "points: a real pass in fp16",
        [None],
        [None],
        marker={"symbol": "circle", "size": 9, "color": style.LIGHT.muted},
    )
    # In the panel whose upper corner is empty there: few overflow at small scales, few vanish at large ones.
    panel, side = int(record.k < 12), "left" if record.k < 15 else "right"
    chosen = note(f" {power(record.k)}, chosen ", record.k, 1, f"{side} top", panel, "y", font=ink(12))
    return figure(
        [
            *_curves(record, 0, record.vanishing, record.measured),
            *_curves(record, 1, record.infinite, record.broken),
            points,
        ],
        **panels(
            halves,
            heights,
            x=scales,
            y=[{**vanish, "title": {"text": "share of the gradients"}}, {**shares, "range": [-0.04, 1.06]}],
        ),
        title=look.title(fates_title(record), ";", phone_lines=2),
        height=look.pick(380, 560),
        annotations=[heading("<b>become 0</b>"), heading("<b>become ∞ or NaN</b>", 1), chosen],
        shapes=[line(x=record.k, panel=panel, dash="dot") for panel in (0, 1)],
        legend={"y": look.pick(-0.24, -0.14), "yanchor": "top"},
        margin={"r": 12, "t": look.pick(76, 96)},
    )


def _curves(
    record: GradientFates,
    panel: int,
    rounded: Sequence[Sequence[float]],
    measured: Sequence[Sequence[float]],
) -> list[Json]:
    """Two traces for each kind of gradients: a line of the rounded, points of the real passes."""
    traces = []
    for kind, name in enumerate(record.names):
        color, said = style.category(COLORS[kind]), style.inert(f"{name} gradients")
        edge = {"width": 1, "color": style.LIGHT.background}
        traces.append(
            scatter(
                said,
                record.scales,
                rounded[kind],
                "lines",
                line={"color": color, "dash": DASHES[kind], "width": 2},
                showlegend=panel == 0,
                hovertemplate=f"{said}, rounded: %{{y:.3%}} at 2<sup>%{{x}}</sup><extra></extra>",
                **on(panel),
            )
        )
        traces.append(
            scatter(
                f"{said}, real pass",
                record.passes,
                measured[kind],
                marker={"symbol": SYMBOLS[kind], "size": 9, "color": color, "line": edge},
                showlegend=False,
                cliponaxis=False,
                hovertemplate=f"{said}, real fp16 pass: %{{y:.3%}} at 2<sup>%{{x}}</sup><extra></extra>",
                **on(panel),
            )
        )
    return traces


def fates_title(record: GradientFates) -> str:
    """The finding: whether scaling saves anything, and from which real pass on it breaks."""
    saves = any(row[0] > row[-1] for row in record.vanishing)
    begins = "Fewer vanish at larger scales" if saves else "Nothing is there to save"
    broken = [k for i, k in enumerate(record.passes) if any(row[i] for row in record.broken)]
    if not broken:
        return f"{begins}; no pass made in fp16 overflows"
    return f"{begins}; from {power(min(broken))} on a real pass in fp16 overflows"


def gradient_errors_record(
    passes: Sequence[int], errors: Sequence[float], bf16: float, k: int, *others: Sequence[float]
) -> GradientErrors:
    """Errors by pass -> what will be drawn; `others` share the axis."""
    every = [v for row in (errors, *others) for v in row if math.isfinite(v) and v > 0]
    every += [bf16] if bf16 > 0 else []
    return GradientErrors(
        tuple(passes),
        tuple(map(float, errors)),
        bf16,
        k,
        min(every, default=1e-3),
        max(every, default=1.0),
    )


def errors_title(record: GradientErrors) -> str:
    """The finding: how far off the pass nearest below the chosen scale is, against bf16."""
    at = nearest_pass(record.passes, record.k)
    error = record.errors[at]
    if not math.isfinite(error):
        return f"With a scale of {power(record.passes[at])} the fp16 gradient is infinite: the step is lost"
    than = f"bf16 without one by {style.share(record.bf16)}"
    scale = power(record.passes[at])
    return f"With a scale of {scale} the fp16 gradient is off by {style.share(error)}, {than}"


def nearest_pass(passes: Sequence[int], k: int) -> int:
    """Index of the pass with the largest scale that is not above 2^k; the first where there is none."""
    below = [i for i, at in enumerate(passes) if at <= k]
    return max(below, key=lambda i: passes[i], default=0)


def gradient_errors_figure(record: GradientErrors) -> Drawn:
    """Relative error of the weights' gradient against the scale, logarithmic; crosses where it is lost."""
    lost = [k for k, error in zip(record.passes, record.errors, strict=True) if not math.isfinite(error)]
    lost_words = f" Lost to infinity from {power(min(lost))} on." if lost else ""
    return drawn(
        _errors,
        record,
        alt="Relative error of the weights' gradient of real fp16 passes, after division by the scale, "
        f"logarithmic. {errors_title(record)}.{lost_words}",
        stem="gradient-errors",
        table={
            "k of the scale 2^k": list(record.passes),
            "relative error, fp16": [e if math.isfinite(e) else "not finite" for e in record.errors],
            "relative error, bf16, scale 1": [record.bf16] * len(record.passes),
        },
    )


def _errors(record: GradientErrors, look: Look) -> go.Figure:
    color, other, top = style.category(0), style.category(5), record.high * 1.6
    pairs = list(zip(record.passes, record.errors, strict=True))
    good = [(k, max(e, record.low / 2)) for k, e in pairs if math.isfinite(e)]
    lost = [k for k, e in pairs if not math.isfinite(e)]
    edges = [record.passes[0] - 0.6, record.passes[-1] + 0.6]
    tens = [10.0**p for p in range(-8, 4)]
    return figure(
        [
            scatter(
                "fp16",
                [k for k, _ in good],
                [e for _, e in good],
                "lines+markers",
                line={"color": color},
                marker={"size": 9},
                hovertemplate="fp16: %{y:.4%} at 2<sup>%{x}</sup><extra></extra>",
            ),
            scatter(
                "fp16, not finite",
                lost,
                [top] * len(lost),
                showlegend=bool(lost),
                marker={"symbol": "x", "size": 10, "color": color},
                hovertemplate="fp16: not finite at 2<sup>%{x}</sup><extra></extra>",
            ),
            scatter(
                "bf16, no scale",
                edges,
                [max(record.bf16, record.low / 2)] * 2,
                "lines",
                line={"color": other, "dash": "dash"},
                hovertemplate=f"bf16: {style.share(record.bf16)}<extra></extra>",
            ),
        ],
        title=look.title(errors_title(record), ",", ":", phone_lines=2),
        height=340,
        legend={"y": -0.28, "yanchor": "top"},
        margin={"r": 12, "t": look.pick(56, 76)},
        shapes=[line(x=record.k, dash="dot")],
        xaxis={**scale_axis(record.passes, look), "range": edges},
        yaxis={
            "type": "log",
            "title": {"text": "relative error"},
            "tickvals": tens,
            "ticktext": [*map(style.share, tens)],
            "range": [math.log10(record.low) - 0.35, math.log10(top) + 0.15],
        },
    )
