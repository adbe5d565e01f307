"""The picture of a projection, in a plane (SVG: every point is reachable by keyboard) or in space."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.vectors.projection import LONGEST_NAME, METHODS, ProjectionMap, kept_words, selected_words

HEIGHT, NARROW_HEIGHT = 560, 430
# In space symbols are letters of a font; "x" is missing in many.
_SYMBOLS = ("circle", "square", "diamond", "cross", "circle-open", "square-open", "diamond-open", "circle")
_FLAT_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
_CUBE = {
    "aspectmode": "cube",
    "dragmode": "turntable",
    "camera": {"eye": {"x": 1.45, "y": 1.45, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.12}},
}


def projection_figure(record: ProjectionMap) -> Drawn:
    """Points coloured by group; the selected one joined to its nearest neighbours in the full space."""
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=_alt(record),
        stem=f"projection-{record.method}",
        table=_table(record),
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: ProjectionMap, narrow: bool) -> go.Figure:
    figure = go.Figure()
    _draw_neighbours(figure, record)
    _draw_points(figure, record)
    _draw_rings(figure, record)
    _draw_names(figure, record, record.named_narrow if narrow else record.named)
    _finish(figure, record, narrow)
    if record.n_axes > 2:
        _lay_out_space(figure, record)
    else:
        _lay_out_plane(figure, record, narrow)
    return figure


def _trace(record: ProjectionMap, at: Any, **rest: Any) -> Any:
    """A scatter trace of the points `at` (indices; -1 breaks a line), in as many dimensions as there are."""
    columns = [
        np.array([np.nan if one < 0 else axis[one] for one in at], dtype=np.float32) for axis in record.places
    ]
    kind = go.Scatter3d if record.n_axes > 2 else go.Scatter
    return kind(**dict(zip("xyz", columns, strict=False)), **rest)


def _size(record: ProjectionMap) -> float:
    n_points = len(record.labels)
    size = 10 if n_points <= 100 else 8 if n_points <= 400 else 6 if n_points <= 1500 else 4
    return size * (0.6 if record.n_axes > 2 else 1.0)


def _draw_points(figure: go.Figure, record: ProjectionMap) -> None:
    """One trace a group, so that the legend can hide it."""
    symbols = _SYMBOLS if record.n_axes > 2 else _FLAT_SYMBOLS
    for number, name in enumerate(record.group_names):
        at = [point for point, group in enumerate(record.groups) if group == number]
        if not at:
            continue
        color: Any = style.category(number)
        if record.colors is not None:
            color = [record.colors[point] for point in at]
        hints = [record.hints[point] for point in at] if record.hints else None
        near = "" if hints is None else "<br>nearest: %{hovertext}"
        shown = style.inert(style.shorten(style.prose(name), 30))
        group = f"<br>{shown}" if len(record.group_names) > 1 else ""
        figure.add_trace(
            _trace(
                record,
                at,
                name=shown,
                mode="markers",
                marker={"size": _size(record), "color": color, "symbol": symbols[number], "opacity": 0.85},
                text=[style.label(record.labels[point]) for point in at],
                hovertext=hints,
                customdata=np.array(at, dtype=np.int32),
                hovertemplate=f"<b>%{{text}}</b>{group}{near}<extra></extra>",
            )
        )


def _draw_neighbours(figure: go.Figure, record: ProjectionMap) -> None:
    """Lines from the selected point: full where the picture keeps the neighbour near, dotted where not."""
    chosen = record.selected
    if chosen is None:
        return
    for here, name, dash in ((True, "near here, too", "solid"), (False, "far off here", "dot")):
        ends = [
            other for other, near in zip(chosen.neighbours, chosen.near_here, strict=True) if near is here
        ]
        if ends:
            figure.add_trace(
                _trace(
                    record,
                    [point for end in ends for point in (chosen.index, end, -1)],
                    name=f"neighbour, {name}",
                    mode="lines",
                    showlegend=False,
                    line={"color": style.LIGHT.accent, "width": 2, "dash": dash},
                    hoverinfo="skip",
                )
            )


def _draw_rings(figure: go.Figure, record: ProjectionMap) -> None:
    rings = [("found", record.found[:200], style.LIGHT.ink)]
    if record.selected is not None:
        rings.append(("selected", (record.selected.index,), style.LIGHT.accent))
    for name, at, color in rings:
        if at:
            size = _size(record) * 1.9 if record.n_axes > 2 else _size(record) + 8
            marker = {"size": size, "symbol": "circle-open", "color": color}
            figure.add_trace(
                _trace(
                    record,
                    at,
                    name=name,
                    mode="markers",
                    marker={**marker, "line": {"width": 2, "color": color}},
                    showlegend=False,
                    hoverinfo="skip",
                )
            )


def _draw_names(figure: go.Figure, record: ProjectionMap, named: tuple[int, ...]) -> None:
    if named:
        figure.add_trace(
            _trace(
                record,
                named,
                name="names",
                mode="text",
                text=[style.label(record.labels[at], LONGEST_NAME) for at in named],
                textposition="top center",
                textfont={"size": 12, "color": style.LIGHT.ink},
                showlegend=False,
                hoverinfo="skip",
                **({} if record.n_axes > 2 else {"cliponaxis": False}),
            )
        )


def _finish(figure: go.Figure, record: ProjectionMap, narrow: bool) -> None:
    several = len([True for trace in figure.data if trace.showlegend is not False]) > 1
    top = (104 if narrow else 76) if several else 48
    figure.update_layout(
        template=style.TEMPLATE,
        height=NARROW_HEIGHT if narrow else HEIGHT,
        title={"text": _title(record), "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8, "t": top, "b": 8},
        showlegend=several,
        legend={"font": {"size": 11 if narrow else 12}, "entrywidthmode": "pixels", "entrywidth": 0},
        hovermode="closest",
        # Another method or other points are another picture, whose zoom starts anew.
        uirevision=f"{record.method} {record.n_axes} {len(record.labels)} {record.labels[:3]}",
    )


def _lay_out_plane(figure: go.Figure, record: ProjectionMap, narrow: bool) -> None:
    for number, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
        title = {"text": _axis_title(record, number), "font": {"size": 11 if narrow else 12}}
        update(title=title, zeroline=False, fixedrange=False)
        if record.explained is None:
            update(showticklabels=False)
        if record.ranges is not None:
            update(range=list(record.ranges[number]))
    if record.method == "axis":
        _draw_ends(figure, record)
    else:
        figure.update_yaxes(scaleanchor="x", scaleratio=1)


def _lay_out_space(figure: go.Figure, record: ProjectionMap) -> None:
    figure.update_layout(scene=_CUBE)
    for number, axis in enumerate("xyz"):
        part = "" if record.explained is None else f": {style.share(record.explained[number])}"
        figure.update_layout(
            {
                f"scene.{axis}axis": {
                    "title": {"text": f"axis {number + 1}{part}", "font": {"size": 11}},
                    "showbackground": False,
                    "gridcolor": style.LIGHT.grid,
                    "zerolinecolor": style.LIGHT.line,
                    "linecolor": style.LIGHT.line,
                    "color": style.LIGHT.muted,
                    "tickfont": {"size": 10},
                    "showticklabels": record.explained is not None,
                    "showspikes": False,
                }
            }
        )
        if record.ranges is not None:
            figure.update_layout({f"scene.{axis}axis.range": list(record.ranges[number])})


def _draw_ends(figure: go.Figure, record: ProjectionMap) -> None:
    """The axis's own words at both edges, and dotted lines at 0 and 1 where points lie so far out."""
    low, high = min(record.places[0]), max(record.places[0])
    for at, word in enumerate(record.ends or ()):
        shown = style.label(word, LONGEST_NAME)
        figure.add_annotation(
            x=at,
            xref="paper",
            y=0,
            yref="paper",
            yanchor="bottom",
            xanchor="right" if at else "left",
            text=f"{shown} →" if at else f"← {shown}",
            font={"color": style.LIGHT.accent, "size": 13},
        )
        if low <= at <= high:
            figure.add_vline(x=at, line={"color": style.LIGHT.line, "width": 1, "dash": "dot"})


