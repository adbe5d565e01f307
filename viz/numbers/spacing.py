"""How far apart the numbers of a format stand: by size, and around one number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_DASHES = ("solid", "dash", "solid", "dash", "dot", "dashdot")
_ORDER = (7, 4, 0, 1, 2, 3)  # categories of the formats; no yellow lines on white
MOST_TICKS = 120  # more numbers in the window are drawn as a band


@dataclass(frozen=True)
class GapCurve:
    """One format: its gap in each binade from the smallest number to the largest, as powers of two."""

    title: str
    starts: tuple[int, ...]  # binade from 2^start up to 2^(start + 1)
    gaps: tuple[int, ...]  # 2^gap within it
    largest: float
    smallest: float


@dataclass(frozen=True)
class NumberSpacing:
    """The formats' gaps, and the number whose place is marked (None: 0, infinity or NaN has none)."""

    curves: tuple[GapCurve, ...]
    size: float | None
    words: str  # the number as it was typed
    low: int  # the axis: powers of two
    high: int


@dataclass(frozen=True)
class NumberLine:
    """Numbers of each format in one window; where there are more than `MOST_TICKS`, only how many."""

    titles: tuple[str, ...]
    numbers: tuple[tuple[float, ...], ...]  # [format][...]
    counts: tuple[int, ...]
    stored: tuple[float | None, ...]  # what the number becomes
    meant: float
    low: float
    high: float
    words: str


def number_spacing_record(curves: Sequence[GapCurve], size: float | None, words: str) -> NumberSpacing:
    """Gaps -> what will be drawn. The axis holds the range of the half-width formats and the number."""
    exponent = 0 if not size else math.floor(math.log2(size))
    low, high = min(-28, exponent - 4), max(20, exponent + 4)
    return NumberSpacing(tuple(curves), size, words, low, high)


def number_spacing_figure(record: NumberSpacing) -> Drawn:
    """A staircase a format: twice the size, twice the gap; flat below the smallest normal number."""
    ends = [f"{c.title}: from {_power_words(c.smallest)} to {_power_words(c.largest)}" for c in record.curves]
    return Drawn(
        figure=_spacing(record, narrow=False),
        alt="Gap between neighbouring numbers by their size, both axes logarithmic; each step doubles. "
        f"{'; '.join(ends)}.",
        stem="number-spacing",
        table={
            "format": [c.title for c in record.curves for _ in c.starts],
            "size from, 2^": [start for c in record.curves for start in c.starts],
            "gap, 2^": [gap for c in record.curves for gap in c.gaps],
        },
        narrow_figure=_spacing(record, narrow=True),
    )


def _power_words(value: float) -> str:
    whole = value == int(value) if value < 1e6 else False
    return f"{int(value):,}" if whole else style.three_digits(value)


def _spacing(record: NumberSpacing, narrow: bool) -> go.Figure:
    figure = go.Figure()
    notes: list[dict[str, Any]] = []
    for number, curve in enumerate(record.curves):
        x, y = _staircase(curve, record.low, record.high)
        color = style.category(_ORDER[number])
        figure.add_scatter(
            name=curve.title,
            x=x,
            y=y,
            mode="lines",
            line={"color": color, "width": 2.5, "dash": _DASHES[number]},
            hovertemplate=f"{curve.title}: size 2<sup>%{{x}}</sup>, gap 2<sup>%{{y}}</sup><extra></extra>",
        )
        if math.log2(curve.largest) < record.high:
            figure.add_scatter(
                name=f"{curve.title}, end",
                x=[math.log2(curve.largest)],
                y=[y[-1]],
                mode="markers",
                marker={"size": 9, "symbol": "x", "color": color},
                showlegend=False,
                hovertemplate=f"{curve.title} ends at {_power_words(curve.largest)}<extra></extra>",
            )
            if not narrow:
                notes.append(_end_note(curve, y[-1], color, above=curve.title != "fp16"))
    if record.size:
        at = math.log2(record.size)
        notes.append(
            {
                **_note(at, 1.0, style.inert(record.words), style.LIGHT.ink),
                "yref": "paper",
                "yanchor": "bottom",
            }
        )
    _finish_spacing(figure, record, notes, narrow)
    return figure


