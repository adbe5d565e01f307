"""Sizes of gradients against what fp16 can hold, and how a scale of the loss moves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

DASHES = ("solid", "dash", "dot")
COLORS = (0, 5, 2)  # categories of the kinds of gradients
SYMBOLS = ("circle", "square", "diamond")
ZERO, NORMAL, INFINITE = -25, -14, 16  # log2: where fp16's zero ends, its normal numbers begin and end
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LEAST = 5e-4  # of a kind: binades that hold less are left out of the axis


def power(exponent: int) -> str:
    """2 to the power of a whole number, for words.

    >>> power(12), power(-25), power(0)
    ('2¹²', '2⁻²⁵', '1')
    """
    return f"2{str(exponent).translate(_SUPERSCRIPTS)}" if exponent else "1"


@dataclass(frozen=True)
class Finding:
    """What fp16 does to one kind of gradients: shares of those that are not 0 in fp32."""

    name: str
    unscaled: float  # vanish without a scale
    vanishing: float  # vanish at the chosen scale
    infinite: float  # become infinite at the chosen scale


def finding_words(findings: Sequence[Finding], k: int) -> str:
    """The finding in one sentence: what vanishes, what the chosen scale saves or spoils."""
    worst = max(findings, key=lambda found: found.unscaled)
    spoilt = max(findings, key=lambda found: found.infinite)
    if spoilt.infinite:
        return (
            f"A scale of {power(k)} is too much: {style.share(spoilt.infinite)} of the {spoilt.name} "
            "gradients become infinite"
        )
    if not worst.unscaled:
        return "None of these gradients vanishes in fp16"
    unscaled, scaled = style.shares(worst.unscaled, worst.vanishing)
    begins = f"{unscaled} of the {worst.name} gradients vanish in fp16"
    if not k:
        return begins
    left = f"{scaled} do" if worst.vanishing else "none does"
    return f"{begins}; with a scale of {power(k)} {left}"


@dataclass(frozen=True)
class GradientHistogram:
    """Shares of each kind by power of two, before scaling; where `start` and `k` move them.

    start: binades to the right without a scale (negative: a larger batch); k: those of the scale, on top.
    low, high, top: the axes.
    """

    names: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]  # [kind][binade]
    lowest: int  # power of two of the first binade
    start: int
    k: int
    findings: tuple[Finding, ...]
    low: int
    high: int
    top: float


def gradient_histogram_record(
    names: Sequence[str],
    counts: Sequence[np.ndarray],  # of each kind, int64 [exponent]
    lowest: int,
    start: int,
    k: int,
    findings: Sequence[Finding],
    *others: Sequence[np.ndarray],
) -> GradientHistogram:
    """Counts -> what will be drawn; `others` are counts that share the axes. Zeros are not counted."""
    shares = [count / max(1, int(count.sum())) for count in counts]
    every = [*shares, *(count / max(1, int(count.sum())) for other in others for count in other)]
    used = np.flatnonzero(np.max(every, axis=0) >= _LEAST)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 1)
    return GradientHistogram(
        tuple(names),
        tuple(tuple(map(float, share[first : last + 1])) for share in shares),
        lowest + first,
        start,
        k,
        tuple(findings),
        min(lowest + first + start, ZERO - 4),
        max(lowest + last + 1 + start + 24, INFINITE + 4),
        float(np.max(every)) or 1.0,
    )


def gradient_histogram_figure(record: GradientHistogram) -> Drawn:
    """An outline for each kind of gradients over fp16's zones; dotted where they stood without a scale."""
    exponents = range(record.lowest, record.lowest + len(record.shares[0]))
    each = "; ".join(
        f"{found.name}: {style.share(found.vanishing)} become 0, {style.share(found.infinite)} infinite"
        for found in record.findings
    )
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Sizes of gradients by power of two over fp16's zones, with a scale of {power(record.k)}. "
        f"{finding_words(record.findings, record.k)}. {each}.",
        stem="gradient-sizes",
        table={
            "scaled size from, 2^": [exponent + record.start + record.k for exponent in exponents],
            **{f"{name}, share": list(row) for name, row in zip(record.names, record.shares, strict=True)},
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: GradientHistogram, narrow: bool) -> go.Figure:
    figure = go.Figure()
    if record.k:
        for kind in range(len(record.names)):
            _outline(figure, record, kind, record.start, before=True)
    for kind in range(len(record.names)):
        _outline(figure, record, kind, record.start + record.k, before=False)
    title = finding_words(record.findings, record.k)
    shapes, notes = _zones(record, narrow)
    if record.k and not narrow:
        notes.append(_moved(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": _broken(title), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=360 if narrow else 400,
        shapes=shapes,
        annotations=notes,
        legend={"y": -0.24, "yanchor": "top"},
        margin={"l": 8, "r": 8, "t": 92 if narrow else 84, "b": 8},
    )
    step = 16 if narrow else 8
    ticks = [tick for tick in range(-160, 80, step) if record.low <= tick <= record.high]
    figure.update_xaxes(
        title={"text": "size of the gradient times the scale"},
        range=[record.low, record.high],
        fixedrange=True,
        showgrid=False,
        tickvals=ticks,
        ticktext=[f"2<sup>{tick}</sup>".replace("-", "−") if tick else "1" for tick in ticks],
    )
    figure.update_yaxes(
        title={"text": "share in each power of two"},
        range=[0, record.top * 1.12],
        fixedrange=True,
        tickformat=".0%",
        nticks=5,
    )
    return figure


def _broken(title: str) -> str:
    return title.replace("; ", ";<br>").replace(": ", ":<br>")


def _outline(figure: go.Figure, record: GradientHistogram, kind: int, shift: int, before: bool) -> None:
    color, row = style.category(COLORS[kind]), record.shares[kind]
    x = [record.lowest + shift + i for i in range(len(row) + 1)]
    name = f"{record.names[kind]}, without a scale" if before else f"{record.names[kind]} gradients"
    figure.add_scatter(
        name=name,
        x=[x[0], *x],
        y=[0.0, *row, 0.0],
        mode="lines",
        line={
            "shape": "hv",
            "color": style.faded(color, 0.45) if before else color,
            "width": 1 if before else 2.5,
            "dash": "dot" if before else DASHES[kind],
        },
        fill=None if before else "tozeroy",
        fillcolor=style.faded(color, 0.1),
        showlegend=not before,
        hovertemplate=f"{style.label(name)}: %{{y:.3%}} from 2<sup>%{{x}}</sup><extra></extra>",
    )


def _zones(record: GradientHistogram, narrow: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Bands behind the outlines: what fp16 makes of a number of that size."""
    zones = (
        (record.low, ZERO, "becomes 0", style.LIGHT.cut),
        (ZERO, NORMAL, "subnormal:<br>digits lost", style.LIGHT.masked),
        (NORMAL, INFINITE, "normal", None),
        (INFINITE, record.high, "∞", style.LIGHT.cut),
    )
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for left, right, words, color in zones:
        if color:
            shapes.append({
                "type": "rect", "layer": "below", "x0": left, "x1": right, "y0": 0, "y1": 1, "yref": "paper",
                "fillcolor": color, "line": {"width": 0},
            })  # fmt: skip
        said = "fp16 " + words if color is None and not narrow else words
        notes.append({
            "x": (left + right) / 2, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
            "text": said, "font": {"size": 11 if narrow else 12, "color": style.LIGHT.ink},
        })  # fmt: skip
    for edge in (ZERO, NORMAL, INFINITE):
        shapes.append({"type": "line", "x0": edge, "x1": edge, "y0": 0, "y1": 1, "yref": "paper",
                       "line": {"color": style.LIGHT.line, "width": 1}})  # fmt: skip
    return shapes, notes


def _moved(record: GradientHistogram) -> dict[str, Any]:
    """An arrow of k binades, from where the highest outline stood to where it stands."""
    kind = max(range(len(record.names)), key=lambda i: max(record.shares[i]))
    at = record.lowest + int(np.argmax(record.shares[kind])) + 0.5 + record.start
    y = record.top * 1.07
    return {
        "x": at + record.k, "ax": at, "y": y, "ay": y, "axref": "x", "ayref": "y",
        "showarrow": True, "arrowhead": 2, "arrowwidth": 1.5, "arrowcolor": style.LIGHT.ink,
        "text": f"× {power(record.k)} ", "xanchor": "right", "font": {"size": 13, "color": style.LIGHT.ink},
    }  # fmt: skip
