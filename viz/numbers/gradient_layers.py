"""Which layers' gradients vanish in fp16, at each scale of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import power

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
    return Drawn(
        figure=_figure(record, narrow=False),
        alt="Share of the gradients that vanish in fp16, by layer and scale of the loss. "
        f"{layers_title(record)}.",
        stem="gradient-layers",
        table={
            "gradients of": [f"{_kind(record, i)}: {name}" for i, name in enumerate(record.names)],
            **{f"2^{k}": record.shares[:, i].tolist() for i, k in enumerate(record.scales)},
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _kind(record: GradientLayers, row: int) -> str:
    return "weights" if row < record.split else "stream"


def _figure(record: GradientLayers, narrow: bool) -> go.Figure:
    n, gap = len(record.names), 1  # an empty row between weights and stream
    places = [i if i < record.split else i + gap for i in range(n)]
    z = np.full((n + gap, len(record.scales)), np.nan, dtype=np.float32)
    z[places] = record.shares
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=list(record.scales),
            y=list(range(n + gap)),
            zmin=0,
            zmax=record.top,
            colorscale=[list(stop) for stop in style.PROBABILITY_SCALE],
            showscale=not narrow,
            colorbar={
                "title": {"text": "share that vanishes"},
                "tickformat": ".0%",
                "nticks": 4,
                "xpad": _NUMBERS,
            },
            xgap=1,
            ygap=1 if n < _ROOMY else 0,
            hoverongaps=False,
            hovertemplate="%{z:.3%} vanish at 2<sup>%{x}</sup><extra></extra>",
        )
    )
    title = layers_title(record)
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(": ", ":<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=max(300, min(640, 150 + 21 * (n + gap))),
        margin={"l": 8, "r": _NUMBERS if narrow else 8, "t": 84 if narrow else 68, "b": 8},
        shapes=[
            {"type": "rect", "x0": left - 0.5, "x1": right + 0.5, "y0": top - 0.5, "y1": end + 0.5,
             "line": {"color": color, "width": 1.5}}
            for left, right, color in (
                (record.scales[0], record.scales[-1], style.LIGHT.grid),
                (record.k, record.k, style.LIGHT.ink),
            )
            for top, end in ((0, record.split - 1), (record.split + gap, n + gap - 1))
        ],
        annotations=[
            {"x": 0, "xref": "paper", "xanchor": "left", "y": row, "yanchor": "bottom", "showarrow": False,
             "yshift": 6, "text": words, "font": {"size": 12, "color": style.LIGHT.muted}}
            for row, words in ((-0.5, "gradients of the weights"), (record.split, "gradients of the stream"))
        ],
    )  # fmt: skip
    for note in figure.layout.annotations[1:]:
        note.update(yanchor="middle", yshift=0)
    figure.layout.annotations[0].update(yshift=2)
    figure.layout.annotations += tuple(_numbers(record, places))
    ticks = [k for k in record.scales if k % (8 if narrow else 4) == 0]
    figure.update_xaxes(
        title={"text": "scale of the loss"}, fixedrange=True, showgrid=False, tickvals=ticks,
        ticktext=[f"2<sup>{k}</sup>" if k else "1" for k in ticks],
    )  # fmt: skip
    every = max(1, -(-n // 26))
    shown = [
        i for i in range(n) if (i - (record.split if i >= record.split else 0)) % every == 0 or i == n - 1
    ]
    figure.update_yaxes(
        range=[n + gap - 0.5, -0.5], fixedrange=True, showgrid=False, tickvals=[places[i] for i in shown],
        ticktext=[_short(record.names[i], narrow) for i in shown],
    )  # fmt: skip
    return figure


def _numbers(record: GradientLayers, places: Sequence[int]) -> list[go.layout.Annotation]:
    """The chosen column in figures, beside the map; its head above."""
    column = record.shares[:, record.scales.index(record.k)]
    words = [(-0.5, f"at {power(record.k)}", "bottom")]
    if len(places) < _ROOMY:
        words += [(y, style.share(float(v)), "middle") for y, v in zip(places, column, strict=True)]
    else:
        words = []
    return [
        go.layout.Annotation(
            x=1, xref="paper", xanchor="left", xshift=6, y=y, yanchor=anchor, text=text, showarrow=False,
            yshift=2 if anchor == "bottom" else 0, font={"size": 11, "color": style.LIGHT.ink},
        )
        for y, text, anchor in words
    ]  # fmt: skip


def _short(name: str, narrow: bool) -> str:
    if not narrow:
        return name
    return name.replace("after the embedding", "embedded").replace("after layer ", "after L").replace(
        "layer ", "L"
    ).replace("embedding and head", "embedding")  # fmt: skip
