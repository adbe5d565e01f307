"""Lines by layer, one a number format: the largest activation, and the error of the stream against fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.precision_lines import (
    Largest,
    StreamErrors,
    broken_from,
    errors_title,
    largest_title,
    place_name,
)

LINES = {  # format -> place among the colours, dash, symbol, width: thin lines lie on wide ones
    "fp32": (4, "solid", "square", 6.0),
    "bf16": (1, "dash", "circle", 2.5),
    "fp16": (0, "dot", "diamond", 1.5),
}
_STRIP = 0.2  # of the height, kept at the upper edge for infinities and NaN where there are any
_LABEL_GAP = 0.055  # of the height: two lines that end closer than this share a label


def largest_figure(record: Largest) -> Drawn:
    """A line a format, logarithmic; fp16's end is a line of its own; infinities at the upper edge."""
    peaks = ", ".join(
        f"{name} {style.three_digits(max((v for v in line if np.isfinite(v)), default=float('nan')))}"
        for name, line in record.lines.items()
    )
    broken = {name: broken_from(line) for name, line in record.lines.items()}
    bad = "; ".join(
        f"{name} is infinite or no number from {place_name(place)} on"
        for name, place in broken.items()
        if place is not None
    )
    n = len(next(iter(record.lines.values())))
    return Drawn(
        figure=_largest(record, narrow=False),
        alt=f"Largest absolute activation of the stream by layer, logarithmic. {largest_title(record)}. "
        f"Largest finite value: {peaks}. {bad + '. ' if bad else ''}fp16 ends at {record.limit:,.0f}.",
        stem="largest-activations",
        table={
            "place": [place_name(place) for place in range(n)],
            **{f"largest |activation|, {name}": list(line) for name, line in record.lines.items()},
        },
        narrow_figure=_largest(record, narrow=True),
    )


def errors_figure(record: StreamErrors) -> Drawn:
    """A line a format, logarithmic; the first token's thin and dotted beside it."""
    n = len(next(iter(record.first.values())))
    return Drawn(
        figure=_errors(record, narrow=False),
        alt=f"Relative error of the stream against fp32 by layer, logarithmic. {errors_title(record)}. "
        + "; ".join(f"{name}: {style.share(line[0])} at the embedding" for name, line in record.main.items())
        + ".",
        stem="stream-errors",
        table={
            "place": [place_name(place) for place in range(n)],
            **{
                f"relative error, {name}, all but the first token": list(v) for name, v in record.rest.items()
            },
            **{f"relative error, {name}, first token": list(v) for name, v in record.first.items()},
        },
        narrow_figure=_errors(record, narrow=True),
    )


def _largest(record: Largest, narrow: bool) -> go.Figure:
    low = np.log10(record.low) - 0.2
    high = _top(low, np.log10(record.high) + 0.5, record.strip)
    figure = go.Figure()
    for name, line in record.lines.items():
        figure.add_traces(_line(name, line, "largest %{y:.5g}", low, high))
    shapes = _selection(record.selected)
    limit = float(np.log10(record.limit))
    shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": record.limit, "y1": record.limit,
                   "line": {"color": style.LIGHT.warning, "width": 1.5}})  # fmt: skip
    notes = [{"xref": "paper", "x": 0, "xanchor": "left", "y": limit, "yanchor": "top", "showarrow": False,
              "text": f"fp16 ends at {record.limit:,.0f}",
              "font": {"size": 11, "color": style.LIGHT.warning}}]  # fmt: skip
    notes += [*_end_labels(record.lines, low, high), *_selection_name(record.selected)]
    _finish(figure, largest_title(record), shapes, notes, "largest |activation|", (low, high), narrow)
    ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    every = 1 + (len(ticks) - 1) // 8
    figure.update_yaxes(
        tickvals=[10.0**t for t in ticks[::every]], ticktext=[_power(t) for t in ticks[::every]]
    )
    _place_axis(figure, len(next(iter(record.lines.values()))), narrow)
    return figure


def _power(exponent: int) -> str:
    return f"{10**exponent:,}" if 0 <= exponent <= 6 else f"10<sup>{exponent}</sup>".replace("-", "−")


def _errors(record: StreamErrors, narrow: bool) -> go.Figure:
    low = np.log10(record.low) - 0.15
    high = _top(low, np.log10(record.high) + 0.2, record.strip)
    figure = go.Figure()
    main = record.main
    for name, line in main.items():
        figure.add_traces(_line(name, line, "%{y:.4%}", low, high))
    if main is record.rest:
        for name, line in record.first.items():
            trace = _line(name, line, "first token, %{y:.4%}", low, high)[0]
            trace.update(mode="lines", name=f"{name}, first token", opacity=0.75)
            trace.line.update(dash="dot", width=1.5)
            figure.add_trace(trace)
    notes = [*_end_labels(main, low, high), *_selection_name(record.selected)]
    if main is record.rest:
        notes.append({
            "xref": "paper", "x": 0, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "top",
            "showarrow": False, "text": "thin: the first token",
            "font": {"size": 11, "color": style.LIGHT.muted},
        })  # fmt: skip
    _finish(
        figure, errors_title(record), _selection(record.selected), notes,
        "|x − x<sub>fp32</sub>| / |x<sub>fp32</sub>|", (low, high), narrow,
    )  # fmt: skip
    tens = [10.0**power for power in range(-9, 3)]
    figure.update_yaxes(tickvals=tens, ticktext=[style.share(ten) if ten <= 1 else f"{100 * ten:,.0f} %"
                                                 for ten in tens])  # fmt: skip
    _place_axis(figure, len(next(iter(main.values()))), narrow)
    return figure


