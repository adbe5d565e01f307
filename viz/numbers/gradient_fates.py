"""What becomes of gradients in fp16 as the loss scale grows: what vanishes, what overflows, and the error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import LossScaling
from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import COLORS, DASHES, SYMBOLS, finding_words, findings_of, power, scale_axis
from viz.panels import Json, Look, drawn, figure, heading, ink, line, note, on, panels, scatter, share_ticks


@dataclass(frozen=True, eq=False)
class GradientFates:
    """Shares of the gradients that become 0, and infinite, by kind and scale, and the chosen scale 2^k."""

    scaling: LossScaling
    k: int
    top: float  # of the left axis


@dataclass(frozen=True, eq=False)
class GradientErrors:
    """Relative error of the unscaled weights' gradient of real passes; NaN where it is not finite."""

    scaling: LossScaling
    k: int
    low: float
    high: float


def gradient_fates_record(scaling: LossScaling, k: int, *others: LossScaling) -> GradientFates:
    """Shares -> what will be drawn; `others` share the axis."""
    top = max(float(one.vanishing.max()) for one in (scaling, *others))
    return GradientFates(scaling, k, top or 0.01)


def gradient_fates_figure(record: GradientFates) -> Drawn:
    """Two panels over the scale: what becomes 0, what becomes infinite. Lines: rounded; points: measured."""
    scaling = record.scaling
    at = {k: i for i, k in enumerate(scaling.passes)}
    table: dict[str, Sequence[object]] = {"k of the scale 2^k": list(scaling.scales)}
    for kind, name in enumerate(scaling.kinds):
        table[f"{name}, become 0"] = scaling.vanishing[kind].tolist()
        table[f"{name}, become infinite"] = scaling.infinite[kind].tolist()
        for words, rows in (("are 0", scaling.measured), ("are not finite", scaling.broken)):
            table[f"{name}, {words} in a real pass"] = [
                float(rows[kind, at[k]]) if k in at else "" for k in scaling.scales
            ]
    whole = [k for k in scaling.passes if k not in _broken(scaling)]
    best = (
        f"The largest scale of a pass without infinity is {power(max(whole))}" if whole else "None is finite"
    )
    return drawn(
        _fates,
        record,
        alt="Share of gradients that become 0, and that become infinite, against the scale of the loss. "
        f"{fates_title(record)}. {finding_words(findings_of(scaling, record.k), record.k)}. {best}.",
        stem="gradient-fates",
        table=table,
    )


def _broken(scaling: LossScaling) -> list[int]:
    """Scales of the passes that are not finite."""
    return [k for k, lost in zip(scaling.passes, scaling.broken.T, strict=True) if lost.any()]


def _fates(record: GradientFates, look: Look) -> go.Figure:
    halves = look.pick([(0.0, 0.46), (0.55, 1.0)], [(0.0, 1.0)])
    heights = look.pick([(0.0, 1.0)], [(0.59, 1.0), (0.0, 0.38)])
    scaling, ends = record.scaling, (record.scaling.scales[0] - 0.6, record.scaling.scales[-1] + 0.6)
    scales = {**scale_axis(scaling.scales, look), "range": ends}
    vanish = {**share_ticks(0, 1.1 * record.top), "range": [-0.04 * record.top, 1.1 * record.top]}
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
            *_curves(scaling, 0, scaling.vanishing, scaling.measured),
            *_curves(scaling, 1, scaling.infinite, scaling.broken),
            points,
        ],
        **panels(
            halves,
            heights,
            x=scales,
            y=[
                {**vanish, "title": {"text": "share of the gradients"}},
                {**share_ticks(0, 1), "range": [-0.04, 1.06]},
            ],
        ),
        title=look.title(fates_title(record), ";", phone_lines=2),
        height=look.pick(380, 560),
        annotations=[heading("<b>become 0</b>"), heading("<b>become ∞ or NaN</b>", 1), chosen],
        shapes=[line(x=record.k, panel=panel, dash="dot") for panel in (0, 1)],
        legend={"y": look.pick(-0.24, -0.14), "yanchor": "top"},
        margin={"r": 12, "t": look.pick(76, 96)},
    )


