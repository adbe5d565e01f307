"""The figure of one head, stage by stage: ten matrices in the order of computation, one selection in all."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.stages.layout import Screen, axes, axis_number, middle_screen, narrow_screen, wide_screen
from viz.attention.stages.notes import notes
from viz.attention.stages.record import HeadStagesRecord, Stage
from viz.attention.stages.words import alt, title
from viz.drawn import Drawn

_GAPS_UP_TO = 24  # rows; with more, white lines between cells would eat them


def head_stages_figure(record: HeadStagesRecord) -> Drawn:
    """All stages at once, as a diagram."""
    figure = go.Figure()
    for number, stage in enumerate(record.stages):
        _matrix(figure, record, stage, axis_number(number))
    for number, stage in enumerate(record.stages):
        if any(value is None for line in stage.cells for value in line):
            _hidden(figure, stage, axis_number(number))
    figure.update_layout(
        template=style.TEMPLATE,
        shapes=[shape for at, stage in enumerate(record.stages) for shape in _outlines(record, stage, at)],
        hovermode="closest",
        dragmode=False,
        showlegend=False,
        meta={"linked_axes": _linked(record)},
        **_axes(record),
    )
    wide, middle = wide_screen(record), middle_screen(record)
    in_the_middle = go.Figure(figure)
    _place(figure, record, wide)
    _place(in_the_middle, record, middle)
    return Drawn(
        figure=figure,
        alt=alt(record),
        stem="attention-difference-stages" if record.is_difference else "attention-stages",
        table=table(record),
        narrow_layout=_flat(record, narrow_screen(record)),
        middle_figure=in_the_middle,
    )


def trace_stage(record: HeadStagesRecord, trace: int) -> Stage | None:
    """The stage that a click on this trace of the figure means: matrices first, then what hides them."""
    hidden = [stage for stage in record.stages if any(v is None for line in stage.cells for v in line)]
    drawn = [*record.stages, *(stage for stage in hidden for _ in range(2))]
    return drawn[trace] if 0 <= trace < len(drawn) else None


def table(record: HeadStagesRecord) -> dict[str, list[object]]:
    """One row for each cell of the square matrices, as the screen shows them."""
    squares = [stage for stage in record.stages if stage.columns == "key"]
    first = squares[0]
    places = [(row, column) for row in range(len(first.cells)) for column in range(len(first.cells[0]))]
    rows: dict[str, list[object]] = {
        "query": [_span(first.row_block, row, len(record.tokens)) for row, _ in places],
        "key": [_span(first.column_block, column, len(record.tokens)) for _, column in places],
    }
    for stage in squares:
        rows[stage.title] = [
            "masked" if stage.cells[row][column] is None else stage.cells[row][column]
            for row, column in places
        ]
    return rows


def _span(block: int, cell: int, n: int) -> str:
    first, last = cell * block, min((cell + 1) * block, n) - 1
    return str(first) if first == last else f"{first}-{last}"


def _matrix(figure: go.Figure, record: HeadStagesRecord, stage: Stage, number: str) -> None:
    n_rows, n_columns = len(stage.cells), len(stage.cells[0])
    shares = stage.key == "pattern" and not record.is_difference
    values = np.array(
        [[np.nan if v is None else v for v in line] for line in stage.cells], dtype=np.float32
    ).reshape(n_rows, n_columns)
    square = stage.columns == "key"
    figure.add_heatmap(
        name=stage.title,
        z=values,
        xaxis=f"x{number}",
        yaxis=f"y{number}",
        colorscale=style.PROBABILITY_SCALE if shares else style.SIGNED_SCALE,
        zmin=0 if shares else -stage.limit,
        zmax=stage.limit,
        showscale=False,
        xgap=1 if square and n_columns <= _GAPS_UP_TO else 0,
        ygap=1 if n_rows <= _GAPS_UP_TO else 0,
        hoverongaps=False,
        hovertemplate=_hover(stage, ".4%" if shares else ".4~f"),
    )


def _hover(stage: Stage, number: str) -> str:
    words = {"query": "query", "key": "key", "dimension": "dimension"}
    blocks = "largest of the cell: " if stage.origins is not None else ""
    return (
        f"{words[stage.rows]} %{{y}}<br>{words[stage.columns]} %{{x}}"
        f"<br><b>{blocks}%{{z:{number}}}</b><extra></extra>"
    )


def _hidden(figure: go.Figure, stage: Stage, number: str) -> None:
    """Grey under hatching where the mask hides a cell; it can be pointed at all the same."""
    masked = [[value is None for value in line] for line in stage.cells]
    said = "−∞ before softmax" if stage.key == "scores" else "0: the mask hides it"
    figure.add_heatmap(
        name=f"{stage.title}, hidden",
        z=np.where(masked, np.float32(1), np.float32(np.nan)),
        xaxis=f"x{number}",
        yaxis=f"y{number}",
        colorscale=[[0, style.MASKED], [1, style.MASKED]],
        showscale=False,
        xgap=0,
        ygap=0,
        hoverongaps=False,
        hovertemplate=f"query %{{y}}<br>key %{{x}}<br><b>{said}</b><extra></extra>",
    )
    xs, ys = _corners(masked)
    figure.add_scatter(
        name=f"{stage.title}, hatching",
        x=xs,
        y=ys,
        xaxis=f"x{number}",
        yaxis=f"y{number}",
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=style.MASKED,
        fillpattern={
            "shape": "/",
            "size": 7,
            "solidity": 0.12,
            "fgcolor": style.LIGHT.cut_line,
            "bgcolor": style.MASKED,
            "fillmode": "replace",
        },
        hoverinfo="skip",
    )


def _corners(masked: list[list[bool]]) -> tuple[list[float | None], list[float | None]]:
    """Rectangles round the runs of hidden cells, row by row, as one path with breaks."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for row, line in enumerate(masked):
        for first, last in _runs(line):
            left, right, top, bottom = first - 0.5, last + 0.5, row - 0.5, row + 0.5
            xs += [left, right, right, left, left, None]
            ys += [top, top, bottom, bottom, top, None]
    return xs[:-1], ys[:-1]


