"""Small multiples of the four schemes: table, similarity and profile, one column a scheme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.positions.schemes import Missing, Scheme, explained_words, scheme_sentence

_HEAD = 0.085  # of the figure's height, for names
_GAP = 0.022  # of its width, between columns
_PROFILE = 0.2  # of its height
# Places of the panels of one scheme on a phone, in its quarter: left, right; bottom, top.
_NARROW = {"table": ((0.0, 0.46), (0.36, 0.86)), "similarity": ((0.54, 1.0), (0.36, 0.86))}
_NARROW["profile"] = ((0.0, 1.0), (0.07, 0.26))


def schemes_figure(schemes: Sequence[Scheme | Missing]) -> Drawn:
    """Four columns; on a phone four blocks below one another."""
    drawn = [scheme for scheme in schemes if isinstance(scheme, Scheme)]
    narrow = _figure(schemes, narrow=True)
    return Drawn(
        figure=_figure(schemes, narrow=False),
        alt="Four position schemes: the table or bias, the similarity of every two positions, and the "
        f"similarity by distance. {' '.join(scheme_sentence(scheme) for scheme in schemes)}",
        stem="position-schemes",
        table={
            "scheme": [scheme.name for scheme in drawn for _ in scheme.distances],
            "distance": [d for scheme in drawn for d in scheme.distances],
            "mean": [v for scheme in drawn for v in scheme.mean],
            "least": [v for scheme in drawn for v in scheme.low],
            "largest": [v for scheme in drawn for v in scheme.high],
        },
        narrow_figure=narrow,
        middle_figure=narrow,
    )


def _figure(schemes: Sequence[Scheme | Missing], narrow: bool) -> go.Figure:
    figure = go.Figure()
    annotations: list[dict[str, Any]] = []
    for number, scheme in enumerate(schemes):
        place = _places(number, len(schemes), narrow)
        annotations.append(_name(scheme, place, narrow))
        if isinstance(scheme, Missing):
            annotations.append(_reason(scheme, place))
            continue
        for kind in ("table", "similarity", "profile"):
            _add_panel(
                figure, scheme, kind, 3 * number + ("table", "similarity", "profile").index(kind), place
            )
            annotations.append(_says(scheme, kind, place, narrow))
    figure.update_layout(
        template=style.TEMPLATE,
        height=4 * 400 if narrow else 700,
        width=None if narrow else style.WIDE_PRINT,
        showlegend=False,
        annotations=annotations,
        plot_bgcolor=style.LIGHT.background,
        title={
            "text": _title(schemes).replace("; ", ";<br>") if narrow else _title(schemes),
            "font": {"size": 13 if narrow else 16},
            "pad": {"t": 36 if narrow else 6, "b": 0},  # plotly.js moves a title of two lines up by one
        },
        margin={"l": 34, "r": 8, "t": 64 if narrow else 40, "b": 30},
    )
    return figure


def _title(schemes: Sequence[Scheme | Missing]) -> str:
    """Which schemes hold only distances."""
    known = [scheme for scheme in schemes if isinstance(scheme, Scheme)]
    pure = [scheme.name for scheme in known if explained_words(scheme) == "alone decides"]
    rest = [scheme.name for scheme in known if scheme.name not in pure]
    if not pure:
        return "Similarity of two positions under four schemes"
    said = ", ".join(pure[:-1]) + (" and " if len(pure) > 1 else "") + pure[-1]
    return f"{said}: only the distance counts" + (f"; {', '.join(rest)}: also the place" if rest else "")


Place = dict[str, tuple[tuple[float, float], tuple[float, float]]]


def _places(number: int, count: int, narrow: bool) -> Place:
    """Domains (across, down) of the panels of one scheme, and of its "name"."""
    if narrow:
        low, high = 1 - (number + 1) / count, 1 - number / count
        scale = high - low
        places = {
            kind: (across, (low + scale * down[0], low + scale * down[1]))
            for kind, (across, down) in _NARROW.items()
        }
        return {**places, "name": ((0.0, 1.0), (low, low + 0.96 * scale))}
    left, right = number / count + (_GAP if number else 0) / 2, (number + 1) / count - _GAP
    body = 1 - _HEAD - _PROFILE
    rows = {
        "table": (1 - _HEAD - body / 2 + 0.035, 1 - _HEAD - 0.02),
        "similarity": (_PROFILE + 0.045, _PROFILE + body / 2 - 0.01),
        "profile": (0.0, _PROFILE - 0.055),
    }
    return {
        **{kind: ((left, right), down) for kind, down in rows.items()},
        "name": ((left, right), (1 - _HEAD, 1.0)),
    }


def _name(scheme: Scheme | Missing, place: Place, narrow: bool) -> dict[str, Any]:
    source = scheme.source if isinstance(scheme, Scheme) else "none here"
    words = style.inert(style.shorten(source, 30))
    (left, _), (_, top) = place["name"]
    return {
        "text": f"<b>{scheme.name}</b>{', ' if narrow else '<br>'}{words}",
        "x": left,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "font": {"size": 13, "color": style.LIGHT.ink},
    }


def _reason(scheme: Missing, place: Place) -> dict[str, Any]:
    (left, _), (_, top) = place["table"]
    return {
        "text": "<br>".join(_wrapped(style.inert(scheme.reason), 30)),
        "x": left,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
    }


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _says(scheme: Scheme, kind: str, place: Place, narrow: bool) -> dict[str, Any]:
    """A line above a panel: what it is, and the ends of its colours."""
    (left, _), (_, top) = place[kind]
    reach = style.three_digits(scheme.table_reach if kind == "table" else scheme.similarity_reach)
    words = {
        "table": f"{scheme.table_says}, ±{reach}",
        "similarity": f"{scheme.similarity_says}, ±{reach}",
        "profile": f"by distance: <b>{explained_words(scheme)}</b>",
    }[kind]
    return {
        "text": words,
        "x": left,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "align": "left",
        "font": {
            "size": 11 if narrow else 12,
            "color": style.LIGHT.muted if kind != "profile" else style.LIGHT.ink,
        },
    }


def _add_panel(figure: go.Figure, scheme: Scheme, kind: str, number: int, place: Place) -> None:
    suffix = str(number + 1) if number else ""
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    if kind == "profile":
        _add_profile(figure, scheme, axes)
    else:
        _add_map(figure, scheme, kind, axes)
    across, down = place[kind]
    shared: dict[str, Any] = {"fixedrange": True, "zeroline": False, "automargin": False}
    shared |= {"tickfont": {"size": 10, "color": style.LIGHT.muted}, "showgrid": kind == "profile"}
    if kind != "profile":
        shared |= {"showline": True, "mirror": True, "linecolor": style.LIGHT.line}
    x: dict[str, Any] = {"domain": across, "anchor": f"y{suffix}", **_x_axis(scheme, kind), **shared}
    y: dict[str, Any] = {"domain": down, "anchor": f"x{suffix}", **_y_axis(scheme, kind), **shared}
    figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(**x)
    figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(**y)


def _x_axis(scheme: Scheme, kind: str) -> dict[str, Any]:
    if kind == "table":
        return {"showticklabels": False}
    if kind == "profile":
        ends = [0, scheme.distances[-1]]
        return {"tickvals": ends, "ticktext": ["0", f"{ends[1]:,}"], "range": [0, ends[1] or 1]}
    last = scheme.positions[-1]
    return {"tickvals": [0, last], "ticktext": ["j = 0", f"{last:,}"]}


def _y_axis(scheme: Scheme, kind: str) -> dict[str, Any]:
    if kind == "profile":
        low, high = min(scheme.low), max(scheme.high)
        room = 0.08 * ((high - low) or 1.0)
        return {"nticks": 3, "range": [low - room, high + room]}
    last = scheme.positions[-1]
    names = ["0", f"{last:,}"] if kind == "table" else ["i = 0", f"{last:,}"]
    step = scheme.positions[1] if len(scheme.positions) > 1 else 1
    return {"range": [last + step / 2, -step / 2], "tickvals": [0, last], "ticktext": names, "tickangle": -90}


def _add_map(figure: go.Figure, scheme: Scheme, kind: str, axes: dict[str, str]) -> None:
    rows = scheme.table if kind == "table" else scheme.similarity
    reach = scheme.table_reach if kind == "table" else scheme.similarity_reach
    values = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=np.float32)
    columns = "head" if scheme.key == "alibi" else "column"
    row = "distance" if scheme.key == "alibi" else "position"
    hover = (
        f"{row} %{{y}}, {columns} %{{x}}<br>%{{z:.3g}}"
        if kind == "table"
        else "positions %{y} and %{x}<br>%{z:.3g}"
    )
    figure.add_heatmap(
        name=f"{scheme.name}, {kind}",
        z=values,
        y=np.array(scheme.positions[: len(values)], dtype=np.int32),
        x=None if kind == "table" else np.array(scheme.positions, dtype=np.int32),
        zmin=-reach,
        zmax=reach,
        colorscale=style.SIGNED_SCALE,
        showscale=False,
        xgap=0,
        ygap=0,
        hovertemplate=f"{hover}<extra>{scheme.name}</extra>",
        **axes,
    )


def _add_profile(figure: go.Figure, scheme: Scheme, axes: dict[str, str]) -> None:
    """The mean by distance, in a band from the least to the largest value."""
    at = np.array(scheme.distances, dtype=np.int32)
    figure.add_scatter(
        name=f"{scheme.name}, least to largest",
        x=np.concatenate((at, at[::-1])),
        y=np.array([*scheme.high, *scheme.low[::-1]], dtype=np.float32),
        mode="lines",
        line={"width": 0, "color": style.category(1)},
        fill="toself",
        fillcolor=style.faded(style.category(1), 0.45),
        hoverinfo="skip",
        **axes,
    )
    figure.add_scatter(
        name=f"{scheme.name}, mean",
        x=at,
        y=np.array(scheme.mean, dtype=np.float32),
        mode="lines",
        line={"color": style.LIGHT.accent, "width": 2},
        hovertemplate=f"distance %{{x}}: %{{y:.3g}}<extra>{scheme.name}</extra>",
        **axes,
    )
