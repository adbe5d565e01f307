"""All heads of all layers at a glance: one cell a head, coloured by a measure of how it reads this prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style
from viz.attention.heads import MEASURES, Measure, strongest
from viz.drawn import Drawn
from viz.panels import Json, box, figure, note
from viz.token_map import Grid, token_map

_GAPS_UP_TO = 32  # heads or layers; with more, the white lines between cells would eat them
_LAYER = 22  # pixels of height for each layer of a small model
_LEAST_HEIGHT, _MOST_HEIGHT = 260, 560
_AROUND = 130  # pixels of title, axis and colour bar
_MOST_TICKS = 16


@dataclass(frozen=True)
class Wording:
    """What is said of a grid whose numbers are neither a measure of reading nor a difference of two."""

    axis: str  # on the colour bar, as plotly draws it
    finding: str  # the title, as plotly draws it
    cells: tuple[tuple[str, ...], ...]  # [layer][head]: what the hover says of a head
    none: str  # why no head has a value


@dataclass(frozen=True)
class HeadGrid:
    """What the overview shows: one number a head, None where this prompt cannot tell."""

    measure: Measure
    values: Grid  # [layer][head]
    layer: int
    head: int
    top: float  # end of the colour scale, which starts at 0, or at -top where `signed`
    strongest: tuple[int, int] | None  # (layer, head) of the largest value, by size where `signed`
    off: tuple[tuple[int, int], ...] = ()  # heads that are switched off: they still read, to no effect
    signed: bool = False  # values about 0: the difference of two runs, unless `words` say what else
    words: Wording | None = None


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
    return HeadGrid(MEASURES[measure], plain_grid(values), layer, head, top, strongest(values), tuple(off))


def head_grid_difference_record(
    values: np.ndarray,  # [layer, head] of the current run
    other: np.ndarray,  # of the pinned run
    measure: str | Measure,
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
    named = MEASURES[measure] if isinstance(measure, str) else measure
    return HeadGrid(named, plain_grid(change), layer, head, top, best, signed=True)


def plain_grid(values: np.ndarray) -> Grid:
    """[layer, head] as it is drawn: None where there is no number."""
    return tuple(tuple(float(v) if np.isfinite(v) else None for v in line) for line in values)


def head_grid_figure(record: HeadGrid) -> Drawn:
    """Layers from top to bottom, heads from left to right, the chosen head outlined."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    height = min(max(_LAYER * n_layers + _AROUND, _LEAST_HEIGHT), _MOST_HEIGHT)
    axis = {"showgrid": False, "tick0": 0, "fixedrange": False}
    heads = {"range": [-0.5, n_heads - 0.5], "side": "top", "title": {"text": "head"}}
    layers = {"range": [n_layers - 0.5, -0.5], "title": {"text": "layer"}}
    said = no_values(record).replace(", so", ",<br>so")
    unseen = [] if record.strongest else [note(said, 0.5, 0.75, within="xy", font={"color": style.LIGHT.ink})]
    made = figure(
        [_cells(record)],
        xaxis={**axis, **heads, "dtick": -(-n_heads // _MOST_TICKS)},
        yaxis={**axis, **layers, "dtick": -(-n_layers // _MOST_TICKS)},
        height=height,
        shapes=[
            *_crosses(record),
            box((record.head - 0.5, record.head + 0.5), (record.layer - 0.5, record.layer + 0.5)),
        ],
        annotations=unseen,
        plot_bgcolor=style.MASKED,
        title={"text": title(record), "pad": {"b": 10}, "automargin": False},
        margin={"r": 44 if record.signed else 24, "t": 62},  # right: half of the colour bar's last name
    )
    stem = "attention-heads"
    if record.signed:
        stem = "attention-heads-worth" if record.words else "attention-heads-difference"
    return Drawn(made, alt(record), stem, table(record), {"height": min(height, 480)})


def _cells(record: HeadGrid) -> Json:
    """The heat map. Plotly writes the numbers of the hover itself, so that they do not travel twice."""
    n_layers, n_heads = len(record.values), len(record.values[0])
    percent = record.measure.unit == "share" and not record.signed
    number = ": %{z:" + ("+.4f" if record.signed else ".2%" if percent else ".3f") + "}"
    said = record.words.cells if record.words else None
    if said or record.off:
        number = "%{text}" + ("" if said else number)
    text = [
        [
            (" (off)" if (layer, head) in record.off else "") + (f": {said[layer][head]}" if said else "")
            for head in range(n_heads)
        ]
        for layer in range(n_layers)
    ]
    return token_map(
        "heads",
        record.values,
        -record.top if record.signed else 0,
        record.top,
        style.SIGNED_SCALE if record.signed else style.PROBABILITY_SCALE,
        gaps_up_to=_GAPS_UP_TO if max(n_layers, n_heads) <= _GAPS_UP_TO else 0,
        **({"text": text} if record.off or said else {}),
        meta={"start": [record.layer, record.head]},  # where the keyboard's cursor begins
        hovertemplate=f"L%{{y}} H%{{x}}{number}<br>{axis_words(record)}<extra></extra>",
        colorbar={
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
    )


def axis_words(record: HeadGrid) -> str:
    """What the colour means."""
    if record.words:
        return record.words.axis
    return f"difference of {record.measure.axis}" if record.signed else record.measure.axis


def bar_ticks(top: float, unit: str) -> Json:
    """Names along a colour bar from 0 to `top`: both ends and the middle, shares in per cent.

    >>> bar_ticks(1.0, "share")["ticktext"]
    ['0', '50\\xa0%', '100\\xa0%']
    """
    values = [0.0, top / 2, top]
    names = [
        style.in_percent(style.as_printed(v, 3)) if unit == "share" else style.three_digits(v)
        for v in values[1:]
    ]
    shown = {"tickvals": values, "ticktext": ["0", *names]}
    return {"tickmode": "array", **shown, "ticklabeloverflow": "allow"}  # else plotly drops the last name


def _signed_ticks(record: HeadGrid) -> Json:
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


def _crosses(record: HeadGrid) -> list[Json]:
    """Grey over each head that is switched off, with a cross: never by colour alone."""
    shapes: list[Json] = []
    color = style.LIGHT.cut_line
    for layer, head in record.off:
        left, right, top, bottom = head - 0.46, head + 0.46, layer - 0.46, layer + 0.46
        cover: Json = {"fillcolor": style.LIGHT.cut, "line": {"color": color, "width": 1}}
        shapes.append(box((left, right), (top, bottom), **cover))
        path = f"M {left} {top} L {right} {bottom} M {left} {bottom} L {right} {top}"
        shapes.append({"type": "path", "path": path, "line": {"color": color, "width": 2}})
    return shapes


def no_values(record: HeadGrid) -> str:
    """Why no head has a value."""
    if record.words:
        return record.words.none
    if record.measure.key in ("induction", "duplicate"):
        return "No token of this prompt comes twice, so there is nothing to find again."
    return "The prompt is too short to tell, so no head has a value."


def title(record: HeadGrid) -> str:
    """The finding: the head that does most of what is measured, or that changed most."""
    if record.words:
        return record.words.finding
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
