"""Which layers' gradients vanish in fp16, at each scale of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import LossScaling
from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import power, scale_axis
from viz.panels import Json, Look, box, drawn, figure, heat, ink, note, share_ticks

_ROOMY = 40  # rows up to which cells have gaps
_NUMBERS = 78  # pixels to the right of the map, for the chosen column's numbers


@dataclass(frozen=True, eq=False)
class GradientLayers:
    """Share that vanishes by row (a layer's weights, or its output) and scale, and the chosen one, 2^k."""

    scaling: LossScaling
    k: int
    top: float  # of the colours

    @property
    def column(self) -> list[float]:
        """Shares at the chosen scale."""
        column: list[float] = self.scaling.layers[:, self.scaling.scales.index(self.k)].tolist()
        return column

    def kind(self, row: int) -> str:
        return "weights" if row < self.scaling.split else "stream"


def gradient_layers_record(scaling: LossScaling, k: int, *others: LossScaling) -> GradientLayers:
    """Shares -> what will be drawn; `others` share the colours."""
    top = max(float(one.layers.max()) for one in (scaling, *others))
    return GradientLayers(scaling, k, top or 0.01)


def layers_title(record: GradientLayers) -> str:
    """The finding: where most vanish at the chosen scale."""
    most = max(record.column)
    if not most:
        return f"With a scale of {power(record.k)} nothing vanishes anywhere"
    row = record.column.index(most)
    name = record.scaling.rows[row]
    place = name if name == "logits" else f"{record.kind(row)}, {name}"
    return f"With a scale of {power(record.k)} most vanish at: {place} ({style.share(most)})"


def gradient_layers_figure(record: GradientLayers) -> Drawn:
    """A heat map: a row a layer's weights or output, a column a scale; the chosen one outlined."""
    scaling = record.scaling
    return drawn(
        _figure,
        record,
        alt="Share of the gradients that vanish in fp16, by layer and scale of the loss. "
        f"{layers_title(record)}.",
        stem="gradient-layers",
        table={
            "gradients of": [f"{record.kind(row)}: {name}" for row, name in enumerate(scaling.rows)],
            **{f"2^{k}": scaling.layers[:, i].tolist() for i, k in enumerate(scaling.scales)},
        },
    )


def _figure(record: GradientLayers, look: Look) -> go.Figure:
    names, split, scales = record.scaling.rows, record.scaling.split, record.scaling.scales
    n = len(names)
    rows = [i + (i >= split) for i in range(n)]  # an empty one between weights and stream
    z = np.insert(record.scaling.layers, split, np.nan, axis=0)
    bar = {"title": {"text": "share that vanishes"}, **share_ticks(0, 1, 4), "xpad": _NUMBERS}
    shares = heat(
        "share",
        z,
        0,
        record.top,
        style.PROBABILITY_SCALE,
        x=list(scales),
        showscale=look.pick(True, False),
        colorbar=bar,
        ygap=1 if n < _ROOMY else 0,
        hoverongaps=False,
        hovertemplate="%{z:.3%} vanish at 2<sup>%{x}</sup><extra></extra>",
    )
    every = max(1, -(-n // 26))
    shown = [i for i in range(n) if (i - split * (i >= split)) % every == 0 or i == n - 1]
    return figure(
        [shares],
        title=look.title(layers_title(record), ":", phone_lines=2),
        height=max(300, min(640, 150 + 21 * (n + 1))),
        margin={"r": look.pick(8, _NUMBERS), "t": look.pick(68, 84)},
        shapes=_frames(record),
        annotations=[
            note("gradients of the weights", 0, -0.5, "left bottom", within="x", yshift=2),
            note("gradients of the stream", 0, split, "left middle", within="x"),
            *_numbers(record, rows),
        ],
        xaxis=scale_axis(scales, look),
        yaxis={
            "range": [n + 0.5, -0.5],
            "showgrid": False,
            "tickvals": [rows[i] for i in shown],
            "ticktext": [look.pick(names[i], _short(names[i])) for i in shown],
        },
    )


def _frames(record: GradientLayers) -> list[Json]:
    """Around weights and stream, all scales and the chosen one."""
    scales, split, n = record.scaling.scales, record.scaling.split, len(record.scaling.rows)
    ends = ((scales[0], scales[-1], style.LIGHT.grid), (record.k, record.k, style.LIGHT.ink))
    return [
        box((left - 0.5, right + 0.5), height, line={"color": color, "width": 1.5})
        for left, right, color in ends
        for height in ((-0.5, split - 0.5), (split + 0.5, n + 0.5))
    ]


def _numbers(record: GradientLayers, rows: Sequence[int]) -> list[Json]:
    """The chosen column in figures, beside the map; its head above. None where rows are thin."""
    if len(rows) >= _ROOMY:
        return []
    beside: Json = {"within": "x", "xshift": 6, "font": ink(11)}
    words = zip(rows, map(style.share, record.column), strict=True)
    numbers = [note(share, 1, row, "left middle", **beside) for row, share in words]
    return [note(f"at {power(record.k)}", 1, -0.5, "left bottom", yshift=2, **beside), *numbers]


def _short(name: str) -> str:
    name = name.replace("after the embedding", "embedded").replace("embedding and head", "embedding")
    return name.replace("layer ", "L")
