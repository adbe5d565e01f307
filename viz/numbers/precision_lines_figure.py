"""Lines by layer, one a number format: the largest activation, and the error of the stream against fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.labels import apart
from viz.numbers.precision_lines import (
    Largest,
    StreamErrors,
    broken_from,
    errors_title,
    largest_title,
    place_name,
)
from viz.panels import Json, Look, drawn, figure, ink, line, note, scatter

LINES = {  # format -> place among the colours, dash, symbol, width: thin lines lie on wide ones
    "fp32": (4, "solid", "square", 6.0),
    "bf16": (1, "dash", "circle", 2.5),
    "fp16": (0, "dot", "diamond", 1.5),
}
_STRIP = 0.2  # of the height, kept at the upper edge for infinities and NaN where there are any
_LINE_TALL = 0.075  # of the height: a line of a label
_LABEL_GAP = 0.055  # of the height: two lines that end closer than this share a label


def largest_figure(record: Largest) -> Drawn:
    """A line a format, logarithmic; fp16's end is a line of its own; infinities at the upper edge."""
    peaks = ", ".join(
        f"{name} {style.three_digits(max((v for v in row if np.isfinite(v)), default=float('nan')))}"
        for name, row in record.lines.items()
    )
    broken = {name: broken_from(row) for name, row in record.lines.items()}
    bad = "; ".join(
        f"{name} is infinite or no number from {place_name(place)} on"
        for name, place in broken.items()
        if place is not None
    )
    n = len(next(iter(record.lines.values())))
    return drawn(
        _largest,
        record,
        alt=f"Largest absolute activation of the stream by layer, logarithmic. {largest_title(record)}. "
        f"Largest finite value: {peaks}. {bad + '. ' if bad else ''}fp16 ends at {record.limit:,.0f}.",
        stem="largest-activations",
        table={
            "place": [place_name(place) for place in range(n)],
            **{f"largest |activation|, {name}": list(row) for name, row in record.lines.items()},
        },
    )


def errors_figure(record: StreamErrors) -> Drawn:
    """A line a format, logarithmic; the first token's thin and dotted beside it."""
    n = len(next(iter(record.first.values())))
    return drawn(
        _errors,
        record,
        alt=f"Relative error of the stream against fp32 by layer, logarithmic. {errors_title(record)}. "
        + "; ".join(f"{name}: {style.share(row[0])} at the embedding" for name, row in record.main.items())
        + ".",
        stem="stream-errors",
        table={
            "place": [place_name(place) for place in range(n)],
            **{
                f"relative error, {name}, all but the first token": list(v) for name, v in record.rest.items()
            },
            **{f"relative error, {name}, first token": list(v) for name, v in record.first.items()},
        },
    )


