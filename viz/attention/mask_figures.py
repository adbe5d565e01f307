"""Small grids of masks, and the map of a pattern under a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.masks import MaskGrid
from viz.attention.pattern import AttentionPattern, strongest_keys
from viz.attention.pattern_map import attention_pattern_figure
from viz.drawn import Drawn

_NAMED_UP_TO = 12  # tokens a side of a grid that are written out
_GAP = 0.05
_HEAD_ROOM = 42  # pixels above a grid for its name and count


def mask_grids_figure(
    grids: Sequence[MaskGrid], chosen: int | None = None, names: bool = False, alt: str = ""
) -> Drawn:
    """Grids side by side, on a phone two to a row; filled cells may be read; the chosen one in full colour.

    Args:
        names: write the tokens beside the rows and above the columns, where they are few.
        alt: what comes first in the text alternative.
    """
    said = [f"{grid.name}: {grid.n_visible:,} of {grid.n_all:,} cells may be read" for grid in grids]
    return Drawn(
        figure=_grids(grids, chosen, names, columns=len(grids), height=300 if names else 220),
        alt=f"{alt} {'; '.join(said)}.".strip(),
        stem="attention-masks",
        table=_table(grids),
        narrow_figure=_grids(grids, chosen, False, columns=2, height=420),
    )


def _grids(
    grids: Sequence[MaskGrid], chosen: int | None, names: bool, columns: int, height: int
) -> go.Figure:
    figure = go.Figure()
    n_rows = -(-len(grids) // columns)
    annotations: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for number, grid in enumerate(grids):
        suffix = str(number + 1) if number else ""
        row, column = divmod(number, columns)
        named = names and max(len(grid.rows), len(grid.columns)) <= _NAMED_UP_TO
        _add_grid(figure, grid, suffix, number == chosen or chosen is None)
        room = 0.36 if named else _HEAD_ROOM / (height - 16)
        _place(figure, grid, suffix, (column, columns), (row, n_rows), named, room)
        annotations.append(_heading(grid, suffix, number == chosen, named))
        if grid.selected is not None:
            shapes.append(_outline(grid, suffix))
    figure.update_layout(
        template=style.TEMPLATE,
        height=height,
        annotations=annotations,
        shapes=shapes,
        margin={"l": 4, "r": 4, "t": 8, "b": 8},
    )
    return figure


def _add_grid(figure: go.Figure, grid: MaskGrid, suffix: str, full: bool) -> None:
    fill = style.LIGHT.accent if full else style.PROBABILITY_SCALE[2][1]
    gap = 1 if max(len(grid.cells), len(grid.cells[0])) <= 24 else 0
    figure.add_heatmap(
        name=grid.name,
        z=np.array(grid.cells, dtype=np.uint8),
        zmin=0,
        zmax=1,
        colorscale=[[0, style.MASKED], [1, fill]],
        showscale=False,
        xgap=gap,
        ygap=gap,
        text=_hovers(grid),
        hovertemplate="%{text}<extra></extra>",
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )


def _hovers(grid: MaskGrid) -> list[list[str]]:
    def side(texts: Sequence[str], cell: int) -> str:
        if grid.block > 1:
            return f"{cell * grid.block}–{min((cell + 1) * grid.block, len(texts)) - 1}"
        return f"“{style.label(texts[cell], 12)}” ({cell})"

    words = {True: "may read", False: "may not read"}
    return [
        [f"{side(grid.rows, q)} {words[seen]} {side(grid.columns, k)}" for k, seen in enumerate(line)]
        for q, line in enumerate(grid.cells)
    ]


def _place(
    figure: go.Figure,
    grid: MaskGrid,
    suffix: str,
    across: tuple[int, int],
    down: tuple[int, int],
    named: bool,
    top_room: float,
) -> None:
    """The axes of one grid, in their part of the figure."""
    (column, n_columns), (row, n_rows) = across, down
    left_room = 0.09 if named else 0.0
    left, right = column / n_columns, (column + 1) / n_columns - _GAP
    top, bottom = 1 - row / n_rows - top_room, 1 - (row + 1) / n_rows
    shared: dict[str, Any] = {"showgrid": False, "fixedrange": True, "zeroline": False, "automargin": False}
    shared |= {
        "constrain": "domain",
        "tickfont": {"family": style.MONO, "size": 11, "color": style.LIGHT.ink},
    }
    n_down, n_across = len(grid.cells), len(grid.cells[0])
    figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
        domain=[left + left_room, right],
        anchor=f"y{suffix}",
        range=[-0.5, n_across - 0.5],
        side="top",
        tickangle=-60,
        constraintoward="left",
        **_ticks(grid.columns, named),
        **shared,
    )
    figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
        domain=[bottom, top],
        anchor=f"x{suffix}",
        range=[n_down - 0.5, -0.5],
        scaleanchor=f"x{suffix}",
        constraintoward="top",
        **_ticks(grid.rows, named),
        **shared,
    )


def _ticks(texts: Sequence[str], named: bool) -> dict[str, Any]:
    if not named:
        return {"showticklabels": False}
    return {"tickvals": list(range(len(texts))), "ticktext": [style.label(text, 10) for text in texts]}


def _heading(grid: MaskGrid, suffix: str, chosen: bool, named: bool) -> dict[str, Any]:
    words = f"<b>{grid.name}</b>" if chosen else grid.name
    return {
        "text": f"{words}<br>{grid.n_visible:,} of {grid.n_all:,}",
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x": 0,
        "y": 1,
        "yshift": 84 if named else 2,
        "xanchor": "left",
        "yanchor": "bottom",
        "align": "left",
        "showarrow": False,
        "font": {"size": 12, "color": style.LIGHT.ink},
    }


def _outline(grid: MaskGrid, suffix: str) -> dict[str, Any]:
    """A frame round the selected query's row."""
    row = (grid.selected or 0) // grid.block
    return {
        "type": "rect",
        "xref": f"x{suffix}",
        "yref": f"y{suffix}",
        "x0": -0.5,
        "x1": len(grid.cells[0]) - 0.5,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "line": {"color": style.LIGHT.ink, "width": 2},
    }


