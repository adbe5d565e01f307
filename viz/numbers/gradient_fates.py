"""What becomes of gradients in fp16 as the loss scale grows: what vanishes, what overflows, and the error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import COLORS, DASHES, SYMBOLS, Finding, finding_words, power


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
    return Drawn(
        figure=_fates(record, narrow=False),
        alt="Share of gradients that become 0, and that become infinite, against the scale of the loss. "
        f"{fates_title(record)}. {finding_words(record.findings, record.k)}. {best}.",
        stem="gradient-fates",
        table=table,
        narrow_figure=_fates(record, narrow=True),
    )


def _fates(record: GradientFates, narrow: bool) -> go.Figure:
    figure = go.Figure()
    panels = (
        ("x", "y", record.vanishing, record.measured),
        ("x2", "y2", record.infinite, record.broken),
    )
    for x, y, lines, points in panels:
        for kind, name in enumerate(record.names):
            color = style.category(COLORS[kind])
            said = style.inert(f"{name} gradients")
            figure.add_scatter(
                name=said, x=list(record.scales), y=list(lines[kind]), mode="lines", xaxis=x, yaxis=y,
                line={"color": color, "dash": DASHES[kind], "width": 2}, showlegend=x == "x",
                hovertemplate=f"{said}, rounded: %{{y:.3%}} at 2<sup>%{{x}}</sup><extra></extra>",
            )  # fmt: skip
            figure.add_scatter(
                name=f"{said}, real pass", x=list(record.passes), y=list(points[kind]), mode="markers",
                xaxis=x, yaxis=y, marker={"symbol": SYMBOLS[kind], "size": 9, "color": color,
                                          "line": {"width": 1, "color": style.LIGHT.background}},
                showlegend=False, cliponaxis=False,
                hovertemplate=f"{said}, real fp16 pass: %{{y:.3%}} at 2<sup>%{{x}}</sup><extra></extra>",
            )  # fmt: skip
    figure.add_scatter(
        name="points: a real pass in fp16", x=[None], y=[None], mode="markers",
        marker={"symbol": "circle", "size": 9, "color": style.LIGHT.muted},
    )  # fmt: skip
    _lay_out(figure, record, narrow)
    return figure


def fates_title(record: GradientFates) -> str:
    """The finding: whether scaling saves anything, and from which real pass on it breaks."""
    saves = any(row[0] > row[-1] for row in record.vanishing)
    begins = "Fewer vanish at larger scales" if saves else "Nothing is there to save"
    broken = [k for i, k in enumerate(record.passes) if any(row[i] for row in record.broken)]
    if not broken:
        return f"{begins}; no pass made in fp16 overflows"
    return f"{begins}; from {power(min(broken))} on a real pass in fp16 overflows"


def _lay_out(figure: go.Figure, record: GradientFates, narrow: bool) -> None:
    across, up = (0.0, 1.0), (0.0, 1.0)
    left = {"xaxis": across, "yaxis": (0.59, 1.0)} if narrow else {"xaxis": (0.0, 0.46), "yaxis": up}
    right = {"xaxis": across, "yaxis": (0.0, 0.38)} if narrow else {"xaxis": (0.55, 1.0), "yaxis": up}
    heads = (("become 0", left), ("become ∞ or NaN", right))
    notes = [
        {"x": place["xaxis"][0], "xref": "paper", "y": place["yaxis"][1], "yref": "paper",
         "yanchor": "bottom", "xanchor": "left", "text": f"<b>{words}</b>", "showarrow": False,
         "font": {"size": 13, "color": style.LIGHT.ink}}
        for words, place in heads
    ]  # fmt: skip
    shapes = [
        {"type": "line", "x0": record.k, "x1": record.k, "xref": x, "y0": 0, "y1": 1, "yref": f"{y} domain",
         "line": {"color": style.LIGHT.ink, "width": 1, "dash": "dot"}}
        for x, y in (("x", "y"), ("x2", "y2"))
    ]  # fmt: skip
    # In the panel whose upper corner is empty there: few overflow at small scales, few vanish at large ones.
    small = record.k < 12
    notes.append({"x": record.k, "xref": "x2" if small else "x", "y": 1,
                  "yref": "y2 domain" if small else "y domain", "yanchor": "top",
                  "xanchor": "left" if record.k < 15 else "right", "showarrow": False,
                  "text": f" {power(record.k)}, chosen ",
                  "font": {"size": 12, "color": style.LIGHT.ink}})  # fmt: skip
    title = fates_title(record)
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=560 if narrow else 380,
        annotations=notes,
        shapes=shapes,
        legend={"y": -0.14 if narrow else -0.24, "yanchor": "top"},
        margin={"l": 8, "r": 12, "t": 96 if narrow else 76, "b": 8},
        xaxis2={"anchor": "y2"},
        yaxis2={"anchor": "x2"},
    )
    figure.update_layout(xaxis_domain=left["xaxis"], yaxis_domain=left["yaxis"],
                         xaxis2_domain=right["xaxis"], yaxis2_domain=right["yaxis"])  # fmt: skip
    figure.update_xaxes(**_scale_axis(record.scales, narrow))
    figure.update_yaxes(fixedrange=True, tickformat=".1~%", nticks=5)
    figure.update_layout(yaxis_range=[-0.04 * record.top, record.top * 1.1], yaxis2_range=[-0.04, 1.06],
                         yaxis_title_text="share of the gradients")  # fmt: skip


def _scale_axis(scales: Sequence[int], narrow: bool) -> dict[str, Any]:
    ticks = [k for k in scales if k % (8 if narrow else 4) == 0]
    return {
        "title": {"text": "scale of the loss"},
        "range": [scales[0] - 0.6, scales[-1] + 0.6],
        "fixedrange": True,
        "showgrid": False,
        "tickvals": ticks,
        "ticktext": [f"2<sup>{k}</sup>" if k else "1" for k in ticks],
    }


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
    return Drawn(
        figure=_errors(record, narrow=False),
        alt="Relative error of the weights' gradient of real fp16 passes, after division by the scale, "
        f"logarithmic. {errors_title(record)}.{lost_words}",
        stem="gradient-errors",
        table={
            "k of the scale 2^k": list(record.passes),
            "relative error, fp16": [e if math.isfinite(e) else "not finite" for e in record.errors],
            "relative error, bf16, scale 1": [record.bf16] * len(record.passes),
        },
        narrow_figure=_errors(record, narrow=True),
    )


def _errors(record: GradientErrors, narrow: bool) -> go.Figure:
    figure = go.Figure()
    color, other, top = style.category(0), style.category(5), record.high * 1.6
    pairs = list(zip(record.passes, record.errors, strict=True))
    good = [(k, max(e, record.low / 2)) for k, e in pairs if math.isfinite(e)]
    lost = [k for k, e in pairs if not math.isfinite(e)]
    figure.add_scatter(
        name="fp16", x=[k for k, _ in good], y=[e for _, e in good], mode="lines+markers",
        line={"color": color}, marker={"size": 9},
        hovertemplate="fp16: %{y:.4%} at 2<sup>%{x}</sup><extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        name="fp16, not finite", x=lost, y=[top] * len(lost), mode="markers", showlegend=bool(lost),
        marker={"symbol": "x", "size": 10, "color": color},
        hovertemplate="fp16: not finite at 2<sup>%{x}</sup><extra></extra>",
    )  # fmt: skip
    edges = [record.passes[0] - 0.6, record.passes[-1] + 0.6]
    figure.add_scatter(
        name="bf16, no scale", x=edges, y=[max(record.bf16, record.low / 2)] * 2, mode="lines",
        line={"color": other, "dash": "dash"},
        hovertemplate=f"bf16: {style.share(record.bf16)}<extra></extra>",
    )  # fmt: skip
    title = errors_title(record)
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(", bf16", ",<br>bf16").replace(": ", ":<br>"), "font": {"size": 13},
               "pad": {"t": 36, "b": 0}} if narrow else {"text": title},
        height=340,
        legend={"y": -0.28, "yanchor": "top"},
        margin={"l": 8, "r": 12, "t": 76 if narrow else 56, "b": 8},
        shapes=[{"type": "line", "x0": record.k, "x1": record.k, "y0": 0, "y1": 1, "yref": "paper",
                 "line": {"color": style.LIGHT.ink, "width": 1, "dash": "dot"}}],
    )  # fmt: skip
    figure.update_xaxes(**{**_scale_axis(record.passes, narrow), "range": edges})
    tens = [10.0**p for p in range(-8, 4)]
    figure.update_yaxes(
        type="log", fixedrange=True, title={"text": "relative error"}, tickvals=tens,
        ticktext=[style.share(ten) for ten in tens],
        range=[math.log10(record.low) - 0.35, math.log10(top) + 0.15],
    )  # fmt: skip
    return figure
