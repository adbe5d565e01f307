"""All heads of all layers at a glance: one cell a head, coloured by a measure of how it reads this prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.heads import MEASURES, Measure, strongest


@dataclass(frozen=True)
class HeadGrid:
    """What the overview shows: one number a head, None where this prompt cannot tell."""

    measure: Measure
    values: tuple[tuple[float | None, ...], ...]  # [layer][head]
    layer: int
    head: int
    top: float  # end of the colour scale, which starts at 0
    strongest: tuple[int, int] | None  # (layer, head) of the largest value
    off: tuple[tuple[int, int], ...] = ()  # heads that are switched off: they still read, to no effect


def head_grid_record(
    values: np.ndarray,  # [layer, head]; NaN where the prompt cannot tell
    measure: str,
    *,
    layer: int,
    head: int,
    top: float,  # end of the scale: see `heads.shared_top`
    off: Sequence[tuple[int, int]] = (),  # (layer, head) of every head that is switched off
) -> HeadGrid:
    """Values of one measure -> what will be drawn."""
    chosen = MEASURES[measure]
    plain = tuple(tuple(float(v) if np.isfinite(v) else None for v in line) for line in values)
    return HeadGrid(chosen, plain, layer, head, top, strongest(values), tuple(off))


def head_grid_figure(record: HeadGrid) -> Drawn:
    """Layers from top to bottom, heads from left to right, the chosen head outlined."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    values = np.array(
        [[np.nan if v is None else v for v in line] for line in record.values], dtype=np.float32
    )
    figure = go.Figure()
    figure.add_heatmap(
        name="heads",
        z=values,
        zmin=0,
        zmax=record.top,
        colorscale=style.PROBABILITY_SCALE,
        hoverongaps=False,
        text=[[_hover(record, layer, head) for head in range(n_heads)] for layer in range(n_layers)],
        hovertemplate="%{text}<extra></extra>",
        colorbar={
            "title": {"text": record.measure.axis, "side": "top"},
            "orientation": "h",
            "thickness": 8,
            "y": 0,
            "yanchor": "top",
            "ypad": 24,
            "x": 0.5,
            "len": 0.86,
            **bar_ticks(record.top, record.measure.unit),
        },
    )
    figure.update_xaxes(
        range=[-0.5, n_heads - 0.5], side="top", showgrid=False, title={"text": "head"}, **_steps(n_heads, 16)
    )
    figure.update_yaxes(
        range=[n_layers - 0.5, -0.5], showgrid=False, title={"text": "layer"}, **_steps(n_layers, 32)
    )
    for layer, head in record.off:
        _cross_out(figure, layer, head)
    figure.add_shape(
        type="rect",
        x0=record.head - 0.5,
        x1=record.head + 0.5,
        y0=record.layer - 0.5,
        y1=record.layer + 0.5,
        line={"color": style.LIGHT.ink, "width": 2.5},
    )
    figure.update_layout(
        template=style.TEMPLATE,
        plot_bgcolor=style.MASKED,
        height=560,
        margin={"l": 8, "r": 24, "t": 62, "b": 8},  # on the right: half of the colour bar's last name
        title={"text": title(record), "pad": {"b": 10}},
    )
    if record.strongest is None:
        _say_nothing(figure, record)
    return Drawn(figure, alt(record), "attention-heads", table(record), narrow_layout={"height": 480})


def _steps(count: int, most: int) -> dict[str, object]:
    return {"tick0": 0, "dtick": -(-count // most)}


def bar_ticks(top: float, unit: str) -> dict[str, object]:
    """Names along a colour bar from 0 to `top`: both ends and the middle, shares in per cent.

    >>> bar_ticks(1.0, "share")["ticktext"]
    ['0', '50\\xa0%', '100\\xa0%']
    """
    values = [0.0, top / 2, top]
    names = [f"{100 * v:.3g}\xa0%" if unit == "share" else style.three_digits(v) for v in values[1:]]
    shown = {"tickvals": values, "ticktext": ["0", *names]}
    return {"tickmode": "array", **shown, "ticklabeloverflow": "allow"}  # else plotly drops the last name


def _cross_out(figure: go.Figure, layer: int, head: int) -> None:
    """Grey over a head that is switched off, with a cross: never by colour alone."""
    left, right, top, bottom = head - 0.46, head + 0.46, layer - 0.46, layer + 0.46
    figure.add_shape(
        type="rect",
        x0=left,
        x1=right,
        y0=top,
        y1=bottom,
        fillcolor=style.LIGHT.cut,
        line={"color": style.LIGHT.cut_line, "width": 1},
    )
    figure.add_shape(
        type="path",
        path=f"M {left} {top} L {right} {bottom} M {left} {bottom} L {right} {top}",
        line={"color": style.LIGHT.cut_line, "width": 2},
    )


def _hover(record: HeadGrid, layer: int, head: int) -> str:
    value = record.values[layer][head]
    if value is None:
        return ""
    off = " (off)" if (layer, head) in record.off else ""
    return f"L{layer} H{head}{off}: {record.measure.written(value)}<br>{record.measure.axis}"


def _say_nothing(figure: go.Figure, record: HeadGrid) -> None:
    figure.add_annotation(
        text=no_values(record).replace(", so", ",<br>so"),
        x=0.5,
        y=0.75,
        xref="paper",
        yref="paper",
        font={"color": style.LIGHT.ink},
    )


def no_values(record: HeadGrid) -> str:
    """Why no head has a value."""
    if record.measure.key in ("induction", "duplicate"):
        return "No token of this prompt comes twice, so there is nothing to find again."
    return "The prompt is too short to tell, so no head has a value."


def title(record: HeadGrid) -> str:
    """The finding: the head that does most of what is measured."""
    best = record.strongest
    if best is None:
        return record.measure.name
    layer, head = best
    value = record.values[layer][head]
    assert value is not None
    return f"Most: <b>L{layer} H{head}</b>, {record.measure.written(value)}"


def alt(record: HeadGrid) -> str:
    """The overview in words."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    said = f"{n_layers} layers by {n_heads} heads, coloured by {record.measure.axis}."
    if record.off:
        said += f" Switched off: {', '.join(f'L{layer} H{head}' for layer, head in record.off)}."
    best = record.strongest
    if best is None:
        return f"{said} {no_values(record)}"
    value, here = record.values[best[0]][best[1]], record.values[record.layer][record.head]
    assert value is not None
    said += f" Largest in layer {best[0]}, head {best[1]}: {record.measure.written(value)}."
    chosen = "no value" if here is None else record.measure.written(here)
    return f"{said} Chosen is layer {record.layer}, head {record.head}: {chosen}."


def table(record: HeadGrid) -> dict[str, list[object]]:
    """One row a head."""
    rows = [(layer, head, v) for layer, line in enumerate(record.values) for head, v in enumerate(line)]
    names = ("layer", "head", record.measure.axis)
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