def _top(low: float, high: float, strip: bool) -> float:
    """End of an axis, with room for the strip above all finite values."""
    return low + (high - low) / (1 - _STRIP) if strip else high


def _row(name: str) -> float:
    """Height of a format's infinities in the strip, as a share of the whole."""
    return 1 - _STRIP * (0.2 + 0.3 * list(LINES).index(name))


def _line(name: str, line: Sequence[float], value: str, low: float, high: float) -> list[go.Scatter]:
    """Finite values as a line; infinities and NaN as marks in the strip: infinity is no large number."""
    color, dash, symbol, width = LINES[name]
    places = list(range(len(line)))
    finite = [place for place in places if np.isfinite(line[place])]
    bad = [place for place in places if not np.isfinite(line[place])]
    drawn = go.Scatter(
        name=name,
        x=places,
        y=[line[place] if place in finite and line[place] > 0 else None for place in places],
        mode="lines+markers",
        line={"color": style.category(color), "dash": dash, "width": width},
        marker={"symbol": symbol, "size": 4 if width < 4 else 0.1, "color": style.category(color)},
        customdata=[place - 1 for place in places],
        text=[place_name(place) for place in places],
        hovertemplate=f"{name}, %{{text}}: {value}<extra></extra>",
    )
    if not bad or not finite:
        return [drawn]
    words = [
        f"{place_name(place)}: {'infinite' if np.isinf(line[place]) else 'not a number'}" for place in bad
    ]
    marks = go.Scatter(
        name=f"{name}, not finite",
        x=bad,
        y=[10 ** (low + _row(name) * (high - low))] * len(bad),
        mode="markers+text",
        text=["∞" if np.isinf(line[place]) and place == bad[0] else "" for place in bad],
        textposition="top center",
        textfont={"size": 14, "color": style.LIGHT.ink},
        marker={
            "symbol": ["triangle-up" if np.isinf(line[place]) else "x" for place in bad],
            "size": [11 if np.isinf(line[place]) else 6 for place in bad],
            "color": style.category(color),
        },
        customdata=[place - 1 for place in bad],
        hovertext=words,
        hovertemplate=f"{name}, %{{hovertext}}<extra></extra>",
    )
    return [drawn, marks]


def _selection(layer: int | None) -> list[dict[str, Any]]:
    if layer is None:
        return []
    line = {"color": style.LIGHT.line, "width": 1}
    place = {"x0": layer + 1, "x1": layer + 1, "yref": "paper", "y0": 0, "y1": 1}
    return [{"type": "line", "layer": "below", "line": line, **place}]


def _selection_name(layer: int | None) -> list[dict[str, Any]]:
    if layer is None:
        return []
    return [{
        "x": layer + 1, "xanchor": "left", "xshift": 2, "yref": "paper", "y": 0, "yanchor": "bottom",
        "showarrow": False, "text": f"L{layer}", "font": {"size": 11, "color": style.LIGHT.muted},
    }]  # fmt: skip


def _end_labels(lines: Mapping[str, Sequence[float]], low: float, high: float) -> list[dict[str, Any]]:
    """The names at the right end; lines that end at nearly the same height share one label."""
    ends: list[tuple[float, list[str]]] = []
    for name, line in lines.items():
        last = float(line[-1])
        height = (np.log10(last) - low) / (high - low) if np.isfinite(last) and last > 0 else _row(name)
        near = next((end for end in ends if abs(end[0] - height) < _LABEL_GAP), None)
        if near is not None and np.isfinite(last):
            near[1].append(name)
        else:
            ends.append((float(height), [name]))
    notes = []
    for height, names in ends:
        first = float(lines[names[0]][-1])
        mark = "" if np.isfinite(first) else " ∞" if np.isinf(first) else " NaN"
        notes.append({
            "xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "yref": "paper", "y": height,
            "yanchor": "middle", "showarrow": False, "align": "left", "text": ",<br>".join(names) + mark,
            "font": {"size": 12, "color": style.LIGHT.ink},
        })  # fmt: skip
    return notes


def _finish(
    figure: go.Figure,
    title: str,
    shapes: list[dict[str, Any]],
    notes: list[dict[str, Any]],
    axis: str,
    span: tuple[float, float],
    narrow: bool,
) -> None:
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": _two_lines(title), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": _two_lines(title), "font": {"size": 14}},
        height=340,
        shapes=shapes,
        annotations=notes,
        showlegend=False,
        margin={"l": 8, "r": 78, "t": 76 if narrow else 64, "b": 8},
    )
    figure.update_yaxes(type="log", range=list(span), fixedrange=True, title={"text": axis})


def _two_lines(title: str) -> str:
    """Broken at the separator nearest to the middle."""
    cuts = [i for i, c in enumerate(title) if c in ";:"]
    if not cuts or len(title) < 44:
        return title
    cut = min(cuts, key=lambda i: abs(i - len(title) / 2))
    return f"{title[: cut + 1]}<br>{title[cut + 2 :]}"


def _place_axis(figure: go.Figure, n: int, narrow: bool) -> None:
    most = 7 if narrow else 12
    every = next(step for step in (1, 2, 5, 10, 20, 50, 1000) if (n - 1) / step <= most)
    places = [0, *range(1 if every == 1 else 1 + every, n, every)]
    figure.update_xaxes(
        range=[-0.4, n - 0.6],
        fixedrange=True,
        showgrid=False,
        title={"text": "after layer"},
        tickvals=places,
        ticktext=["emb.", *(str(place - 1) for place in places[1:])],
        tickangle=0,
    )
