"""Loss and entropy along a text, smoothed, with the end of the context as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_DASHES = ("solid", "dash", "dot")
_COLORS = (0, 1, 2)


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
        return f"Loss along {record.n_tokens:,} tokens"
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
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"{title(record)}. Loss and entropy by position, means over {record.width} positions. {said}",
        stem="loss-by-position",
        table=table,
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: LengthCurves, narrow: bool) -> go.Figure:
    figure = go.Figure()
    middles = np.array(record.windows) + record.width / 2
    for panel, quantity in enumerate(("loss", "entropy")):
        for number, curve in enumerate(record.curves):
            figure.add_scatter(
                name=curve.name,
                x=middles.astype(np.float32),
                y=np.array(getattr(curve, quantity), dtype=np.float32),
                mode="lines",
                line={
                    "color": style.category(_COLORS[number % 3]),
                    "dash": _DASHES[number % 3],
                    "width": 2,
                },
                legendgroup=curve.name,
                showlegend=panel == 0,
                hovertemplate=f"{quantity} around %{{x:,.0f}}: %{{y:.3f}} nats<extra>{curve.name}</extra>",
                yaxis="y2" if panel else "y",
            )
    _axes(figure, record)
    figure.update_layout(
        template=style.TEMPLATE,
        height=520 if narrow else 560,
        showlegend=len(record.curves) > 1,
        legend={"y": 1.0},
        title={"text": title(record), "font": {"size": 13 if narrow else 16}},
        shapes=_marks(record),
        annotations=_labels(record),
        margin={"l": 8, "r": 8, "t": 84 if len(record.curves) > 1 else 60, "b": 8},
    )
    return figure


def _axes(figure: go.Figure, record: LengthCurves) -> None:
    top = 1.08 * max(record.top, record.blind if record.top > 0.6 * record.blind else record.top)
    shared: dict[str, Any] = {"range": [0, top], "fixedrange": True}
    figure.update_layout(
        xaxis={
            "range": [0, record.n_tokens],
            "title": {"text": "position in the text, tokens"},
            "tickformat": ",",
            "fixedrange": True,
            "anchor": "y2",
        },
        yaxis={"domain": [0.5, 1.0], "title": {"text": "loss, nats"}, **shared},
        yaxis2={"domain": [0.0, 0.42], "title": {"text": "entropy, nats"}, "anchor": "x", **shared},
    )


def _marks(record: LengthCurves) -> list[dict[str, Any]]:
    """The end of the context, what lies beyond it, and the blind guess."""
    marks: list[dict[str, Any]] = []
    if record.goes_beyond:
        ends = {"x0": record.n_ctx, "x1": record.n_tokens, "y0": 0, "y1": 1, "yref": "paper"}
        fill = {"fillcolor": style.LIGHT.surface, "line": {"width": 0}, "layer": "below"}
        marks.append({"type": "rect", **ends, **fill})
    if record.n_tokens >= record.n_ctx:
        line = {"color": style.LIGHT.ink, "width": 1.5, "dash": "dot"}
        marks.append(
            {
                "type": "line",
                "x0": record.n_ctx,
                "x1": record.n_ctx,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": line,
            }
        )
    for axis in ("y", "y2"):
        marks.append(
            {
                "type": "line",
                "x0": 0,
                "x1": record.n_tokens,
                "y0": record.blind,
                "y1": record.blind,
                "yref": axis,
                "line": {"color": style.LIGHT.line, "width": 1, "dash": "dash"},
            }
        )
    return marks


def _labels(record: LengthCurves) -> list[dict[str, Any]]:
    labels = []
    if record.n_tokens >= record.n_ctx:
        labels.append(
            {
                "x": record.n_ctx,
                "y": 1,
                "yref": "paper",
                "xanchor": "right",
                "yanchor": "bottom",
                "text": f"context ends, {record.n_ctx:,}",
                "font": {"color": style.LIGHT.ink, "size": 12},
            }
        )
    if record.top > 0.6 * record.blind:
        labels.append(
            {
                "x": 0,
                "y": record.blind,
                "xanchor": "left",
                "yanchor": "top",
                "text": f"a blind guess, {style.three_digits(record.blind)}",
                "font": {"size": 11, "color": style.LIGHT.muted},
            }
        )
    return labels