def _end_note(curve: GapCurve, y: float, color: str, above: bool) -> dict[str, Any]:
    """Where a format ends, above its line, or below where another line runs above it."""
    side = {"yanchor": "bottom", "xanchor": "right", "yshift": 8, "xshift": 4}
    if not above:
        side = {"yanchor": "top", "xanchor": "left", "yshift": -6, "xshift": 6}
    words = f"{curve.title} ends at {_power_words(curve.largest)}"
    return {**_note(math.log2(curve.largest), y, words, color), **side}


def _note(x: float, y: float, words: str, color: str) -> dict[str, Any]:
    return {"x": x, "y": y, "xanchor": "left", "yanchor": "middle", "xshift": 8, "text": words,
            "showarrow": False, "font": {"size": 12, "color": color}}  # fmt: skip


def _staircase(curve: GapCurve, low: int, high: int) -> tuple[list[float], list[float]]:
    """Corners of the steps, in powers of two, cut to the axis."""
    x: list[float] = []
    y: list[float] = []
    end = math.log2(curve.largest)
    for start, gap in zip(curve.starts, curve.gaps, strict=True):
        left, right = max(start, low), min(start + 1, high, end)
        if left < right:
            x += [left, right]
            y += [gap, gap]
    return x or [float(low)], y or [float(curve.gaps[0])]


def _finish_spacing(
    figure: go.Figure, record: NumberSpacing, notes: list[dict[str, Any]], narrow: bool
) -> None:
    title = "Twice the size, twice the gap" + ("" if narrow else ": the digits are fixed, not the decimals")
    shapes = []
    if record.size:
        at = math.log2(record.size)
        shapes = [{"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
                   "line": {"color": style.LIGHT.ink, "width": 1, "dash": "dot"}}]  # fmt: skip
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title, "font": {"size": 13 if narrow else 16}},
        height=400 if narrow else 420,
        annotations=notes,
        shapes=shapes,
        legend={"y": -0.2, "yanchor": "top"},
        margin={"l": 8, "r": 8 if narrow else 150, "t": 60, "b": 8},
    )
    sizes, gaps = (record.low, record.high), (max(record.low - 24, -36), record.high - 1)
    figure.update_xaxes(
        title={"text": "size of the number"},
        range=sizes,
        fixedrange=True,
        **_twos(*sizes, 5 if narrow else 9),
    )
    figure.update_yaxes(title={"text": "gap to the next"}, range=gaps, fixedrange=True, **_twos(*gaps, 7))


def _twos(low: int, high: int, most: int) -> dict[str, Any]:
    """Ticks at powers of two; below 2^10 and above 2^-4 as numbers."""
    step = max(4, 4 * round((high - low) / most / 4))
    values = [v for v in range(-160, 140) if low <= v <= high and v % step == 0]
    names = [f"{2**v:,}" if 0 <= v <= 12 else f"2<sup>{v}</sup>".replace("-", "−") for v in values]
    return {"tickvals": values, "ticktext": names}


def line_title(record: NumberLine) -> str:
    """The finding: which formats hold the number itself."""
    pairs = zip(record.titles, record.stored, strict=True)
    exact = [title for title, value in pairs if value == record.meant]
    if len(exact) == len(record.titles):
        return f"Every format has {record.words}"
    if not exact:
        return f"No format has {record.words}; each stores the neighbour with the disc"
    return f"{record.words} stands in {', '.join(exact)}; the others store the neighbour with the disc"


def number_line_figure(record: NumberLine) -> Drawn:
    """A line of ticks a format; the number's own place is marked on each, with an arrow to where it goes."""
    stored = ["not a finite number" if value is None else f"{value!r}" for value in record.stored]
    words = "; ".join(f"{t}: {n:,} numbers here" for t, n in zip(record.titles, record.counts, strict=True))
    return Drawn(
        figure=_line(record),
        alt=f"Numbers of each format around {record.words}, a disc on the one that is stored. "
        f"{line_title(record)}. {words}.",
        stem="number-line",
        table={"format": list(record.titles), "numbers in the window": list(record.counts), "stored": stored},
        narrow_layout={
            "title.text": line_title(record).replace("; ", ";<br>"),
            "title.font.size": 13,
            "title.pad.t": 36,
        },
    )


