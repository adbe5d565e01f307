"""Which layers' gradients vanish in fp16, at each scale of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import power, scale_axis
from viz.panels import Json, Look, box, drawn, figure, heat, ink, note

_ROOMY = 40  # rows up to which cells have gaps
_NUMBERS = 78  # pixels to the right of the map, for the chosen column's numbers


@dataclass(frozen=True)
class GradientLayers:
    """Share that vanishes by row (a layer's weights, or its output) and scale; `split` rows are weights."""

    names: tuple[str, ...]
    split: int
    scales: tuple[int, ...]
    shares: np.ndarray  # float32 [row, k]
    k: int
    top: float


def gradient_layers_record(
    weights: Sequence[str],
    stream: Sequence[str],
    scales: Sequence[int],
    shares: np.ndarray,
    k: int,
    top: float | None = None,
) -> GradientLayers:
    """Shares [row, k] -> what will be drawn; rows: weights, then stream. `top` is that of a run beside it."""
    highest = float(shares.max()) or 0.01
    return GradientLayers(
        (*weights, *stream),
        len(weights),
        tuple(scales),
        shares.astype(np.float32),
        k,
        highest if top is None else top,
    )


def layers_title(record: GradientLayers) -> str:
    """The finding: where most vanish at the chosen scale."""
    column = record.shares[:, record.scales.index(record.k)]
    row = int(column.argmax())
    if not column[row]:
        return f"With a scale of {power(record.k)} nothing vanishes anywhere"
    kind = "weights" if row < record.split else "stream"
    name = record.names[row] if record.names[row] == "logits" else f"{kind}, {record.names[row]}"
    return f"With a scale of {power(record.k)} most vanish at: {name} ({style.share(float(column[row]))})"


def gradient_layers_figure(record: GradientLayers) -> Drawn:
    """A heat map: a row a layer's weights or output, a column a scale; the chosen one outlined."""
    return drawn(
        _figure,
        record,
        alt="Share of the gradients that vanish in fp16, by layer and scale of the loss. "
        f"{layers_title(record)}.",
        stem="gradient-layers",
        table={
            "gradients of": [f"{_kind(record, i)}: {name}" for i, name in enumerate(record.names)],
            **{f"2^{k}": record.shares[:, i].tolist() for i, k in enumerate(record.scales)},
        },
    )


def _kind(record: GradientLayers, row: int) -> str:
    return "weights" if row < record.split else "stream"


def _figure(record: GradientLayers, look: Look) -> go.Figure:
    n = len(record.names)
    rows = [i + (i >= record.split) for i in range(n)]  # an empty one between weights and stream
    z = np.full((n + 1, len(record.scales)), np.nan)
    z[rows] = record.shares
    bar = {"title": {"text": "share that vanishes"}, "tickformat": ".0%", "nticks": 4, "xpad": _NUMBERS}
    shares = heat(
        "share",
        z,
        0,
        record.top,
        style.PROBABILITY_SCALE,
        x=list(record.scales),
        showscale=look.pick(True, False),
        colorbar=bar,
        ygap=1 if n < _ROOMY else 0,
        hoverongaps=False,
        hovertemplate="%{z:.3%} vanish at 2<sup>%{x}</sup><extra></extra>",
    )
    every = max(1, -(-n // 26))
    shown = [i for i in range(n) if (i - record.split * (i >= record.split)) % every == 0 or i == n - 1]
    return figure(
        [shares],
        title=look.title(layers_title(record), ":", phone_lines=2),
        height=max(300, min(640, 150 + 21 * (n + 1))),
        margin={"r": look.pick(8, _NUMBERS), "t": look.pick(68, 84)},
        shapes=_frames(record),
        annotations=[
            note("gradients of the weights", 0, -0.5, "left bottom", within="x", yshift=2),
            note("gradients of the stream", 0, record.split, "left middle", within="x"),
            *_numbers(record, rows),
        ],
        xaxis=scale_axis(record.scales, look),
        yaxis={
            "range": [n + 0.5, -0.5],
            "showgrid": False,
            "tickvals": [rows[i] for i in shown],
            "ticktext": [look.pick(record.names[i], _short(record.names[i])) for i in shown],
        },
    )


def _frames(record: GradientLayers) -> list[Json]:
    """Around weights and stream, all scales and the chosen one."""
    ends = ((record.scales[0], record.scales[-1], style.LIGHT.grid), (record.k, record.k, style.LIGHT.ink))
    heights = ((-0.5, record.split - 0.5), (record.split + 0.5, len(record.names) + 0.5))
    return [
        box((left - 0.5, right + 0.5), height, line={"color": color, "width": 1.5})
        for left, right, color in ends
        for height in heights
    ]


def _numbers(record: GradientLayers, rows: Sequence[int]) -> list[Json]:
    """The chosen column in figures, beside the map; its head above. None where rows are thin."""
    if len(rows) >= _ROOMY:
        return []
    column = record.shares[:, record.scales.index(record.k)]
    beside: Json = {"within": "x", "xshift": 6, "font": ink(11)}
    numbers = [
        note(style.share(float(v)), 1, row, "left middle", **beside)
        for row, v in zip(rows, column, strict=True)
    ]
    return [note(f"at {power(record.k)}", 1, -0.5, "left bottom", yshift=2, **beside), *numbers]


def _short(name: str) -> str:
    name = name.replace("after the embedding", "embedded").replace("embedding and head", "embedding")
    return name.replace("layer ", "L")
