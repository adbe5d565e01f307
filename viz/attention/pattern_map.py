"""Maps of tokens by tokens: one head's pattern, and the difference of two. Query on the left, key on top."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.head_grid import bar_ticks
from viz.attention.pattern import AttentionPattern, row_sentence, title
from viz.drawn import Drawn

MOST_TICKS = 32
MOST_TICKS_NARROW = 14
_GAPS_UP_TO = 48  # cells a side; with more, the white lines between cells would eat them
_LONGEST_TICK = 12
_SLOPE = -60  # degrees that the names above the map lean
_LETTER = 7.5  # pixels: width of a letter of a tick


def attention_pattern_figure(record: AttentionPattern) -> Drawn:
    """The map, from 0 to 1 always: equal probabilities look equal on every head, prompt and model."""
    colors = {"colorscale": style.PROBABILITY_SCALE, "zmin": 0, "zmax": 1}
    figure = _map(record, "probability", colors, bar_ticks(1.0, "share"))
    figure.update_layout(title={"text": title(record)})
    return Drawn(
        figure=figure,
        alt=f"Attention pattern of layer {record.layer}, head {record.head}"
        f"{', which is switched off' if record.off else ''}. {row_sentence(record)}",
        stem="attention-pattern",
        table=_table(record, "probability"),
        narrow_layout=_narrow(record),
    )


def attention_difference_figure(record: AttentionPattern) -> Drawn:
    """Current less pinned, on a scale symmetric about 0; `record` is of `attention_difference_record`."""
    values = [v for line in record.cells for v in line if v is not None]
    low, high = style.shared_range(values, symmetric=True)
    colors = {"colorscale": style.SIGNED_SCALE, "zmin": low, "zmax": high}
    ends = {"tickvals": [low, 0, high], "ticktext": [signed_points(low), "0", signed_points(high)]}
    figure = _map(record, "difference", colors, {"tickmode": "array", **ends})
    largest = max(values, key=abs)
    words = (
        f"Current less pinned: up to {signed_points(largest)}" if largest else "The two patterns are equal"
    )
    figure.update_layout(title={"text": words})
    return Drawn(
        figure=figure,
        alt=f"Difference of two attention patterns, layer {record.layer}, head {record.head}. {words}.",
        stem="attention-difference",
        table=_table(record, "difference"),
        narrow_layout=_narrow(record),
    )


def signed_points(difference: float) -> str:
    """A difference of two shares, in percentage points with its sign.

    >>> signed_points(-0.0512)
    '−5.12 points'
    """
    return f"{'+' if difference > 0 else ''}{style.three_digits(100 * difference)} points"


def attention_row_figure(record: AttentionPattern) -> Drawn:
    """The selected query's row, exact for every key: what a map of blocks cannot show."""
    keys = list(range(len(record.row)))
    figure = go.Figure()
    figure.add_bar(
        name="probability",
        x=keys,
        y=list(record.row),
        width=1,
        marker={"color": style.LIGHT.accent},
        text=[f"{key} “{style.label(record.tokens[key])}”" for key in keys],
        textposition="none",
        hovertemplate="%{text}<br>%{y:.6f}<extra></extra>",
    )
    figure.update_xaxes(
        title={"text": "key position"}, range=[-0.5, len(record.tokens) - 0.5], fixedrange=False
    )
    figure.update_yaxes(title={"text": "probability"}, rangemode="tozero", fixedrange=False)
    figure.update_layout(
        template=style.TEMPLATE,
        height=240,
        bargap=0,
        title={"text": f"What token {record.selected} reads, exactly"},
    )
    return Drawn(
        figure=figure,
        alt=row_sentence(record),
        stem="attention-row",
        table={
            "key": keys,
            "key text": [style.visible(record.tokens[key]) for key in keys],
            "probability": list(record.row),
        },
    )


def _scale_words(record: AttentionPattern, quantity: str) -> str:
    return (
        quantity if record.block == 1 else f"largest {quantity} in blocks of {record.block} × {record.block}"
    )


def _span(record: AttentionPattern, cell: int) -> str:
    first, last = record.positions(cell)
    return f"token {first}" if first == last else f"tokens {first}–{last}"


def _cell_name(record: AttentionPattern, cell: int) -> str:
    """A row or column as the hover says it; unlike the ticks all differ, so that they can be categories."""
    return _span(record, cell) if record.block > 1 else _named(record, cell)


def _hover(record: AttentionPattern, quantity: str) -> str:
    """Who reads whom, from the names of row and column: a text for every cell would be half a megabyte."""
    reads = "%{y} read %{x}: at most" if record.block > 1 else "%{y} reads %{x}"
    number = ".4%" if quantity == "probability" else "+.4f"
    return reads + "<br>%{z:" + number + "}<extra></extra>"


def _named(record: AttentionPattern, position: int) -> str:
    return f"{position} “{style.label(record.tokens[position])}”"


