"""Sizes of gradients against what fp16 can hold, and how a scale of the loss moves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import LossScaling
from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, box, drawn, figure, ink, line, note, scatter, share_ticks

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


def scale_axis(scales: Sequence[int], look: Look) -> Json:
    """An x axis of scales 2^k, named at every fourth k, on a phone at every eighth."""
    ticks = [k for k in scales if k % look.pick(4, 8) == 0]
    names = [f"2<sup>{k}</sup>" if k else "1" for k in ticks]
    title = {"text": "scale of the loss"}
    return {"title": title, "showgrid": False, "tickvals": ticks, "ticktext": names}


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


def findings_of(scaling: LossScaling, k: int) -> tuple[Finding, ...]:
    """What the scale 2^k does, by kind."""
    before, at = scaling.scales.index(0), scaling.scales.index(k)
    rows = zip(scaling.kinds, scaling.vanishing, scaling.infinite, strict=True)
    return tuple(
        Finding(kind, float(gone[before]), float(gone[at]), float(over[at])) for kind, gone, over in rows
    )


@dataclass(frozen=True, eq=False)
class GradientHistogram:
    """Shares of each kind by power of two, before scaling; the batch and `k` move them.

    lowest: power of two of the first binade. low, high, top: the axes.
    """

    scaling: LossScaling
    k: int
    shares: tuple[tuple[float, ...], ...]  # [kind][binade]
    lowest: int
    low: int
    high: int
    top: float

    @property
    def start(self) -> int:
        """Power of two of the first binade without a scale."""
        return self.lowest - self.scaling.batch


def gradient_histogram_record(scaling: LossScaling, k: int, *others: LossScaling) -> GradientHistogram:
    """Counts -> what will be drawn; `others` share the axes. Zeros are not counted."""
    shares = [count / max(1, int(count.sum())) for one in (scaling, *others) for count in one.counts]
    used = np.flatnonzero(np.max(shares, axis=0) >= _LEAST)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 1)
    start = scaling.lowest - scaling.batch
    return GradientHistogram(
        scaling,
        k,
        tuple(tuple(map(float, row[first : last + 1])) for row in shares[: len(scaling.kinds)]),
        scaling.lowest + first,
        min(start + first, ZERO - 4),
        max(start + last + 1 + 24, INFINITE + 4),
        float(np.max(shares)) or 1.0,
    )


def gradient_histogram_figure(record: GradientHistogram) -> Drawn:
    """An outline for each kind of gradients over fp16's zones; dotted where they stood without a scale."""
    findings, first = findings_of(record.scaling, record.k), record.start + record.k
    each = "; ".join(
        f"{found.name}: {style.share(found.vanishing)} become 0, {style.share(found.infinite)} infinite"
        for found in findings
    )
    return drawn(
        _figure,
        record,
        alt=f"Sizes of gradients by power of two over fp16's zones, with a scale of {power(record.k)}. "
        f"{finding_words(findings, record.k)}. {each}.",
        stem="gradient-sizes",
        table={
            "scaled size from, 2^": list(range(first, first + len(record.shares[0]))),
            **{
                f"{kind}, share": list(row)
                for kind, row in zip(record.scaling.kinds, record.shares, strict=True)
            },
        },
        tablet=True,
    )


def _figure(record: GradientHistogram, look: Look) -> go.Figure:
    kinds, findings = range(len(record.shares)), findings_of(record.scaling, record.k)
    before = [_outline(record, kind, None) for kind in kinds if record.k]
    now = [_outline(record, kind, record.k) for kind in kinds]
    ticks = [tick for tick in range(-160, 80, look.pick(8, 16, 16)) if record.low <= tick <= record.high]
    edges = [line(x=edge, color=style.LIGHT.line) for edge in (ZERO, NORMAL, INFINITE)]
    return figure(
        [*before, *now],
        title=look.title(finding_words(findings, record.k), ";", ":", phone_lines=2),
        height=look.pick(400, 360),
        shapes=[*_bands(record), *edges],
        annotations=[*_zone_names(record, look), *look.pick(_moved(record), [])],
        legend={"y": -0.24, "yanchor": "top"},
        margin={"t": look.pick(84, 92)},
        xaxis={
            "title": {"text": "size of the gradient times the scale"},
            "range": [record.low, record.high],
            "showgrid": False,
            "tickvals": ticks,
            "ticktext": [f"2<sup>{tick}</sup>".replace("-", "−") if tick else "1" for tick in ticks],
        },
        yaxis={
            "title": {"text": "share in each power of two"},
            "range": [0, record.top * 1.12],
            **share_ticks(0, record.top * 1.12),
        },
    )


def _outline(record: GradientHistogram, kind: int, k: int | None) -> Json:
    """Where a kind stands with a scale of 2^k; without one (None) where it stood."""
    color, row, start = style.category(COLORS[kind]), record.shares[kind], record.start + (k or 0)
    name = f"{record.scaling.kinds[kind]}{', without a scale' if k is None else ' gradients'}"
    was = {"color": style.faded(color, 0.45), "width": 1, "dash": "dot"}
    now = {"color": color, "width": 2.5, "dash": DASHES[kind]}
    return scatter(
        name,
        [start, *range(start, start + len(row) + 1)],
        [0.0, *row, 0.0],
        "lines",
        line={"shape": "hv", **(was if k is None else now)},
        fill=None if k is None else "tozeroy",
        fillcolor=style.faded(color, 0.1),
        showlegend=k is not None,
        hovertemplate=f"{style.label(name)}: %{{y:.3%}} from 2<sup>%{{x}}</sup><extra></extra>",
    )


def _bands(record: GradientHistogram) -> list[Json]:
    """Behind the outlines: what fp16 makes of a number of that size."""
    bands = (
        (record.low, ZERO, style.LIGHT.cut),
        (ZERO, NORMAL, style.LIGHT.masked),
        (INFINITE, record.high, style.LIGHT.cut),
    )
    return [
        box((left, right), (0, 1), within="y", layer="below", fillcolor=color, line={"width": 0})
        for left, right, color in bands
    ]


def _zone_names(record: GradientHistogram, look: Look) -> list[Json]:
    edges = (record.low, ZERO, NORMAL, INFINITE, record.high)
    names = ("becomes 0", "subnormal:<br>digits lost", look.pick("fp16 normal", "normal"), "∞")
    middles = [(left + right) / 2 for left, right in pairwise(edges)]
    return [
        note(name, middle, 1, within="y", yanchor="bottom", font=ink(look.pick(12, 11)))
        for name, middle in zip(names, middles, strict=True)
    ]


def _moved(record: GradientHistogram) -> list[Json]:
    """An arrow of k binades, from where the highest outline stood to where it stands."""
    if not record.k:
        return []
    at = record.start + int(np.argmax(max(record.shares, key=max))) + 0.5
    y = record.top * 1.07
    tail: Json = {"ax": at, "ay": y, "axref": "x", "ayref": "y", "xanchor": "right", "font": ink(13)}
    arrow: Json = {"showarrow": True, "arrowhead": 2, "arrowwidth": 1.5, "arrowcolor": style.LIGHT.ink}
    return [note(f"× {power(record.k)} ", at + record.k, y, **tail, **arrow)]
