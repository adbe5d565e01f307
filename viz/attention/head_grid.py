"""All heads of all layers at a glance: one cell a head, coloured by a measure of how it reads this prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.heads import MEASURES, Measure, strongest
from viz.drawn import Drawn

_GAPS_UP_TO = 32  # heads or layers; with more, the white lines between cells would eat them
_LAYER = 22  # pixels of height for each layer of a small model
_LEAST_HEIGHT, _MOST_HEIGHT = 260, 560
_AROUND = 130  # pixels of title, axis and colour bar


@dataclass(frozen=True)
class HeadGrid:
    """What the overview shows: one number a head, None where this prompt cannot tell."""

    measure: Measure
    values: tuple[tuple[float | None, ...], ...]  # [layer][head]
    layer: int
    head: int
    top: float  # end of the colour scale, which starts at 0, or at -top where `signed`
    strongest: tuple[int, int] | None  # (layer, head) of the largest value, by size where `signed`
    off: tuple[tuple[int, int], ...] = ()  # heads that are switched off: they still read, to no effect
    signed: bool = False  # the difference of two runs


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
    return HeadGrid(MEASURES[measure], _plain(values), layer, head, top, strongest(values), tuple(off))


def head_grid_difference_record(
    values: np.ndarray,  # [layer, head] of the current run
    other: np.ndarray,  # of the pinned run
    measure: str,
    *,
    layer: int,
    head: int,
) -> HeadGrid:
    """`values` less `other`: what each head reads more (or less) of in the current run.

    Raises:
        ValueError: the two models have different numbers of layers or heads.
    """
    if values.shape != other.shape:
        raise ValueError(f"heads {values.shape} and {other.shape}")
    change = values - other
    top = style.shared_range(change, symmetric=True)[1]
    best = strongest(np.abs(change))
    return HeadGrid(MEASURES[measure], _plain(change), layer, head, top, best, signed=True)


def _plain(values: np.ndarray) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(float(v) if np.isfinite(v) else None for v in line) for line in values)


def head_grid_figure(record: HeadGrid) -> Drawn:
    """Layers from top to bottom, heads from left to right, the chosen head outlined."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    height = min(max(_LAYER * n_layers + _AROUND, _LEAST_HEIGHT), _MOST_HEIGHT)
    axis = {"showgrid": False, "tick0": 0, "fixedrange": False}
    figure = go.Figure(
        go.Heatmap(_cells(record)),
        {
            "template": style.TEMPLATE,
            "plot_bgcolor": style.MASKED,
            "height": height,
            "margin": {
                "l": 8,
                "r": 44 if record.signed else 24,
                "t": 62,
                "b": 8,
            },  # right: half of the colour bar's last name
            "title": {"text": title(record), "pad": {"b": 10}, "automargin": False},
            "xaxis": axis
            | {
                "range": [-0.5, n_heads - 0.5],
                "side": "top",
                "title": {"text": "head"},
                "dtick": _step(n_heads),
            },
            "yaxis": axis
            | {"range": [n_layers - 0.5, -0.5], "title": {"text": "layer"}, "dtick": _step(n_layers)},
            "shapes": [*_crosses(record), _frame(record)],
            "annotations": _explanation(record),
        },
    )
    stem = "attention-heads-difference" if record.signed else "attention-heads"
    return Drawn(figure, alt(record), stem, table(record), narrow_layout={"height": min(height, 480)})


