"""The figure kit: looks, panels, axes, bars, notes, lines. A figure is made in one piece, of plain dicts.

One function draws a figure for every width of screen; `Look` says which one it is asked for:

    def heads_figure(record: Heads) -> Drawn:
        '''A bar a head; the mean of each layer beside it, on a phone below it.'''
        return drawn(_figure, record, alt=sentence(record), stem="heads", table={"share": record.shares})

    def _figure(record: Heads, look: Look) -> go.Figure:
        names = [style.label(text, look.pick(24, 14)) for text in record.texts]
        return figure(
            [bars("share", record.shares, [style.share(s) for s in record.shares]),
             scatter("mean", record.layers, record.means, "lines", **on(1))],
            **panels(look.pick([(0, 0.46), (0.55, 1)], [(0, 1)]), look.pick([(0, 1)], [(0.6, 1), (0, 0.4)]),
                     x=[{"range": [0, 1]}, {"title": {"text": "layer"}}], y=[rows(names), {}]),
            title=look.title(finding(record), ";", ":"), height=look.pick(340, 560), showlegend=False,
            annotations=[heading("Heads"), heading("Layers", 1)], shapes=[line(x=record.layer, panel=1)],
            margin={"t": look.pick(64, 96)},
        )

What every axis, margin, title and annotation has stands in the template (`viz.style`): an axis stays put
unless it says `fixedrange=False`. Tokens are named with `tickfont=mono()`.

Plotly's own `make_subplots` is not used: it takes 7 ms for two panels and 14 for six, where a whole figure of
plain dicts takes 4, and it cannot leave room above a panel; update calls take twice the time of one piece.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from viz import style
from viz.drawn import Drawn

Json = dict[str, Any]  # a part of a figure: a trace, an axis, an annotation
Span = tuple[float, float]  # of the figure's width from the left, or height from below, 0 to 1
Axes = Json | Sequence[Json]  # what all axes share, or one a panel
Values = Sequence[Any] | np.ndarray
Record = TypeVar("Record")
Value = TypeVar("Value")

QUIET: Json = {"showgrid": False, "showticklabels": False}  # an axis that only places things
SILENT: Json = {"hoverinfo": "skip"}  # a trace that a pointer does not find
# Words in the middle of a bar, at their own size.
INSIDE: Json = {
    "textposition": "inside",
    "insidetextanchor": "middle",
    "textangle": 0,
    "constraintext": "none",
}


@dataclass(frozen=True)
class Look:
    """The width that a figure is drawn for."""

    name: str

    def pick(self, wide: Value, phone: Value, tablet: Value | None = None) -> Value:
        """What only this figure needs: a value a width. A tablet's is the wide one's where none is given."""
        if self is TABLET:
            return wide if tablet is None else tablet
        return phone if self is PHONE else wide

    def title(self, text: str, *breaks: str, phone_size: int = 13, phone_lines: int = 0) -> Json:
        """`layout.title`. On a phone smaller, and with a new line after each of `breaks`.

        plotly.js moves a title of several lines up, line by line, so with `breaks` it is padded by 18 pixels
        a line: give the top margin 48 + 18 a line. `phone_lines`: pad for so many, whatever the text has.
        """
        if self is not PHONE:
            return {"text": text}
        for mark in breaks:
            text = text.replace(f"{mark} ", f"{mark}<br>")
        pad = {"t": 18 * (phone_lines or 1 + text.count("<br>")), "b": 0}
        padded = {"pad": pad} if breaks or phone_lines else {}
        return {"text": text, "font": {"size": phone_size}, **padded}


WIDE, TABLET, PHONE = Look("wide"), Look("tablet"), Look("phone")  # from 900 px, from 600, below


def drawn(
    build: Callable[[Record, Look], go.Figure],
    record: Record,
    *,
    alt: str,
    stem: str,
    table: Mapping[str, Sequence[object]],
    tablet: bool | Look = False,
    **browser: Any,
) -> Drawn:
    """`build` asked for every width; for a tablet only if it differs there (`PHONE`: it has the phone's).

    `browser`: fields of `Drawn`.
    """
    phone = build(record, PHONE)
    middle = phone if tablet is PHONE else build(record, TABLET) if tablet else None
    return Drawn(build(record, WIDE), alt, stem, table, {}, phone, middle, **browser)


_TITLE_LINE = 1.3  # plotly's line height, of the size of its letters


def figure(traces: Sequence[Json], **layout: Any) -> go.Figure:
    """Traces and layout in one piece, under our template. A margin that is not given is the template's.

    A title of several lines gets its place and room here: plotly.js 4.1 puts the first line on the top edge
    by its feet, not by its head, and lifts it further where it makes room itself (`automargin`).
    """
    title = layout.get("title") or {}
    n_lines = 1 + str(title.get("text", "")).count("<br>")
    if n_lines > 1 and "pad" not in title:  # a padded one was given its place
        usual = pio.templates[style.TEMPLATE].layout
        size = title.get("font", {}).get("size", usual.title.font.size)
        above = usual.title.pad.t + 0.8 * size
        margin = usual.margin.to_plotly_json() | layout.get("margin", {})
        needed = math.ceil(above + usual.title.pad.b + _TITLE_LINE * size * n_lines)
        layout["title"] = {**title, "pad": {"t": above}, "automargin": False}
        layout["margin"] = layout.get("margin", {}) | {"t": max(margin["t"], needed)}
    return go.Figure(list(traces), {"template": style.TEMPLATE, **layout})


def panels(across: Sequence[Span], up: Sequence[Span], x: Axes, y: Axes, n: int | None = None) -> Json:
    """Axes of panels, row by row: columns `across` from the left, rows `up` from the top.

    `n` of them, where the last row is not full.

    >>> panels([(0, 0.4), (0.6, 1)], [(0, 1)], {"nticks": 5}, {})["xaxis2"]
    {'domain': [0.6, 1], 'anchor': 'y2', 'nticks': 5}
    """
    axes = {}
    for panel, (rise, run) in enumerate(list(product(up, across))[:n]):
        for side, other, span, own in (("x", "y", run, x), ("y", "x", rise, y)):
            more = own if isinstance(own, dict) else own[panel]
            axes[_axis(side + "axis", panel)] = {"domain": list(span), "anchor": _axis(other, panel), **more}
    return axes


def _axis(name: str, panel: int) -> str:
    return f"{name}{panel + 1}" if panel else name


def spread(n: int, gap: float = 0.0) -> list[Span]:
    """Spans of one width side by side; `[::-1]` one below the other.

    >>> spread(2, 0.25)
    [(0.0, 0.375), (0.625, 1.0)]
    """
    width = (1 - (n - 1) * gap) / n
    return [(k * (width + gap), min(k * (width + gap) + width, 1)) for k in range(n)]


def on(panel: int) -> Json:
    """Puts a trace in a panel, numbered from 0."""
    return {"xaxis": _axis("x", panel), "yaxis": _axis("y", panel)}


def _refs(panel: int, within: str) -> Json:
    """`within`: which of x and y count from 0 to 1 inside the panel, "", "x", "y" or "xy"."""
    return {f"{side}ref": _axis(side, panel) + " domain" * (side in within) for side in "xy"}


def rows(names: Sequence[str], above: float = 0.5, below: float = 0.5, **more: Any) -> Json:
    """A y axis of names at 0, 1, ..., the first on top; `above` and `below`: rows of room at the ends."""
    n = len(names)
    ticks = {"tickvals": list(range(n)), "ticktext": list(names)}
    return {"range": [n - 1 + below, -above], **ticks, "showgrid": False, **more}


def columns(names: Sequence[str], before: float = 0.5, after: float = 0.5, **more: Any) -> Json:
    """An x axis of names at 0, 1, ..."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": list(names)}
    return {"range": [-before, len(names) - 1 + after], **ticks, "showgrid": False, **more}