def _map(record: AttentionPattern, quantity: str, colors: dict[str, Any], bar: dict[str, Any]) -> go.Figure:
    """A square map of tokens with the selected row outlined; the future lies bare on the masked colour."""
    n = record.n_cells
    names = [_cell_name(record, cell) for cell in range(n)]
    gap = 1 if n <= _GAPS_UP_TO else 0
    values = np.array([[np.nan if v is None else v for v in line] for line in record.cells], dtype=np.float32)
    bar = {"title": {"text": _scale_words(record, quantity)}, "len": 0.7, "y": 0, "yanchor": "bottom", **bar}
    cells = {"name": "pattern", "z": values.reshape(n, n), "x": names, "y": names, "hoverongaps": False}
    return go.Figure(
        go.Heatmap(
            **cells, hovertemplate=_hover(record, quantity), xgap=gap, ygap=gap, colorbar=bar, **colors
        ),
        _map_layout(record),
    )


def _map_layout(record: AttentionPattern) -> dict[str, Any]:
    """Axes by position, with names where there is room; the names' own margin, so that the longest does not
    run into the title."""
    ends, ticks = record.n_cells - 0.5, _ticks(record, MOST_TICKS)
    axis = {
        "type": "category",
        "fixedrange": False,
        "tickmode": "array",
        "showgrid": False,
        "constrain": "domain",
        "tickfont": {"family": style.MONO, "color": style.LIGHT.ink},
        **ticks,
    }
    down = {"scaleanchor": "x", "scaleratio": 1, "constraintoward": "top"}
    return {
        "template": style.TEMPLATE,
        "plot_bgcolor": style.MASKED,
        "height": 560,
        "margin": {"l": 8, "r": 8, "t": _head_room(record, ticks), "b": 8},
        "xaxis": {"range": [-0.5, ends], "side": "top", "tickangle": _SLOPE, "automargin": False, **axis},
        "yaxis": {"range": [ends, -0.5], **down, **axis},
        "shapes": _outlines(record),
    }


def _ticks(record: AttentionPattern, most: int) -> dict[str, Any]:
    """Names for all cells up to `most`, then for every so many, and always for the selected one."""
    n = record.n_cells
    chosen = record.selected // record.block
    step = -(-n // most)
    named = [c for c in range(n) if c == chosen or (c % step == 0 and abs(c - chosen) >= step)]
    return {"tickvals": named, "ticktext": [_tick(record, cell) for cell in named]}


def _head_room(record: AttentionPattern, ticks: dict[str, Any]) -> float:
    """Pixels above the map: a line of title, then the longest name as it leans."""
    cells = ticks["tickvals"]
    longest = max(len(_name(record, cell)) for cell in cells)
    return 44 + longest * _LETTER * math.sin(math.radians(-_SLOPE))


def _narrow(record: AttentionPattern) -> dict[str, Any]:
    """On a phone: fewer names, in smaller type, and room for the last, which leans out to the right."""
    ticks = _ticks(record, MOST_TICKS_NARROW)
    axis = {**ticks, "tickfont": {"size": 11}}
    margin = {"l": 8, "r": 36, "t": _head_room(record, ticks), "b": 60}
    return {"height": 470, "margin": margin, "title": {"font": {"size": 13}}, "xaxis": axis, "yaxis": axis}


def _tick(record: AttentionPattern, cell: int) -> str:
    """The name of a cell as plotly draws it, the selected one bold."""
    chosen = cell == record.selected // record.block
    words = style.inert(_name(record, cell))
    return f"<b>{words}</b>" if chosen else words


def _name(record: AttentionPattern, cell: int) -> str:
    """The token's text, or in a map of blocks the block's first position (the selected token's own)."""
    first, _ = record.positions(cell)
    if record.block > 1:
        return str(record.selected if cell == record.selected // record.block else first)
    return style.shorten(style.visible(record.tokens[first]), _LONGEST_TICK)


def _outlines(record: AttentionPattern) -> list[dict[str, Any]]:
    """A frame round the selected query's row, as far as it may look; a thicker one round a chosen cell."""
    query = record.selected // record.block
    frames = [_outline(query, 0, query, width=2)]
    if record.key is not None:
        column = record.key // record.block
        frames.append(_outline(query, column, column, width=4))
    return frames


def _outline(row: int, first: int, last: int, width: float) -> dict[str, Any]:
    corners = {"x0": first - 0.5, "x1": last + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", **corners, "line": {"color": style.LIGHT.ink, "width": width}}


def _table(record: AttentionPattern, quantity: str) -> dict[str, list[object]]:
    """One row a cell that exists."""
    rows: list[tuple[object, ...]] = []
    for q, line in enumerate(record.cells):
        rows += [(*_names(record, q), *_names(record, k), v) for k, v in enumerate(line) if v is not None]
    names = ("query", "query text", "key", "key text", _scale_words(record, quantity))
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _names(record: AttentionPattern, cell: int) -> tuple[str, str]:
    first, last = record.positions(cell)
    if record.block == 1:
        return str(first), style.visible(record.tokens[first])
    return f"{first}-{last}", style.visible("".join(record.tokens[first : last + 1]))