def _cells(record: HeadGrid) -> dict[str, Any]:
    """The heat map. Plotly writes the numbers of the hover itself, so that they do not travel twice."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    values = [[np.nan if v is None else v for v in line] for line in record.values]
    gap = 1 if max(n_layers, n_heads) <= _GAPS_UP_TO else 0
    return {
        "name": "heads",
        "z": np.array(values, dtype=np.float32).reshape(n_layers, n_heads),
        "zmin": -record.top if record.signed else 0,
        "zmax": record.top,
        "colorscale": style.SIGNED_SCALE if record.signed else style.PROBABILITY_SCALE,
        "xgap": gap,
        "ygap": gap,
        "hoverongaps": False,
        **_hover(record),
        "colorbar": {
            "title": {"text": axis_words(record), "side": "top"},
            "orientation": "h",
            "thickness": 8,
            "y": 0,
            "yanchor": "top",
            "ypad": 24,
            "x": 0.5,
            "len": 0.86,
            **(_signed_ticks(record) if record.signed else bar_ticks(record.top, record.measure.unit)),
        },
    }


def axis_words(record: HeadGrid) -> str:
    """What the colour means."""
    return f"difference of {record.measure.axis}" if record.signed else record.measure.axis


def _hover(record: HeadGrid) -> dict[str, Any]:
    percent = record.measure.unit == "share" and not record.signed
    number = "%{z:" + ("+.4f" if record.signed else ".2%" if percent else ".3f") + "}"
    said = {"hovertemplate": f"L%{{y}} H%{{x}}: {number}<br>{axis_words(record)}<extra></extra>"}
    if not record.off:
        return said
    n_heads = len(record.values[0])
    marks = [
        [" (off)" if (layer, head) in record.off else "" for head in range(n_heads)]
        for layer in range(len(record.values))
    ]
    template = said["hovertemplate"].replace("H%{x}", "H%{x}%{text}")
    return {"text": marks, "hovertemplate": template}


def _step(count: int, most: int = 16) -> int:
    return -(-count // most)


def bar_ticks(top: float, unit: str) -> dict[str, object]:
    """Names along a colour bar from 0 to `top`: both ends and the middle, shares in per cent.

    >>> bar_ticks(1.0, "share")["ticktext"]
    ['0', '50\\xa0%', '100\\xa0%']
    """
    values = [0.0, top / 2, top]
    names = [f"{100 * v:.3g}\xa0%" if unit == "share" else style.three_digits(v) for v in values[1:]]
    shown = {"tickvals": values, "ticktext": ["0", *names]}
    return {"tickmode": "array", **shown, "ticklabeloverflow": "allow"}  # else plotly drops the last name


def _signed_ticks(record: HeadGrid) -> dict[str, object]:
    ends = [-record.top, 0, record.top]
    names = [written(record, end) if end else "0" for end in ends]
    return {"tickmode": "array", "tickvals": ends, "ticktext": names, "ticklabeloverflow": "allow"}


def written(record: HeadGrid, value: float) -> str:
    """A value of the grid with its unit; a difference with its sign, of shares in percentage points."""
    if not record.signed:
        return record.measure.written(value)
    sign = "+" if value > 0 else ""
    if record.measure.unit == "share":
        return f"{sign}{style.three_digits(100 * value)} points"
    return f"{sign}{style.three_digits(value, record.measure.unit)}"


def _frame(record: HeadGrid) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": record.head - 0.5,
        "x1": record.head + 0.5,
        "y0": record.layer - 0.5,
        "y1": record.layer + 0.5,
        "line": {"color": style.LIGHT.ink, "width": 2.5},
    }


def _crosses(record: HeadGrid) -> list[dict[str, Any]]:
    """Grey over each head that is switched off, with a cross: never by colour alone."""
    shapes: list[dict[str, Any]] = []
    for layer, head in record.off:
        left, right, top, bottom = head - 0.46, head + 0.46, layer - 0.46, layer + 0.46
        line = style.LIGHT.cut_line
        box = {"x0": left, "x1": right, "y0": top, "y1": bottom, "fillcolor": style.LIGHT.cut}
        shapes.append({"type": "rect", **box, "line": {"color": line, "width": 1}})
        path = f"M {left} {top} L {right} {bottom} M {left} {bottom} L {right} {top}"
        shapes.append({"type": "path", "path": path, "line": {"color": line, "width": 2}})
    return shapes


def _explanation(record: HeadGrid) -> list[dict[str, Any]]:
    """Why there is nothing to see, where there is nothing."""
    if record.strongest is not None:
        return []
    words = no_values(record).replace(", so", ",<br>so")
    place = {"x": 0.5, "y": 0.75, "xref": "paper", "yref": "paper"}
    return [{"text": words, **place, "font": {"color": style.LIGHT.ink}}]


def no_values(record: HeadGrid) -> str:
    """Why no head has a value."""
    if record.measure.key in ("induction", "duplicate"):
        return "No token of this prompt comes twice, so there is nothing to find again."
    return "The prompt is too short to tell, so no head has a value."


def title(record: HeadGrid) -> str:
    """The finding: the head that does most of what is measured, or that changed most."""
    best = record.strongest
    if best is None:
        return record.measure.name
    layer, head = best
    value = record.values[layer][head]
    assert value is not None
    if record.signed:
        changed = f"Changed most: <b>L{layer} H{head}</b>, {written(record, value)}"
        return changed if value else f"No head's “{record.measure.name.lower()}” changed"
    return f"Most: <b>L{layer} H{head}</b>, {written(record, value)}"


def alt(record: HeadGrid) -> str:
    """The overview in words."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    said = f"{n_layers} layers by {n_heads} heads, coloured by {axis_words(record)}."
    if record.off:
        said += f" Switched off: {', '.join(f'L{layer} H{head}' for layer, head in record.off)}."
    best = record.strongest
    if best is None:
        return f"{said} {no_values(record)}"
    value, here = record.values[best[0]][best[1]], record.values[record.layer][record.head]
    assert value is not None
    said += f" Largest in layer {best[0]}, head {best[1]}: {written(record, value)}."
    chosen = "no value" if here is None else written(record, here)
    return f"{said} Chosen is layer {record.layer}, head {record.head}: {chosen}."


def table(record: HeadGrid) -> dict[str, list[object]]:
    """One row a head."""
    rows = [(layer, head, v) for layer, line in enumerate(record.values) for head, v in enumerate(line)]
    names = ("layer", "head", axis_words(record))
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