def _curves(scaling: LossScaling, panel: int, rounded: np.ndarray, measured: np.ndarray) -> list[Json]:
    """Two traces for each kind of gradients: a line of the rounded, points of the real passes."""
    traces = []
    for kind, name in enumerate(scaling.kinds):
        color, said = style.category(COLORS[kind]), style.inert(f"{name} gradients")
        edge = {"width": 1, "color": style.LIGHT.background}
        traces.append(
            scatter(
                said,
                scaling.scales,
                rounded[kind].tolist(),
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
                scaling.passes,
                measured[kind].tolist(),
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
    vanishing, broken = record.scaling.vanishing, _broken(record.scaling)
    saves = (vanishing[:, 0] > vanishing[:, -1]).any()
    begins = "Fewer vanish at larger scales" if saves else "Nothing is there to save"
    if not broken:
        return f"{begins}; no pass made in fp16 overflows"
    return f"{begins}; from {power(min(broken))} on a real pass in fp16 overflows"


def gradient_errors_record(scaling: LossScaling, k: int, *others: LossScaling) -> GradientErrors:
    """Errors by pass -> what will be drawn; `others` share the axis."""
    found = [float(v) for one in (scaling, *others) for v in (*one.error, one.bf16)]
    every = [v for v in found if math.isfinite(v) and v > 0]
    return GradientErrors(scaling, k, min(every, default=1e-3), max(every, default=1.0))


def errors_title(record: GradientErrors) -> str:
    """The finding: how far off the pass nearest below the chosen scale is, against bf16."""
    at = record.scaling.nearest_pass(record.k)
    scale, error = power(record.scaling.passes[at]), float(record.scaling.error[at])
    if not math.isfinite(error):
        return f"With a scale of {scale} the fp16 gradient is infinite: the step is lost"
    than = f"bf16 without one by {style.share(record.scaling.bf16)}"
    return f"With a scale of {scale} the fp16 gradient is off by {style.share(error)}, {than}"


def gradient_errors_figure(record: GradientErrors) -> Drawn:
    """Relative error of the weights' gradient against the scale, logarithmic; crosses where it is lost."""
    passes, errors = record.scaling.passes, record.scaling.error.tolist()
    lost = [k for k, error in zip(passes, errors, strict=True) if not math.isfinite(error)]
    lost_words = f" Lost to infinity from {power(min(lost))} on." if lost else ""
    return drawn(
        _errors,
        record,
        alt="Relative error of the weights' gradient of real fp16 passes, after division by the scale, "
        f"logarithmic. {errors_title(record)}.{lost_words}",
        stem="gradient-errors",
        table={
            "k of the scale 2^k": list(passes),
            "relative error, fp16": [e if math.isfinite(e) else "not finite" for e in errors],
            "relative error, bf16, scale 1": [record.scaling.bf16] * len(passes),
        },
    )


def _errors(record: GradientErrors, look: Look) -> go.Figure:
    color, other, top = style.category(0), style.category(5), record.high * 1.6
    passes, bf16 = record.scaling.passes, record.scaling.bf16
    pairs = list(zip(passes, record.scaling.error.tolist(), strict=True))
    good = [(k, max(e, record.low / 2)) for k, e in pairs if math.isfinite(e)]
    lost = [k for k, e in pairs if not math.isfinite(e)]
    edges = [passes[0] - 0.6, passes[-1] + 0.6]
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
                [max(bf16, record.low / 2)] * 2,
                "lines",
                line={"color": other, "dash": "dash"},
                hovertemplate=f"bf16: {style.share(bf16)}<extra></extra>",
            ),
        ],
        title=look.title(errors_title(record), ",", ":", phone_lines=2),
        height=340,
        legend={"y": -0.28, "yanchor": "top"},
        margin={"r": 12, "t": look.pick(56, 76)},
        shapes=[line(x=record.k, dash="dot")],
        xaxis={**scale_axis(passes, look), "range": edges},
        yaxis={
            "type": "log",
            "title": {"text": "relative error"},
            "tickvals": tens,
            "ticktext": [*map(style.share, tens)],
            "range": [math.log10(record.low) - 0.35, math.log10(top) + 0.15],
        },
    )