def _largest(record: Largest, look: Look) -> go.Figure:
    low = np.log10(record.low) - 0.2
    high = _top(low, np.log10(record.high) + 0.5, record.strip)
    ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    ticks = ticks[:: 1 + (len(ticks) - 1) // 8]
    warning = {"size": 11, "color": style.LIGHT.warning}
    limit = f"fp16 ends at {record.limit:,.0f}"
    traces = [
        t for name, row in record.lines.items() for t in _line(name, row, "largest %{y:.5g}", low, high)
    ]
    return figure(
        traces,
        **_layout(record, largest_title(record), look),
        shapes=[*_selection(record), line(y=record.limit, color=style.LIGHT.warning, width=1.5)],
        annotations=[
            note(limit, 0, float(np.log10(record.limit)), "left top", within="x", font=warning),
            *_end_labels(record.lines, low, high),
            *_selection_name(record),
        ],
        yaxis={
            "type": "log",
            "range": [low, high],
            "title": {"text": "largest |activation|"},
            "tickvals": [10.0**tick for tick in ticks],
            "ticktext": [*map(_power, ticks)],
        },
    )


def _power(exponent: int) -> str:
    return style.round_number(10.0**exponent)


def _errors(record: StreamErrors, look: Look) -> go.Figure:
    low = np.log10(record.low) - 0.15
    high = _top(low, np.log10(record.high) + 0.2, record.strip)
    traces = [t for name, row in record.main.items() for t in _line(name, row, "%{y:.4%}", low, high)]
    notes = [*_end_labels(record.main, low, high), *_selection_name(record)]
    if record.main is record.rest:
        for name, row in record.first.items():
            first = _line(name, row, "first token, %{y:.4%}", low, high)[0]
            thin = {**first["line"], "dash": "dot", "width": 1.5}
            traces.append(
                {**first, "name": f"{name}, first token", "mode": "lines", "line": thin, "opacity": 0.75}
            )
        muted = {"size": 11, "color": style.LIGHT.muted}
        notes.append(note("thin: the first token", 0, 1, "left top", within="xy", font=muted))
    tens = [10.0**power for power in range(-9, 3)]
    return figure(
        traces,
        **_layout(record, errors_title(record), look),
        shapes=_selection(record),
        annotations=notes,
        yaxis={
            "type": "log",
            "range": [low, high],
            "title": {"text": "|x − x<sub>fp32</sub>| / |x<sub>fp32</sub>|"},
            "tickvals": tens,
            "ticktext": [style.in_percent(ten) for ten in tens],
        },
    )


def _layout(record: Largest | StreamErrors, title: str, look: Look) -> Json:
    """What both figures share: title, size, and the axis of places."""
    lines = record.lines if isinstance(record, Largest) else record.main
    n, most = len(next(iter(lines.values()))), look.pick(12, 7)
    every = next(step for step in (1, 2, 5, 10, 20, 50, 1000) if (n - 1) / step <= most)
    places = [0, *range(1 if every == 1 else 1 + every, n, every)]
    return {
        "title": {"font": {"size": 14}, **look.title(_two_lines(title), phone_lines=2)},
        "height": 340,
        "showlegend": False,
        "margin": {"r": 78, "t": look.pick(64, 76)},
        "xaxis": {
            "range": [-0.4, n - 0.6],
            "showgrid": False,
            "title": {"text": "after layer"},
            "tickvals": places,
            "ticktext": ["emb.", *(str(place - 1) for place in places[1:])],
            "tickangle": 0,
        },
    }


def _two_lines(title: str) -> str:
    """Broken at the separator nearest to the middle."""
    cuts = [i for i, c in enumerate(title) if c in ";:"]
    if not cuts or len(title) < 44:
        return title
    cut = min(cuts, key=lambda i: abs(i - len(title) / 2))
    return f"{title[: cut + 1]}<br>{title[cut + 2 :]}"


def _top(low: float, high: float, strip: bool) -> float:
    """End of an axis, with room for the strip above all finite values."""
    return low + (high - low) / (1 - _STRIP) if strip else high


def _row(name: str) -> float:
    """Height of a format's infinities in the strip, as a share of the whole."""
    return 1 - _STRIP * (0.2 + 0.3 * list(LINES).index(name))


def _line(name: str, row: Sequence[float], value: str, low: float, high: float) -> list[Json]:
    """Finite values as a line; infinities and NaN as marks in the strip: infinity is no large number."""
    place_of, dash, symbol, width = LINES[name]
    color, places = style.category(place_of), list(range(len(row)))
    bad = [place for place in places if not np.isfinite(row[place])]
    finite = scatter(
        name,
        places,
        [number if np.isfinite(number) and number > 0 else None for number in row],
        "lines+markers",
        line={"color": color, "dash": dash, "width": width},
        marker={"symbol": symbol, "size": 4 if width < 4 else 0.1, "color": color},
        customdata=[place - 1 for place in places],
        text=[*map(place_name, places)],
        hovertemplate=f"{name}, %{{text}}: {value}<extra></extra>",
    )
    if len(bad) in (0, len(row)):
        return [finite]
    infinite = [bool(np.isinf(row[place])) for place in bad]
    said = [
        f"{place_name(place)}: {'infinite' if inf else 'not a number'}"
        for place, inf in zip(bad, infinite, strict=True)
    ]
    marks = scatter(
        f"{name}, not finite",
        bad,
        [10 ** (low + _row(name) * (high - low))] * len(bad),
        "markers+text",
        text=["∞" if infinite[0] else "", *[""] * (len(bad) - 1)],
        textposition="top center",
        textfont=ink(14),
        marker={
            "symbol": ["triangle-up" if inf else "x" for inf in infinite],
            "size": [11 if inf else 6 for inf in infinite],
            "color": color,
        },
        customdata=[place - 1 for place in bad],
        hovertext=said,
        hovertemplate=f"{name}, %{{hovertext}}<extra></extra>",
    )
    return [finite, marks]


def _selection(record: Largest | StreamErrors) -> list[Json]:
    if record.selected is None:
        return []
    return [line(x=record.selected + 1, color=style.LIGHT.line, layer="below")]


def _selection_name(record: Largest | StreamErrors) -> list[Json]:
    if record.selected is None:
        return []
    font, at = {"size": 11, "color": style.LIGHT.muted}, record.selected + 1
    return [note(f"L{record.selected}", at, 0, "left bottom", within="y", xshift=2, font=font)]


def _end_labels(lines: Mapping[str, Sequence[float]], low: float, high: float) -> list[Json]:
    """The names at the right end; lines that end at nearly the same height share one label."""
    ends: list[tuple[float, list[str]]] = []
    for name, row in lines.items():
        last = float(row[-1])
        height = (np.log10(last) - low) / (high - low) if np.isfinite(last) and last > 0 else _row(name)
        near = next((end for end in ends if abs(end[0] - height) < _LABEL_GAP), None)
        if near is not None and np.isfinite(last):
            near[1].append(name)
        else:
            ends.append((float(height), [name]))
    notes = []
    heights = apart([height for height, _ in ends], _LINE_TALL, [len(names) for _, names in ends])
    for height, (_, names) in zip(heights, ends, strict=True):
        first = float(lines[names[0]][-1])
        mark = "" if np.isfinite(first) else " ∞" if np.isinf(first) else " NaN"
        text = ",<br>".join(names) + mark
        notes.append(note(text, 1, height, "left middle", within="xy", xshift=6, align="left", font=ink(12)))
    return notes
