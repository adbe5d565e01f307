"""Loss and entropy along a text, smoothed, with the end of the context as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, box, drawn, figure, ink, line, note, scatter

_DASHES = ("solid", "dash", "dot")  # of at most three curves


@dataclass(frozen=True)
class LengthCurve:
    """One reading: means over windows side by side."""

    name: str
    loss: tuple[float, ...]  # nats, [window]
    entropy: tuple[float, ...]
    inside: float | None  # mean loss of the last quarter of the context, nats
    beyond: float | None  # mean loss beyond the context; None where nothing was read there


@dataclass(frozen=True)
class LengthCurves:
    """What will be drawn."""

    windows: tuple[int, ...]  # first position of each
    width: int  # positions of a window
    n_tokens: int
    n_ctx: int
    blind: float  # nats of a blind guess among all tokens, ln d_vocab
    curves: tuple[LengthCurve, ...]
    top: float  # end of the axes, nats, shared by compared runs

    @property
    def goes_beyond(self) -> bool:
        return self.n_tokens > self.n_ctx

    @property
    def shows_blind(self) -> bool:
        """Whether a curve comes near the blind guess."""
        return self.top > 0.6 * self.blind


def width_of(n: int) -> int:
    """Positions to a window: 64 for a long text, fewer for a short one.

    >>> width_of(10_240), width_of(256), width_of(10)
    (64, 8, 2)
    """
    return 64 if n >= 1024 else max(2, n // 32)


def length_record(
    readings: Sequence[tuple[str, np.ndarray, np.ndarray]],  # name, loss [pos], entropy [pos]; NaN at 0
    n_ctx: int,
    d_vocab: int,
) -> LengthCurves:
    """Values -> what will be drawn.

    Raises:
        ValueError: no reading, or readings of different lengths.
    """
    lengths = {len(loss) for _, loss, _ in readings}
    if len(lengths) != 1:
        raise ValueError(f"readings of {sorted(lengths)} tokens")
    n = lengths.pop()
    width = width_of(n)
    windows = tuple(first for first in range(0, n, width) if first == 0 or n - first >= width / 2)
    curves = tuple(_curve(name, loss, entropy, windows, width, n_ctx) for name, loss, entropy in readings)
    top = max(max(*curve.loss, *curve.entropy) for curve in curves)
    return LengthCurves(windows, width, n, n_ctx, math.log(d_vocab), curves, top)


def _curve(
    name: str, loss: np.ndarray, entropy: np.ndarray, windows: tuple[int, ...], width: int, n_ctx: int
) -> LengthCurve:
    def means(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(np.nanmean(values[first : first + width])) for first in windows)

    inside = loss[3 * n_ctx // 4 : n_ctx] if len(loss) >= n_ctx else loss[:0]
    beyond = loss[n_ctx:]
    return LengthCurve(
        name,
        means(loss),
        means(entropy),
        float(np.nanmean(inside)) if len(inside) else None,
        float(np.nanmean(beyond)) if len(beyond) else None,
    )


def title(record: LengthCurves) -> str:
    """The finding of the first curve."""
    first = record.curves[0]
    if first.inside is None or first.beyond is None:
        return f"Loss along {counted(record.n_tokens, 'token')}"
    change = "rises" if first.beyond > first.inside else "falls"
    return (
        f"Beyond {record.n_ctx:,} tokens the loss {change} from {style.three_digits(first.inside)} to "
        f"{style.three_digits(first.beyond, 'nats')}"
    )


def curve_sentence(record: LengthCurves, curve: LengthCurve) -> str:
    """One reading in plain text."""
    if curve.inside is None:
        half = len(curve.loss) // 2
        start, end = float(np.mean(curve.loss[: half or 1])), float(np.mean(curve.loss[half:]))
        return (
            f"{curve.name}: {style.three_digits(start, 'nats')} a token in the first half of the text, "
            f"{style.three_digits(end)} in the second."
        )
    said = f"{curve.name}: {style.three_digits(curve.inside, 'nats')} in the last quarter of the context"
    return f"{said}." if curve.beyond is None else f"{said}, {style.three_digits(curve.beyond)} beyond it."


def length_figure(record: LengthCurves) -> Drawn:
    """Loss above, entropy below, over the position."""
    said = " ".join(curve_sentence(record, curve) for curve in record.curves)
    table: dict[str, Sequence[object]] = {"first position": list(record.windows)}
    for curve in record.curves:
        table[f"loss, {curve.name}, nats"] = list(curve.loss)
        table[f"entropy, {curve.name}, nats"] = list(curve.entropy)
    return drawn(
        _figure,
        record,
        alt=f"{title(record)}. Loss and entropy by position, means over {record.width} positions. {said}",
        stem="loss-by-position",
        table=table,
    )


def _figure(record: LengthCurves, look: Look) -> go.Figure:
    several = len(record.curves) > 1
    top = 1.08 * max(record.top, record.blind if record.shows_blind else record.top)
    return figure(
        [
            _curve_line(record, quantity, number, axis)
            for quantity, axis in (("loss", "y"), ("entropy", "y2"))
            for number in range(len(record.curves))
        ],
        xaxis={
            "range": [0, record.n_tokens],
            "title": {"text": "position in the text, tokens"},
            "tickformat": ",",
            "anchor": "y2",
        },
        yaxis={"domain": [0.5, 1], "title": {"text": "loss, nats"}, "range": [0, top]},
        yaxis2={"domain": [0, 0.42], "title": {"text": "entropy, nats"}, "range": [0, top], "anchor": "x"},
        title=look.title(title(record)),
        height=look.pick(560, 520),
        showlegend=several,
        shapes=_marks(record),
        annotations=_labels(record),
        margin={"t": 84 if several else 60},
    )


def _curve_line(record: LengthCurves, quantity: str, number: int, axis: str) -> Json:
    curve, middles = record.curves[number], np.array(record.windows) + record.width / 2
    return scatter(
        curve.name,
        middles.astype(np.float32),
        np.array(getattr(curve, quantity), dtype=np.float32),
        "lines",
        line={"color": style.category(number), "dash": _DASHES[number]},
        legendgroup=curve.name,
        showlegend=quantity == "loss",
        hovertemplate=f"{quantity} around %{{x:,.0f}}: %{{y:.3f}} nats<extra>{curve.name}</extra>",
        yaxis=axis,
    )


def _marks(record: LengthCurves) -> list[Json]:
    """The end of the context, what lies beyond it, and the blind guess."""
    marks: list[Json] = []
    if record.goes_beyond:
        fill: Json = {
            "fillcolor": style.LIGHT.surface,
            "line": {"width": 0},
            "layer": "below",
            "yref": "paper",
        }
        marks.append(box((record.n_ctx, record.n_tokens), (0, 1), **fill))
    if record.n_tokens >= record.n_ctx:
        marks.append({**line(x=record.n_ctx, width=1.5, dash="dot"), "yref": "paper"})
    blind = line(y=record.blind, color=style.LIGHT.line, dash="dash")
    return [*marks, blind, {**blind, "yref": "y2"}]


def _labels(record: LengthCurves) -> list[Json]:
    labels = []
    if record.n_tokens >= record.n_ctx:
        labels.append(
            note(
                f"context ends, {record.n_ctx:,}", record.n_ctx, 1, "right bottom", yref="paper", font=ink(12)
            )
        )
    if record.shows_blind:
        words = f"a blind guess, {style.three_digits(record.blind)}"
        labels.append(note(words, 0, record.blind, "left top", font={"size": 11}))
    return labels
