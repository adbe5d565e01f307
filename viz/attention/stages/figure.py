"""The figure of one head, stage by stage: ten matrices in the order of computation, one selection in all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.stages.layout import Screen, domains, middle_screen, narrow_screen, wide_screen
from viz.attention.stages.notes import notes
from viz.attention.stages.record import HeadStagesRecord, Stage
from viz.attention.stages.words import alt, title
from viz.drawn import Drawn
from viz.panels import SILENT, Json, box, figure, on, panels, scatter
from viz.token_map import token_map


def head_stages_figure(record: HeadStagesRecord) -> Drawn:
    """All stages at once, as a diagram."""
    numbered = list(enumerate(record.stages))
    traces = [_matrix(record, stage, panel) for panel, stage in numbered]
    traces += [trace for panel, stage in numbered if stage.hides for trace in _hidden(stage, panel)]
    wide, middle = (_figure(record, screen(record), traces) for screen in (wide_screen, middle_screen))
    stem = "attention-difference-stages" if record.is_difference else "attention-stages"
    return Drawn(
        wide, alt(record), stem, table(record), _flat(record, narrow_screen(record)), middle_figure=middle
    )


def _figure(record: HeadStagesRecord, screen: Screen, traces: Sequence[Json]) -> go.Figure:
    quiet = {"showgrid": False, "showticklabels": False, "tickmode": "array"}
    x, y, shapes = [], [], []
    linked = {}  # axes that mean the same tokens: a hover lights up the same place on all of them
    for panel, stage in enumerate(record.stages):
        right, bottom = len(stage.cells[0]) - 0.5, len(stage.cells) - 0.5
        x.append({**quiet, **_ticks(record, stage, 1), "range": [-0.5, right]})
        y.append({**quiet, **_ticks(record, stage, 0), "range": [bottom, -0.5]})
        shapes += _outlines(record, stage, panel)
        linked[on(panel)["yaxis"]] = stage.rows
        if stage.columns == "key":
            linked[on(panel)["xaxis"]] = "key"
    return figure(
        traces,
        **_placed(record, screen, x, y),
        height=screen.height,
        width=screen.width,
        margin={"l": 0, "r": 0, "t": screen.top, "b": 0},
        title={"text": title(record), "pad": {"t": 8}},
        annotations=notes(record, screen),
        shapes=shapes,
        hovermode="closest",
        dragmode=False,
        showlegend=False,
        meta={"linked_axes": linked},
    )


def _flat(record: HeadStagesRecord, screen: Screen) -> Json:
    """The same as changes below 600 pixels."""
    return {
        "annotations": notes(record, screen),
        "height": screen.height,
        "margin": {"l": 0, "r": 0, "t": screen.top, "b": 0},
        # plotly.js moves a title of two lines up by one
        "title": {"text": title(record, "<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}},
        **_placed(record, screen, [{}] * len(record.stages), [{}] * len(record.stages)),
    }


def _placed(record: HeadStagesRecord, screen: Screen, x: Sequence[Json], y: Sequence[Json]) -> Json:
    """Axes, a pair a matrix, at the places that a screen has for them."""
    spans = [domains(screen)[stage.key] for stage in record.stages]
    across = [{**axis, "domain": span} for axis, (span, _) in zip(x, spans, strict=True)]
    up = [{**axis, "domain": span} for axis, (_, span) in zip(y, spans, strict=True)]
    return panels([(0, 1)] * len(spans), [(0, 1)], across, up)


def trace_stage(record: HeadStagesRecord, trace: int) -> Stage | None:
    """The stage that a click on this trace of the figure means: matrices first, then what hides them."""
    hidden = (stage for stage in record.stages if stage.hides)
    traces = [*record.stages, *(stage for stage in hidden for _ in range(2))]
    return traces[trace] if 0 <= trace < len(traces) else None


def table(record: HeadStagesRecord) -> dict[str, list[object]]:
    """One row for each cell of the square matrices, as the screen shows them."""
    squares = [stage for stage in record.stages if stage.columns == "key"]
    first, n = squares[0], len(record.tokens)
    places = [(row, column) for row in range(len(first.cells)) for column in range(len(first.cells[0]))]
    rows: dict[str, list[object]] = {
        "query": [_span(first.row_block, row, n) for row, _ in places],
        "key": [_span(first.column_block, column, n) for _, column in places],
    }
    for stage in squares:
        values = [stage.cells[row][column] for row, column in places]
        rows[stage.title] = ["masked" if value is None else value for value in values]
    return rows


def _span(block: int, cell: int, n: int) -> str:
    first, last = cell * block, min((cell + 1) * block, n) - 1
    return str(first) if first == last else f"{first}-{last}"


def _matrix(record: HeadStagesRecord, stage: Stage, panel: int) -> Json:
    shares = stage.key == "pattern" and not record.is_difference
    blocks = "largest of the cell: " if stage.origins is not None else ""
    number = "%{z:" + (".4%" if shares else ".4~f") + "}"
    return token_map(
        stage.title,
        stage.cells,
        0 if shares else -stage.limit,
        stage.limit,
        style.PROBABILITY_SCALE if shares else style.SIGNED_SCALE,
        **({} if stage.columns == "key" else {"xgap": 0}),
        showscale=False,
        hovertemplate=f"{stage.rows} %{{y}}<br>{stage.columns} %{{x}}<br><b>{blocks}{number}</b>"
        "<extra></extra>",
        **on(panel),
    )


def _hidden(stage: Stage, panel: int) -> list[Json]:
    """Grey under hatching where the mask hides a cell; it can be pointed at all the same."""
    masked = [[value is None for value in line] for line in stage.cells]
    said = "−∞ before softmax" if stage.key == "scores" else "0: the mask hides it"
    grey = token_map(
        f"{stage.title}, hidden",
        np.where(masked, 1.0, np.nan),
        0,
        1,
        ((0, style.MASKED), (1, style.MASKED)),
        gaps_up_to=0,
        showscale=False,
        hovertemplate=f"query %{{y}}<br>key %{{x}}<br><b>{said}</b><extra></extra>",
        **on(panel),
    )
    xs, ys = _corners(masked)
    lines = {"shape": "/", "size": 7, "solidity": 0.12, "fgcolor": style.LIGHT.cut_line}
    hatching = scatter(
        f"{stage.title}, hatching",
        xs,
        ys,
        "lines",
        line={"width": 0},
        fill="toself",
        fillcolor=style.MASKED,
        fillpattern={**lines, "bgcolor": style.MASKED, "fillmode": "replace"},
        **SILENT,
        **on(panel),
    )
    return [grey, hatching]


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


def _outlines(record: HeadStagesRecord, stage: Stage, panel: int) -> list[Json]:
    """The selected query's row in a solid frame, the chosen key's row or column in a dashed one."""
    right, bottom = len(stage.cells[0]) - 0.5, len(stage.cells) - 0.5
    row = (record.query if stage.rows == "query" else record.key) // stage.row_block
    found = [box((-0.5, right), (row - 0.5, row + 0.5), panel, line=_line(stage.rows))]
    if stage.columns == "key":
        column = record.key // stage.column_block
        found.append(box((column - 0.5, column + 0.5), (-0.5, bottom), panel, line=_line("key")))
    return found


def _line(along: str) -> Json:
    width, dash = {"query": (2, "solid"), "key": (1.5, "dot")}[along]
    return {"color": style.LIGHT.ink, "width": width, "dash": dash}


def _ticks(record: HeadStagesRecord, stage: Stage, side: int) -> Json:
    """Names of rows (side 0) or columns (1) for the hover; the names on screen are annotations."""
    along, block = (stage.rows, stage.row_block) if side == 0 else (stage.columns, stage.column_block)
    n = len(stage.cells) if side == 0 else len(stage.cells[0])
    if along == "dimension" or block > 1:
        names = [_span(block, cell, stage.shape[side]) for cell in range(n)]
    else:
        names = [f"{cell} “{style.label(record.tokens[cell], 12)}”" for cell in range(n)]
    return {"tickvals": list(range(n)), "ticktext": names}
