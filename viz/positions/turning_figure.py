"""Before and after the rotation in one pair's plane, and all pairs as clocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.positions.turning import Point, Turning, named, turned_point, turning_title, turning_words

FUNCTION = "rotation.js#turn"
_RADIUS = 0.42  # of a clock, in a grid of unit cells
_ONE = {"queries": "query", "keys": "key"}
_QUERY, _KEY = style.LIGHT.accent, style.category(5)
_PANELS = {"": ([0.0, 0.3], [0.0, 0.96]), "2": ([0.345, 0.645], [0.0, 0.96]), "3": ([0.69, 1.0], [0.0, 0.96])}
_NARROW = {"": ([0.0, 1.0], [0.7, 0.95]), "2": ([0.0, 1.0], [0.36, 0.62]), "3": ([0.0, 1.0], [0.0, 0.28])}


def plane_reach(record: Turning) -> float:
    """Half the side of the plane that holds all arrows."""
    points = [*record.q, *record.k, *record.turned_q, *record.turned_k]
    return 1.12 * max(float(np.abs(np.array(points)).max()), 1e-9)


def turning_figure(record: Turning, reach: float | None = None) -> Drawn:
    """Three panels; the selected query and the clocks move in the browser while the slider is dragged.

    `reach` is half the side of the planes, so that two runs have equal ones.
    """
    static, reach = _static(record), reach or plane_reach(record)
    narrow = _figure(record, static, reach, narrow=True)
    return Drawn(
        figure=_figure(record, static, reach, narrow=False),
        alt=f"RoPE in layer {record.layer}, head {record.head}. {turning_title(record)}. "
        f"{turning_words(record)} {len(record.frequencies)} pairs turn.",
        stem="rope-turning",
        table=_table(record),
        narrow_figure=narrow,
        middle_figure=narrow,
        browser=FUNCTION,
        browser_data={
            "still": static,
            "q": list(record.arrow(record.query, "q")),
            "frequencies": list(record.frequencies),
            "length": record.length,
            "pair": record.pair,
            "query": record.query,
            "name": named(record, record.query),
            "centres": [list(centre) for centre in _centres(record)],
            "radius": _RADIUS,
            "colors": {"query": _QUERY, "hand": style.LIGHT.muted},
        },
    )


def _table(record: Turning) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        "position": list(record.shown),
        "token": [style.visible(record.tokens[p]) for p in record.shown],
    }
    for name, which in (("q", "q"), ("q turned", "turned_q"), ("k", "k"), ("k turned", "turned_k")):
        for axis in (0, 1):
            columns[f"{name}, {'first' if axis == 0 else 'second'}"] = [
                point[axis] for point in getattr(record, which)
            ]
    return columns


def moving_traces(record: Turning) -> list[dict[str, Any]]:
    """What depends on the slider; assets/js/rotation.js makes the same (a test compares)."""
    tip = turned_point(record.arrow(record.query, "q"), record.angle, record.length)
    hands = [
        (x, y, x + _RADIUS * math.cos(record.at * theta), y + _RADIUS * math.sin(record.at * theta))
        for (x, y), theta in zip(_centres(record), record.frequencies, strict=False)
    ]
    mine = hands[record.pair]
    return [
        {
            "type": "scatter",
            "name": "selected query, turned",
            "mode": "lines+markers",
            "x": [0, tip[0]],
            "y": [0, tip[1]],
            "line": {"color": _QUERY, "width": 4},
            "marker": {"size": [0, 12], "color": _QUERY},
            "hovertemplate": f"q of {style.inert(named(record, record.query))} turned<br>"
            "%{x:.4g}, %{y:.4g}<extra></extra>",
            "xaxis": "x2",
            "yaxis": "y2",
        },
        {
            "type": "scatter",
            "name": "clocks",
            "mode": "lines",
            "x": [v for x, _, to, _ in hands for v in (x, to, None)],
            "y": [v for _, y, _, to in hands for v in (y, to, None)],
            "line": {"color": style.LIGHT.muted, "width": 2},
            "hoverinfo": "skip",
            "xaxis": "x3",
            "yaxis": "y3",
        },
        {
            "type": "scatter",
            "name": "this pair's clock",
            "mode": "lines",
            "x": [mine[0], mine[2]],
            "y": [mine[1], mine[3]],
            "line": {"color": _QUERY, "width": 4},
            "hoverinfo": "skip",
            "xaxis": "x3",
            "yaxis": "y3",
        },
    ]


def _centres(record: Turning) -> list[Point]:
    """Clock by clock, row by row; those that rest come last."""
    count = len(record.frequencies) + record.resting
    across = math.ceil(math.sqrt(count))
    return [(float(n % across), float(-(n // across))) for n in range(count)]


def _static(record: Turning) -> list[dict[str, Any]]:
    """All that the slider does not move."""
    traces = []
    for suffix, q, k in (("", "q", "k"), ("2", "turned_q", "turned_k")):
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        radius = math.hypot(*record.arrow(record.query, q))
        round_ = [radius * f(2 * math.pi * step / 72) for f in (math.cos, math.sin) for step in range(73)]
        traces.append(
            {
                "type": "scatter",
                "name": "its circle",
                "mode": "lines",
                "x": round_[:73],
                "y": round_[73:],
                "line": {"color": style.LIGHT.line, "width": 1, "dash": "dot"},
                "hoverinfo": "skip",
                **axes,
            }
        )
        traces.append(_arrows(record, q, "queries", style.faded(_QUERY, 0.45), "circle", axes))
        traces.append(_arrows(record, k, "keys", style.faded(_KEY, 0.45), "square", axes))
        traces.append(_thick(record, record.key, k, f"chosen key, {named(record, record.key)}", _KEY, axes))
        if not suffix:
            traces.append(_thick(record, record.query, q, "selected query", _QUERY, axes))
    return [*traces, *_faces(record)]


def _arrows(
    record: Turning, which: str, name: str, color: str, symbol: str, axes: dict[str, str]
) -> dict[str, Any]:
    """Thin arrows of all tokens as one broken line with a mark at each tip."""
    points = getattr(record, which)
    return {
        "type": "scatter",
        "name": name,
        "mode": "lines+markers",
        "x": [v for x, _ in points for v in (0, x, None)],
        "y": [v for _, y in points for v in (0, y, None)],
        "line": {"color": color, "width": 1},
        "marker": {"size": [0, 6, 0] * len(points), "color": color, "symbol": symbol, "line": {"width": 0}},
        "customdata": [v for p in record.shown for v in (p, p, p)],
        "hovertext": [
            v for p in record.shown for v in ("", f"{_ONE[name]} of {p} {style.inert(named(record, p))}", "")
        ],
        "hovertemplate": "%{hovertext}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        **axes,
    }


def _thick(
    record: Turning, position: int, which: str, name: str, color: str, axes: dict[str, str]
) -> dict[str, Any]:
    x, y = record.arrow(position, which)
    return {
        "type": "scatter",
        "name": style.inert(name),
        "mode": "lines+markers",
        "x": [0, x],
        "y": [0, y],
        "line": {"color": color, "width": 3},
        "marker": {"size": [0, 10], "color": color, "symbol": "square" if which.endswith("k") else "circle"},
        "hovertemplate": f"{style.inert(name)}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>",
        **axes,
    }


def _faces(record: Turning) -> list[dict[str, Any]]:
    """The clocks' rims, those that rest dashed; an invisible centre for each says its speed."""
    centres, n = _centres(record), len(record.frequencies)
    traces = []
    for name, some, dash in (("rims", centres[:n], "solid"), ("resting", centres[n:], "dot")):
        if not some:
            continue
        steps = [2 * math.pi * step / 24 for step in range(25)]
        traces.append(
            {
                "type": "scatter",
                "name": name,
                "mode": "lines",
                "x": [v for x, _ in some for v in (*(x + _RADIUS * math.cos(a) for a in steps), None)],
                "y": [v for _, y in some for v in (*(y + _RADIUS * math.sin(a) for a in steps), None)],
                "line": {"color": style.LIGHT.line, "width": 1, "dash": dash},
                "hoverinfo": "skip",
                "xaxis": "x3",
                "yaxis": "y3",
            }
        )
    says = [
        f"pair {pair}: {style.three_digits(theta)} rad a token, once round in {_tokens(theta)}"
        for pair, theta in enumerate(record.frequencies)
    ] + ["does not turn"] * record.resting
    traces.append(
        {
            "type": "scatter",
            "name": "speeds",
            "mode": "markers",
            "x": [x for x, _ in centres],
            "y": [y for _, y in centres],
            "marker": {"size": 18, "opacity": 0, "color": style.LIGHT.muted},
            "customdata": [*range(n), *([-1] * record.resting)],
            "hovertext": says,
            "hovertemplate": "%{hovertext}<extra></extra>",
            "xaxis": "x3",
            "yaxis": "y3",
        }
    )
    return traces