def _runs(line: list[bool]) -> list[tuple[int, int]]:
    """First and last place of every run of True.

    >>> _runs([True, False, True, True])
    [(0, 0), (2, 3)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(line, dtype=np.int8), [0]))))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _outlines(record: HeadStagesRecord, stage: Stage, at: int) -> list[dict[str, object]]:
    """The selected query's row in a solid frame, the chosen key's row or column in a dashed one."""
    number = axis_number(at)
    n_rows, n_columns = len(stage.cells), len(stage.cells[0])
    frame = {"type": "rect", "xref": f"x{number}", "yref": f"y{number}", "layer": "above"}
    chosen = (record.query if stage.rows == "query" else record.key) // stage.row_block
    found = [{**frame, **_box(-0.5, n_columns - 0.5, chosen - 0.5, chosen + 0.5), "line": _line(stage.rows)}]
    if stage.columns == "key":
        column = record.key // stage.column_block
        found.append({**frame, **_box(column - 0.5, column + 0.5, -0.5, n_rows - 0.5), "line": _line("key")})
    return found


def _box(x0: float, x1: float, y0: float, y1: float) -> dict[str, float]:
    return {"x0": x0, "x1": x1, "y0": y0, "y1": y1}


def _line(along: str) -> dict[str, object]:
    dash = {"query": "solid", "key": "dot"}[along]
    return {"color": style.LIGHT.ink, "width": 2 if along == "query" else 1.5, "dash": dash}


def _axes(record: HeadStagesRecord) -> dict[str, Any]:
    """Every axis: its range, and names for the hover; the names on screen are annotations."""
    found: dict[str, Any] = {}
    for at, stage in enumerate(record.stages):
        number = axis_number(at)
        common = {"showgrid": False, "showticklabels": False, "fixedrange": True, "tickmode": "array"}
        n_rows, n_columns = len(stage.cells), len(stage.cells[0])
        rows = _ticks(record, stage.rows, n_rows, stage.row_block, stage.shape[0])
        columns = _ticks(record, stage.columns, n_columns, stage.column_block, stage.shape[1])
        found[f"xaxis{number}"] = {
            **common,
            **columns,
            "range": [-0.5, n_columns - 0.5],
            "anchor": f"y{number}",
        }
        found[f"yaxis{number}"] = {**common, **rows, "range": [n_rows - 0.5, -0.5], "anchor": f"x{number}"}
    return found


def _ticks(record: HeadStagesRecord, along: str, n: int, block: int, size: int) -> dict[str, list[object]]:
    if along == "dimension" or block > 1:
        names: list[object] = [_span(block, cell, size) for cell in range(n)]
    else:
        names = [f"{cell} “{style.label(record.tokens[cell], 12)}”" for cell in range(n)]
    return {"tickvals": list(range(n)), "ticktext": names}


def _linked(record: HeadStagesRecord) -> dict[str, str]:
    """Which axes mean the same tokens: a hover lights up the same place on all of them."""
    found: dict[str, str] = {}
    for at, stage in enumerate(record.stages):
        number = axis_number(at)
        found[f"y{number}"] = stage.rows
        if stage.columns == "key":
            found[f"x{number}"] = "key"
    return found


def _numbers(record: HeadStagesRecord) -> dict[str, int]:
    return {stage.key: at for at, stage in enumerate(record.stages)}


def _place(figure: go.Figure, record: HeadStagesRecord, screen: Screen) -> None:
    """Put on the layout of a screen: domains, words, size."""
    numbers = _numbers(record)
    figure.update_layout(
        height=screen.height,
        width=screen.width,
        margin={"l": 0, "r": 0, "t": screen.top, "b": 0},
        title={"text": title(record), "pad": {"t": 8}},
    )
    figure.layout.annotations = notes(record, screen, numbers)
    for path, domain in axes(screen, numbers).items():
        figure.layout[path.split(".")[0]].domain = domain


def _flat(record: HeadStagesRecord, screen: Screen) -> dict[str, object]:
    """The same as changes below 600 pixels."""
    numbers = _numbers(record)
    return {
        "annotations": notes(record, screen, numbers),
        "height": screen.height,
        "margin": {"l": 0, "r": 0, "t": screen.top, "b": 0},
        # plotly.js moves a title of two lines up by one
        "title": {"text": title(record, "<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}},
        **axes(screen, numbers),
    }