def _table(grids: Sequence[MaskGrid]) -> dict[str, list[object]]:
    """One row a cell that may be read, of what is drawn."""
    rows = [
        (grid.name, q * grid.block, k * grid.block)
        for grid in grids
        for q, line in enumerate(grid.cells)
        for k, seen in enumerate(line)
        if seen
    ]
    return dict(zip(("mask", "query", "key"), map(list, zip(*rows, strict=True)), strict=True))


def masked_pattern_figure(record: AttentionPattern, name: str, as_measured: bool) -> Drawn:
    """The map under a mask, on the scale of every other map of a pattern.

    Args:
        name: of the mask, in the title.
        as_measured: the model's own; else a calculation, and the title says "would read".
    """
    drawn = attention_pattern_figure(record)
    key, share = strongest_keys(record, 1)[0]
    read = "itself" if key == record.selected else f"“{style.label(record.tokens[key], 10)}”"
    verb = "reads" if as_measured else "would read"
    query = style.label(record.tokens[record.selected], 10)
    words = f"{name}: “{query}” {verb} <b>{read}</b> {style.share(share)}"
    drawn.figure.update_layout(title={"text": words, "font": {"size": 14}})
    if drawn.figure.layout.shapes:  # the frame round the row: as far as this mask lets it look
        row = record.cells[record.selected // record.block]
        seen = [cell for cell, value in enumerate(row) if value is not None] or [0]
        drawn.figure.layout.shapes[0].update(x0=seen[0] - 0.5, x1=seen[-1] + 0.5)
    return replace(
        drawn,
        alt=f"{'Measured' if as_measured else 'Computed'}, layer {record.layer}, head {record.head}, "
        f"under the mask: {name}. {drawn.alt}",
        stem="attention-pattern" if as_measured else "attention-pattern-masked",
    )