def _line(record: NumberLine) -> go.Figure:
    figure = go.Figure()
    rows = len(record.titles)
    for row, (title, numbers) in enumerate(zip(record.titles, record.numbers, strict=True)):
        color = style.category(_ORDER[row])
        if record.counts[row] > len(numbers):
            _add_band(figure, record, row, color)
        elif not numbers:
            _add_none(figure, record, row, record.stored[row])
        else:
            figure.add_scatter(
                name=title, x=list(numbers), y=[row] * len(numbers), mode="markers",
                marker={"symbol": "line-ns", "size": 18, "line": {"width": 2, "color": color}},
                hovertemplate=f"{title}: %{{x}}<extra></extra>",
            )  # fmt: skip
        kept = record.stored[row]
        if kept is not None and record.low <= kept <= record.high:
            figure.add_scatter(
                name=f"{title}, stored", x=[kept], y=[row], mode="markers",
                marker={"size": 11, "color": color, "line": {"width": 1.5, "color": style.LIGHT.ink}},
                hovertemplate=f"stored in {title}: %{{x}}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": line_title(record)},
        height=100 + 46 * rows,
        showlegend=False,
        uniformtext={"minsize": 9, "mode": "show"},
        margin={"l": 8, "r": 12, "t": 72, "b": 8},
        shapes=[{"type": "line", "x0": record.meant, "x1": record.meant, "y0": 0, "y1": 1, "yref": "paper",
                 "line": {"color": style.LIGHT.ink, "width": 1, "dash": "dot"}}],
        annotations=[{"x": record.meant, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
                      "text": style.inert(record.words), "font": {"size": 12, "color": style.LIGHT.ink}}],
    )  # fmt: skip
    figure.update_xaxes(
        range=[record.low, record.high], fixedrange=True, showgrid=False, nticks=6, exponentformat="power"
    )
    figure.update_yaxes(range=[rows - 0.4, -0.6], fixedrange=True, showgrid=False,
                        tickvals=list(range(rows)), ticktext=list(record.titles),
                        tickfont={"size": 13, "color": style.LIGHT.ink})  # fmt: skip
    return figure


def _add_none(figure: go.Figure, record: NumberLine, row: int, kept: float | None) -> None:
    """A format without a number in the window: where its own goes."""
    goes = "it becomes ∞" if kept is None else f"it becomes {_power_words(kept)}"
    figure.add_scatter(
        name=record.titles[row], x=[record.low], y=[row], mode="text", text=[f"  none in sight: {goes}"],
        textposition="middle right", textfont={"size": 12, "color": style.LIGHT.muted}, hoverinfo="skip",
    )  # fmt: skip


def _add_band(figure: go.Figure, record: NumberLine, row: int, color: str) -> None:
    """Too many to draw one by one: a bar that says how many."""
    figure.add_bar(
        name=record.titles[row], orientation="h", x=[record.high - record.low], base=[record.low], y=[row],
        width=[0.34], marker={"color": style.faded(color, 0.35), "line": {"width": 1, "color": color}},
        text=[f"{record.counts[row]:,} numbers"], textposition="inside", insidetextanchor="start",
        insidetextfont={"color": style.LIGHT.ink, "size": 12},
        hovertemplate=f"{record.titles[row]}: {record.counts[row]:,} numbers in this window<extra></extra>",
    )  # fmt: skip


def number_line_record(
    numbers: Mapping[str, Sequence[float]],
    counts: Mapping[str, int],
    stored: Mapping[str, float | None],
    meant: float,
    window: tuple[float, float],
    words: str,
) -> NumberLine:
    """Numbers by format title -> what will be drawn."""
    titles = tuple(numbers)
    return NumberLine(
        titles,
        tuple(tuple(numbers[title]) if counts[title] <= MOST_TICKS else () for title in titles),
        tuple(counts[title] for title in titles),
        tuple(stored[title] for title in titles),
        meant,
        *window,
        words,
    )
