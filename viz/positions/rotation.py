"""One pair's plane before and after the rotation, and all pairs as clocks: a slider turns the selected query.

The words and moving traces have a twin in assets/js/rotation.js (a test compares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.equations import worked
from viz.panels import PHONE, SILENT, Json, Look, Span, drawn, figure, ink, note, on, panels, scatter

FUNCTION = "rotation.js#turn"
MOST_ARROWS = 64  # thin arrows of a kind in a panel
_RADIUS = 0.42  # of a clock, in a grid of unit cells
_QUERY, _KEY = style.LIGHT.accent, style.category(5)
_BEFORE, _TURNED, _CLOCKS = range(3)  # panels
_ACROSS: tuple[Span, ...] = ((0, 0.3), (0.345, 0.645), (0.69, 1))
_UP: tuple[Span, ...] = ((0.7, 0.95), (0.36, 0.62), (0, 0.28))  # on a phone
Point = tuple[float, float]


@dataclass(frozen=True)
class Turning:
    """One pair of numbers of one head: the queries and keys in its plane, and all pairs as clocks.

    Positions count from 0. `at` is the position by which the selected query is turned.
    """

    tokens: tuple[str, ...]
    layer: int
    head: int
    pair: int
    query: int
    key: int
    at: int
    shown: tuple[int, ...]  # positions whose arrows are drawn
    q: tuple[Point, ...]  # of the positions shown, before
    k: tuple[Point, ...]
    turned_q: tuple[Point, ...]  # after, as attention received them
    turned_k: tuple[Point, ...]
    frequencies: tuple[float, ...]  # radians a position, by pair
    length: float  # what the rotation multiplies lengths by
    resting: int  # pairs that do not turn
    reach: float  # half the side of the planes: holds all arrows, or those of several runs

    @property
    def centres(self) -> list[Point]:
        """Of the clocks, row by row; those that rest come last."""
        count = len(self.frequencies) + self.resting
        across = math.ceil(math.sqrt(count))
        return [(float(n % across), float(-(n // across))) for n in range(count)]

    @property
    def angle(self) -> float:
        """Radians that the selected query is turned by."""
        return self.at * self.frequencies[self.pair]

    def arrow(self, position: int, which: str) -> Point:
        """The arrow of a shown position: "q", "k", "turned_q" or "turned_k"."""
        point: Point = getattr(self, which)[self.shown.index(position)]
        return point


def turning_record(
    planes: dict[str, np.ndarray],  # "q", "k", "turned_q", "turned_k" -> [pos, 2], the pair's two numbers
    frequencies: np.ndarray,  # [pair]
    tokens: Sequence[str],
    *,
    layer: int,
    head: int,
    pair: int,
    query: int,
    key: int,
    at: int,
    length: float,
    resting: int,
) -> Turning:
    """Values -> what will be drawn; of long prompts evenly spaced tokens, the selected two always."""
    spaced = np.linspace(0, len(tokens) - 1, min(len(tokens), MOST_ARROWS)).round()
    shown = sorted({*(int(p) for p in spaced), query, key})
    points = {
        name: tuple((float(plane[p, 0]), float(plane[p, 1])) for p in shown) for name, plane in planes.items()
    }
    longest = max(float(np.abs(list(plane)).max()) for plane in points.values())
    return Turning(
        tokens=tuple(tokens),
        layer=layer,
        head=head,
        pair=pair,
        query=query,
        key=key,
        at=at,
        shown=tuple(shown),
        frequencies=tuple(float(f) for f in frequencies),
        length=length,
        resting=resting,
        reach=1.12 * max(longest, 1e-9),
        **points,
    )


def turned_point(point: Point, angle: float, length: float = 1.0) -> Point:
    """A pair turned by `angle` radians, against the clock.

    >>> turned_point((1.0, 0.0), math.pi / 2)[1]
    1.0
    """
    x, y = point
    cos, sin = length * math.cos(angle), length * math.sin(angle)
    return x * cos - y * sin, y * cos + x * sin


def degrees(radians: float) -> str:
    """
    >>> degrees(math.pi / 2)
    '90°'
    """
    return f"{style.three_digits(math.degrees(radians))}°"


def named(record: Turning, position: int) -> str:
    return f"“{style.shorten(style.visible(record.tokens[position]), 16)}”"


def turning_title(record: Turning) -> str:
    """The finding, plain text."""
    name = named(record, record.query)
    return f"{name} at position {record.at:,}: pair {record.pair} turns by {degrees(record.angle)}"


def turning_words(record: Turning) -> str:
    """One line below the figure."""
    theta = record.frequencies[record.pair]
    line = worked(record.angle, lambda at, by: at * by, record.at, theta)
    words = f"{record.at:,} × {line.operand(theta)} rad {line.sign} {style.three_digits(record.angle)} rad, "
    words += f"{style.three_digits(record.angle / (2 * math.pi))} turns of this pair."
    if record.at == record.query:
        words += " This is its own position."
    first, last = record.frequencies[0], record.frequencies[-1]
    return (
        f"{words} Meanwhile the fastest clock made {style.three_digits(record.at * first / (2 * math.pi))} "
        f"turns and the slowest {style.three_digits(record.at * last / (2 * math.pi))}."
    )


def turning_figure(record: Turning) -> Drawn:
    """Three panels; the selected query and the clocks move in the browser while the slider is dragged."""
    return drawn(
        _figure,
        record,
        alt=f"RoPE in layer {record.layer}, head {record.head}. {turning_title(record)}. "
        f"{turning_words(record)} {len(record.frequencies)} pairs turn.",
        stem="rope-turning",
        table=_table(record),
        tablet=PHONE,
        browser=FUNCTION,
        browser_data={
            "still": _still(record),
            "q": list(record.arrow(record.query, "q")),
            "frequencies": list(record.frequencies),
            "length": record.length,
            "pair": record.pair,
            "query": record.query,
            "name": named(record, record.query),
            "centres": [list(centre) for centre in record.centres],
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
        for axis, place in enumerate(("first", "second")):
            columns[f"{name}, {place}"] = [point[axis] for point in getattr(record, which)]
    return columns


def _figure(record: Turning, look: Look) -> go.Figure:
    centres = record.centres
    plane = (-record.reach, record.reach)
    wide, high = max(x for x, _ in centres) + 0.6, min(y for _, y in centres) - 0.6
    ranges = ((plane, plane), (plane, plane), ((-0.6, wide), (high, 0.6)))
    x, y = ([_axis(ends[side], panel) for panel, ends in enumerate(ranges)] for side in (0, 1))
    y = [{**axis, "scaleanchor": on(panel)["xaxis"]} for panel, axis in enumerate(y)]
    across, up = look.pick(_ACROSS, ((0, 1),)), look.pick(((0, 0.96),), _UP)
    corners = [(left, top) for _, top in up for left, _ in across]
    return figure(
        [*_still(record), *moving_traces(record)],
        **panels(across, up, x, y),
        title=look.title(style.inert(turning_title(record)), phone_size=12),
        height=look.pick(440, 1040),
        width=look.pick(style.WIDE_PRINT, None),
        showlegend=False,
        annotations=[_head(words, *at) for words, at in zip(_heads(record), corners, strict=True)],
        margin={"l": 30, "t": 50, "b": 24},
    )


def _axis(ends: Span, panel: int) -> Json:
    is_plane = panel != _CLOCKS
    lines = {"showgrid": False, "zeroline": is_plane, "zerolinecolor": style.LIGHT.grid}
    ticks = {"showticklabels": is_plane, "nticks": 5, "tickfont": {"size": 10}}
    return {"range": ends, "constrain": "domain", **lines, **ticks}


def _heads(record: Turning) -> tuple[str, str, str]:
    query, key = (style.inert(named(record, position)) for position in (record.query, record.key))
    rest = f"; {record.resting} at rest" if record.resting else ""
    return (
        f"<b>Before</b>: q of {query} (blue), k of {key}<br>(orange)",
        "<b>Turned</b>: each token by its position",
        f"<b>All {len(record.frequencies)} pairs</b>, fastest first{rest}",
    )


def _head(words: str, left: float, top: float) -> Json:
    """Above the room of a panel: its axes fill only a square of it."""
    room: Json = {"xref": "paper", "yref": "paper", "yshift": 4}
    return note(words, left, top, "left bottom", align="left", font=ink(12), **room)


def moving_traces(record: Turning) -> list[Json]:
    """What depends on the slider."""
    tip = turned_point(record.arrow(record.query, "q"), record.angle, record.length)
    hands = [
        (x, y, x + _RADIUS * math.cos(record.at * theta), y + _RADIUS * math.sin(record.at * theta))
        for (x, y), theta in zip(record.centres, record.frequencies, strict=False)
    ]
    mine = hands[record.pair]
    clocks = {"mode": "lines", **SILENT, **on(_CLOCKS)}
    return [
        {
            **_arrow("selected query, turned", tip, _QUERY, "circle", _TURNED),
            "line": {"color": _QUERY, "width": 4},
            "marker": {"size": [0, 12], "color": _QUERY},
            "hovertemplate": f"q of {style.inert(named(record, record.query))} turned<br>"
            "%{x:.4g}, %{y:.4g}<extra></extra>",
        },
        scatter(
            "clocks",
            [v for x, _, to, _ in hands for v in (x, to, None)],
            [v for _, y, _, to in hands for v in (y, to, None)],
            line={"color": style.LIGHT.muted, "width": 2},
            **clocks,
        ),
        scatter(
            "this pair's clock",
            [mine[0], mine[2]],
            [mine[1], mine[3]],
            line={"color": _QUERY, "width": 4},
            **clocks,
        ),
    ]


def _still(record: Turning) -> list[Json]:
    """All that the slider does not move."""
    traces = []
    key = f"chosen key, {named(record, record.key)}"
    for panel, q, k in ((_BEFORE, "q", "k"), (_TURNED, "turned_q", "turned_k")):
        x, y = _circle((0, 0), math.hypot(*record.arrow(record.query, q)), 72)
        rim = {"line": {"color": style.LIGHT.line, "width": 1, "dash": "dot"}, **SILENT, **on(panel)}
        traces += [
            scatter("its circle", x, y, "lines", **rim),
            _arrows(record, q, "query", _QUERY, "circle", panel),
            _arrows(record, k, "key", _KEY, "square", panel),
            _arrow(key, record.arrow(record.key, k), _KEY, "square", panel),
        ]
        if panel == _BEFORE:
            traces.append(_arrow("selected query", record.arrow(record.query, q), _QUERY, "circle", panel))
    return [*traces, *_faces(record)]


def _circle(centre: Point, radius: float, steps: int) -> tuple[list[float], list[float]]:
    angles = [2 * math.pi * step / steps for step in range(steps + 1)]
    x, y = centre
    return [x + radius * math.cos(angle) for angle in angles], [
        y + radius * math.sin(angle) for angle in angles
    ]


def _arrows(record: Turning, which: str, one: str, color: str, symbol: str, panel: int) -> Json:
    """Thin arrows of all tokens as one broken line with a mark at each tip."""
    points, pale = getattr(record, which), style.faded(color, 0.45)
    said = [f"{one} of {p} {style.inert(named(record, p))}" for p in record.shown]
    return scatter(
        "queries" if one == "query" else "keys",
        [v for x, _ in points for v in (0, x, None)],
        [v for _, y in points for v in (0, y, None)],
        "lines+markers",
        line={"color": pale, "width": 1},
        marker={"size": [0, 6, 0] * len(points), "color": pale, "symbol": symbol, "line": {"width": 0}},
        customdata=[p for p in record.shown for _ in range(3)],
        hovertext=[v for words in said for v in ("", words, "")],
        hovertemplate="%{hovertext}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        **on(panel),
    )


def _arrow(name: str, tip: Point, color: str, symbol: str, panel: int) -> Json:
    """One thick arrow from the origin."""
    return scatter(
        style.inert(name),
        [0, tip[0]],
        [0, tip[1]],
        "lines+markers",
        line={"color": color, "width": 3},
        marker={"size": [0, 10], "color": color, "symbol": symbol},
        hovertemplate=f"{style.inert(name)}<br>%{{x:.4g}}, %{{y:.4g}}<extra></extra>",
        **on(panel),
    )


def _faces(record: Turning) -> list[Json]:
    """The clocks' rims, those that rest dashed; an invisible centre for each says its speed."""
    centres, n = record.centres, len(record.frequencies)
    traces = []
    for name, some, dash in (("rims", centres[:n], "solid"), ("resting", centres[n:], "dot")):
        rims = [_circle(centre, _RADIUS, 24) for centre in some]
        x, y = ([v for rim in rims for v in (*rim[axis], None)] for axis in (0, 1))
        look = {"line": {"color": style.LIGHT.line, "width": 1, "dash": dash}, **SILENT}
        traces += [scatter(name, x, y, "lines", **look, **on(_CLOCKS))] if some else []
    says = [
        f"pair {pair}: {style.three_digits(theta)} rad a token, once round in {_tokens(theta)}"
        for pair, theta in enumerate(record.frequencies)
    ]
    speeds = scatter(
        "speeds",
        [x for x, _ in centres],
        [y for _, y in centres],
        marker={"size": 18, "opacity": 0, "color": style.LIGHT.muted},
        customdata=[*range(n), *([-1] * record.resting)],
        hovertext=[*says, *(["does not turn"] * record.resting)],
        hovertemplate="%{hovertext}<extra></extra>",
        **on(_CLOCKS),
    )
    return [*traces, speeds]


def _tokens(theta: float) -> str:
    return "no number of tokens" if theta == 0 else style.three_digits(2 * math.pi / abs(theta), "tokens")
