"""The picture of a projection, in a plane (SVG: every point is reachable by keyboard) or in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import SILENT, Json, Look, drawn, figure, ink, line, note
from viz.vectors.projection import LONGEST_NAME, METHODS, ProjectionMap, kept_words, selected_words

# In space symbols are letters of a font; "x" is missing in many.
_SYMBOLS = ("circle", "square", "diamond", "cross", "circle-open", "square-open", "diamond-open", "circle")
_FLAT_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


def projection_figure(record: ProjectionMap) -> Drawn:
    """Points coloured by group; the selected one joined to its nearest neighbours in the full space."""
    return drawn(_figure, record, alt=_alt(record), stem=f"projection-{record.method}", table=_table(record))


def _figure(record: ProjectionMap, look: Look) -> go.Figure:
    points = _points(record)
    several = len(points) > 1
    return figure(
        [*_neighbours(record), *points, *_rings(record), *_names(record, look)],
        **(_space(record) if record.n_axes > 2 else _plane(record, look)),
        height=look.pick(560, 430),
        title=look.title(_title(record)),
        margin={"t": look.pick(76, 104) if several else 48},
        showlegend=several,
        legend={"font": {"size": look.pick(12, 11)}, "entrywidthmode": "pixels", "entrywidth": 0},
        hovermode="closest",
        # Another method or other points are another picture, whose zoom starts anew.
        uirevision=f"{record.method} {record.n_axes} {len(record.labels)} {record.labels[:3]}",
    )


def _trace(record: ProjectionMap, name: str, mode: str, at: Sequence[int], **more: Any) -> Json:
    """A scatter trace of the points `at` (indices; -1 breaks a line), in as many dimensions as there are."""
    columns = [
        np.array([np.nan if one < 0 else axis[one] for one in at], dtype=np.float32) for axis in record.places
    ]
    kind = "scatter3d" if record.n_axes > 2 else "scatter"
    return {"type": kind, "name": name, "mode": mode, **dict(zip("xyz", columns, strict=False)), **more}


def _size(record: ProjectionMap) -> float:
    n_points = len(record.labels)
    size = 10 if n_points <= 100 else 8 if n_points <= 400 else 6 if n_points <= 1500 else 4
    return size * (0.6 if record.n_axes > 2 else 1.0)


def _points(record: ProjectionMap) -> list[Json]:
    """One trace a group, so that the legend can hide it."""
    symbols = _SYMBOLS if record.n_axes > 2 else _FLAT_SYMBOLS
    traces = []
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
        traces.append(
            _trace(
                record,
                shown,
                "markers",
                at,
                marker={"size": _size(record), "color": color, "symbol": symbols[number], "opacity": 0.85},
                text=[style.label(record.labels[point]) for point in at],
                hovertext=hints,
                customdata=np.array(at, dtype=np.int32),
                hovertemplate=f"<b>%{{text}}</b>{group}{near}<extra></extra>",
            )
        )
    return traces


def _neighbours(record: ProjectionMap) -> list[Json]:
    """Lines from the selected point: full where the picture keeps the neighbour near, dotted where not."""
    chosen = record.selected
    if chosen is None:
        return []
    traces = []
    for here, name, dash in ((True, "near here, too", "solid"), (False, "far off here", "dot")):
        ends = [
            other for other, near in zip(chosen.neighbours, chosen.near_here, strict=True) if near is here
        ]
        at = [point for end in ends for point in (chosen.index, end, -1)]
        drawn_as = {"color": style.LIGHT.accent, "width": 2, "dash": dash}
        if at:
            more = {"line": drawn_as, "showlegend": False, **SILENT}
            traces.append(_trace(record, f"neighbour, {name}", "lines", at, **more))
    return traces


def _rings(record: ProjectionMap) -> list[Json]:
    """Around what was found, and around the selected point."""
    chosen = () if record.selected is None else (record.selected.index,)
    size = _size(record) * 1.9 if record.n_axes > 2 else _size(record) + 8
    rings = (("found", record.found[:200], style.LIGHT.ink), ("selected", chosen, style.LIGHT.accent))
    return [
        _trace(
            record,
            name,
            "markers",
            at,
            marker={
                "size": size,
                "symbol": "circle-open",
                "color": color,
                "line": {"width": 2, "color": color},
            },
            showlegend=False,
            **SILENT,
        )
        for name, at, color in rings
        if at
    ]


def _names(record: ProjectionMap, look: Look) -> list[Json]:
    named = look.pick(record.named, record.named_narrow)
    texts = [style.label(record.labels[at], LONGEST_NAME) for at in named]
    more: Json = {"text": texts, "textfont": ink(12), "textposition": "top center", "showlegend": False}
    if record.n_axes == 2:
        more["cliponaxis"] = False
    return [_trace(record, "names", "text", named, **more, **SILENT)] if named else []


def _plane(record: ProjectionMap, look: Look) -> Json:
    x, y = (
        {
            "title": {"text": _axis_title(record, number), "font": {"size": look.pick(12, 11)}},
            "fixedrange": False,
            "showticklabels": record.explained is not None,
            **_range(record, number),
        }
        for number in range(2)
    )
    if record.method == "axis":
        return {"xaxis": x, "yaxis": y, **_ends(record)}
    return {"xaxis": x, "yaxis": {**y, "scaleanchor": "x", "scaleratio": 1}}


def _range(record: ProjectionMap, number: int) -> Json:
    return {} if record.ranges is None else {"range": list(record.ranges[number])}


def _space(record: ProjectionMap) -> Json:
    scene: Json = {
        "aspectmode": "cube",
        "dragmode": "turntable",
        "camera": {"eye": {"x": 1.45, "y": 1.45, "z": 0.9}, "center": {"x": 0, "y": 0, "z": -0.12}},
    }
    for number, axis in enumerate("xyz"):
        part = "" if record.explained is None else f": {style.share(record.explained[number])}"
        scene[f"{axis}axis"] = {
            "title": {"text": f"axis {number + 1}{part}", "font": {"size": 11}},
            "showbackground": False,
            "gridcolor": style.LIGHT.grid,
            "zerolinecolor": style.LIGHT.line,
            "linecolor": style.LIGHT.line,
            "color": style.LIGHT.muted,
            "tickfont": {"size": 10},
            "showticklabels": record.explained is not None,
            "showspikes": False,
            **_range(record, number),
        }
    return {"scene": scene}


def _ends(record: ProjectionMap) -> Json:
    """The axis's own words at both edges, and dotted lines at 0 and 1 where points lie so far out."""
    low, high = min(record.places[0]), max(record.places[0])
    font = {"color": style.LIGHT.accent, "size": 13}
    left, right = (style.label(word, LONGEST_NAME) for word in record.ends or ("", ""))
    words = [
        note(f"← {left}", 0, 0, "left bottom", within="xy", font=font),
        note(f"{right} →", 1, 0, "right bottom", within="xy", font=font),
    ]
    lines = [line(x=at, dash="dot", color=style.LIGHT.line) for at in (0, 1) if low <= at <= high]
    return {"annotations": words, "shapes": lines}


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