def _axis_title(record: ProjectionMap, number: int) -> str:
    if record.explained is None:
        return f"{METHODS[record.method]} {number + 1} (no unit)"
    part = f"{style.share(record.explained[number])} of the variance"
    if record.method == "axis":
        left, right = (style.label(word, LONGEST_NAME) for word in record.ends or ("", ""))
        first = f"from {left} (0) to {right} (1): {part}"
        return first if number == 0 else f"axis {number} of the rest: {part}"
    return f"principal axis {number + 1}: {part}"


def _title(record: ProjectionMap) -> str:
    kept = style.share(record.mean_kept)
    if record.method == "axis":
        left, right = (style.label(word, LONGEST_NAME) for word in record.ends or ("", ""))
        return f"From “{left}” to “{right}”: {kept} of neighbours kept"
    if record.explained is None:
        return f"{METHODS[record.method]}: {kept} of neighbours kept"
    return f"PCA: {kept} of neighbours kept, {style.share(min(sum(record.explained), 1.0))} of variance"


def _alt(record: ProjectionMap) -> str:
    groups = "" if len(record.group_names) < 2 else f" in {len(record.group_names)} groups"
    axes = ""
    if record.explained is not None:
        shares = ", ".join(style.share(share) for share in record.explained)
        axes = f" The axes hold {shares} of the variance."
    return (
        f"{METHODS[record.method]} of {len(record.labels):,} points{groups}, {record.n_axes} dimensions."
        f"{axes} {kept_words(record.mean_kept, record.by_chance, record.k)} {selected_words(record)}"
    )


def _table(record: ProjectionMap) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {
        "point": [style.visible(label) for label in record.labels],
        "group": [record.group_names[group] for group in record.groups],
    }
    for number, column in enumerate(record.places):
        table["xyz"[number]] = list(column)
    table[f"share of {record.k} neighbours kept"] = list(record.kept)
    return table