def _tokens(theta: float) -> str:
    return "no number of tokens" if theta == 0 else style.three_digits(2 * math.pi / abs(theta), "tokens")


def _figure(record: Turning, static: list[dict[str, Any]], reach: float, narrow: bool) -> go.Figure:
    figure = go.Figure([*static, *moving_traces(record)])
    panels = _NARROW if narrow else _PANELS
    for suffix, (across, down) in panels.items():
        plane = suffix != "3"
        centres = _centres(record)
        ranges = (
            ([-reach, reach], [-reach, reach])
            if plane
            else ([-0.6, max(x for x, _ in centres) + 0.6], [min(y for _, y in centres) - 0.6, 0.6])
        )
        shared: dict[str, Any] = {
            "fixedrange": True,
            "showgrid": False,
            "zeroline": plane,
            "zerolinecolor": style.LIGHT.grid,
            "showticklabels": plane,
            "nticks": 5,
            "tickfont": {"size": 10, "color": style.LIGHT.muted},
        }
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=across, anchor=f"y{suffix}", range=ranges[0], constrain="domain", **shared
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=down,
            anchor=f"x{suffix}",
            range=ranges[1],
            scaleanchor=f"x{suffix}",
            constrain="domain",
            **shared,
        )
    figure.update_layout(
        template=style.TEMPLATE,
        height=1040 if narrow else 440,
        width=None if narrow else style.WIDE_PRINT,
        showlegend=False,
        title={"text": style.inert(turning_title(record)), "font": {"size": 12 if narrow else 16}},
        annotations=[_head(words, suffix, panels) for suffix, words in _heads(record).items()],
        margin={"l": 30, "r": 8, "t": 50, "b": 24},
    )
    return figure


def _heads(record: Turning) -> dict[str, str]:
    key = style.inert(named(record, record.key))
    query = style.inert(named(record, record.query))
    return {
        "": f"<b>Before</b>: q of {query} (blue), k of {key} (red)",
        "2": "<b>Turned</b>: each token by its position",
        "3": f"<b>All {len(record.frequencies)} pairs</b>, fastest first"
        + (f"; {record.resting} at rest" if record.resting else ""),
    }


def _head(words: str, suffix: str, panels: dict[str, Any]) -> dict[str, Any]:
    across, down = panels[suffix]
    place = {"x": across[0], "y": down[1], "xref": "paper", "yref": "paper"}
    return {
        "text": words,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 4,
        "align": "left",
        "font": {"size": 12, "color": style.LIGHT.ink},
        **place,
    }