def thinned(n: int, most: int, chosen: int | None = None) -> list[int]:
    """Every second, third, ... of n places, so that at most `most` are named; always the `chosen` one.

    >>> thinned(10, 4), thinned(3, 4), thinned(10, 4, chosen=4)
    ([0, 3, 6, 9], [0, 1, 2], [0, 4, 9])
    """
    step = max(1, -(-n // most))
    return [at for at in range(n) if at == chosen or (at % step == 0 and not _near(at, chosen, step))]


def _near(at: int, chosen: int | None, step: int) -> bool:
    return chosen is not None and abs(at - chosen) < step


def share_ticks(low: float, high: float, most: int = 5) -> Json:
    """Ticks of an axis of shares from `low` to `high`, at most so many, at even steps, in percent.

    >>> share_ticks(0, 0.0535, 3)["ticktext"]
    ['0\\xa0%', '2\\xa0%', '4\\xa0%']
    >>> share_ticks(0, 1.08)["tickvals"]
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    width = high - low if math.isfinite(high - low) and high > low else 1.0
    low = low if math.isfinite(low) else 0.0
    tens = 10.0 ** math.floor(math.log10(width / most))
    steps = (lead * tens * tenfold for tenfold in (1, 10) for lead in (1, 2, 2.5, 5))
    step = next(s for s in steps if math.floor((low + width) / s) - math.ceil(low / s) < most)
    first, last = math.ceil(low / step), math.floor((low + width) / step)
    places = [round(n * step, 12) for n in range(first, last + 1)]
    return {"tickvals": places, "ticktext": [style.in_percent(place) for place in places]}


def log_axis(
    low: float,
    high: float,
    words: Callable[[float], str],
    below: float = 0.0,
    above: float = 0.0,
    step: int = 1,
) -> Json:
    """A logarithmic axis with names at every `step`-th power of ten; `below` and `above`: decades of room."""
    start, end = math.log10(low), math.log10(high)
    tens = [10.0**power for power in range(math.floor(start), math.ceil(end) + 1, step)]
    ticks = {"tickvals": tens, "ticktext": [words(ten) for ten in tens]}
    return {"type": "log", "range": [start - below, end + above], **ticks}


def mono(size: int = 12) -> Json:
    """The face of tokens: `tickfont=mono()`."""
    return {"family": style.MONO, **ink(size)}


def ink(size: int) -> Json:
    """A font as dark as text is, where the template's is muted."""
    return {"size": size, "color": style.LIGHT.ink}


def scatter(name: str, x: Values, y: Values, mode: str = "markers", **more: Any) -> Json:
    """Lines, markers or text."""
    return {"type": "scatter", "name": name, "x": _plain(x), "y": _plain(y), "mode": mode, **more}


def heat(name: str, z: object, low: float, high: float, scale: style.Scale, **more: Any) -> Json:
    """A map of cells. z: numbers [row][column], bare where NaN or None."""
    ends = {"zmin": low, "zmax": high, "colorscale": scale}
    return {"type": "heatmap", "name": name, "z": np.array(z, dtype=np.float32), **ends, **more}


def bars(name: str, values: Values, words: Sequence[str], size: int = 11, **more: Any) -> Json:
    """Level bars from 0 in rows 0, 1, ..., `words` behind their ends."""
    level = {"orientation": "h", "x": _plain(values), "y": list(range(len(values)))}
    behind = {"text": list(words), "textposition": "outside", "textfont": ink(size), "cliponaxis": False}
    return {"type": "bar", "name": name, **level, **behind, **more}


def _plain(values: Values) -> Values:
    return values if isinstance(values, np.ndarray) else list(values)


def hover(lines: Sequence[str]) -> Json:
    """What a pointer reads, ready made: a line a mark, safe for a figure (`style.label`)."""
    return {"hovertext": list(lines), "hovertemplate": "%{hovertext}<extra></extra>"}


def note(text: str, x: Any, y: Any, anchor: str = "", panel: int = 0, within: str = "", **more: Any) -> Json:
    """An annotation. `anchor`: "left bottom", which of its corners lies at x, y; `within`: see `_refs`."""
    sides = dict(zip(("xanchor", "yanchor"), anchor.split(), strict=False))
    return {"text": text, "x": x, "y": y, **_refs(panel, within), **sides, **more}


def heading(text: str, panel: int = 0, **more: Any) -> Json:
    """A name above a panel's left corner."""
    return note(text, 0, 1, "left bottom", panel, "xy", **{"font": ink(13), **more})


def line(
    x: float | None = None,
    y: float | None = None,
    panel: int = 0,
    dash: str = "solid",
    color: str = style.LIGHT.ink,
    width: float = 1,
    **more: Any,
) -> Json:
    """A line through a whole panel: upright at `x`, or level at `y`."""
    ends = {"x0": 0, "x1": 1, "y0": y, "y1": y} if x is None else {"x0": x, "x1": x, "y0": 0, "y1": 1}
    drawn_as = {"color": color, "width": width, "dash": dash}
    return {"type": "line", **ends, **_refs(panel, "y" if y is None else "x"), "line": drawn_as, **more}


def box(x: Span, y: Span, panel: int = 0, within: str = "", **more: Any) -> Json:
    """A rectangle. Without more a frame: the selection."""
    ends = {"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    frame = {"line": {"color": style.LIGHT.ink, "width": 2.5}}
    return {"type": "rect", **ends, **_refs(panel, within), **frame, **more}
