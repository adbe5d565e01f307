"""How far apart the numbers of a format stand: by size, and around one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.formats import NumberFormat
from viz import style
from viz.drawn import Drawn
from viz.panels import SILENT, Json, Look, drawn, figure, ink, line, note, rows, scatter

_DASHES = ("solid", "dash", "solid", "dash", "dot", "dashdot")
_ORDER = (7, 4, 0, 1, 2, 3)  # categories of the formats; no yellow lines on white
MOST_TICKS = 120  # more numbers in the window are drawn as a band
_SHARED_END = "fp16"  # its end is written below its line: another line runs above it


@dataclass(frozen=True)
class NumberSpacing:
    """Formats, and the number whose place is marked (size None: 0, infinity or NaN has none)."""

    formats: tuple[NumberFormat, ...]
    size: float | None
    words: str  # the number as it was typed

    @property
    def ends(self) -> tuple[int, int]:
        """Of the axis, powers of two: the range of the half-width formats and the number."""
        exponent = 0 if not self.size else math.floor(math.log2(self.size))
        return min(-28, exponent - 4), max(20, exponent + 4)


@dataclass(frozen=True)
class NumberLine:
    """Numbers of each format in one window; none where there are more than `MOST_TICKS`, only how many."""

    titles: tuple[str, ...]
    numbers: tuple[tuple[float, ...], ...]  # [format][...]
    counts: tuple[int, ...]
    stored: tuple[float | None, ...]  # what the number becomes
    meant: float
    low: float
    high: float
    words: str


def gaps_of(row: NumberFormat) -> dict[int, int]:
    """Start -> gap, powers of two, of each binade from 2^start up to twice that; flat for subnormals."""
    first, last = (math.floor(math.log2(end)) for end in (row.smallest, row.largest))
    return {start: max(start, 1 - row.bias) - row.significand_bits for start in range(first, last + 1)}


def number_spacing_figure(record: NumberSpacing) -> Drawn:
    """A staircase a format: twice the size, twice the gap; flat below the smallest normal number."""
    ends = [
        f"{row.title}: from {_power_words(float(row.smallest))} to {_power_words(float(row.largest))}"
        for row in record.formats
    ]
    gaps = {row.title: gaps_of(row) for row in record.formats}
    return drawn(
        _spacing,
        record,
        alt="Gap between neighbouring numbers by their size, both axes logarithmic; each step doubles. "
        f"{'; '.join(ends)}.",
        stem="number-spacing",
        table={
            "format": [title for title, binades in gaps.items() for _ in binades],
            "size from, 2^": [start for binades in gaps.values() for start in binades],
            "gap, 2^": [gap for binades in gaps.values() for gap in binades.values()],
        },
    )


def _power_words(value: float) -> str:
    return f"{int(value):,}" if value < 1e6 and value == int(value) else style.three_digits(value)


def _spacing(record: NumberSpacing, look: Look) -> go.Figure:
    low, high = record.ends
    traces, notes, shapes = [], [], []
    for number, row in enumerate(record.formats):
        end, color = math.log2(row.largest), style.category(_ORDER[number])
        x, y = _staircase(row, low, high)
        stroke = {"color": color, "width": 2.5, "dash": _DASHES[number]}
        reads = f"{row.title}: size 2<sup>%{{x}}</sup>, gap 2<sup>%{{y}}</sup><extra></extra>"
        traces.append(scatter(row.title, x, y, "lines", line=stroke, hovertemplate=reads))
        if end >= high:
            continue
        words = f"{row.title} ends at {_power_words(float(row.largest))}"
        cross: Json = {"marker": {"size": 9, "symbol": "x", "color": color}, "showlegend": False}
        reads = f"{words}<extra></extra>"
        traces.append(scatter(f"{row.title}, end", [end], [y[-1]], hovertemplate=reads, **cross))
        below = row.title == _SHARED_END
        beside: Json = {"yshift": -6, "xshift": 6} if below else {"yshift": 8, "xshift": 4}
        corner = "left top" if below else "right bottom"
        font = {"color": color}
        notes += look.pick([note(words, end, y[-1], corner, font=font, **beside)], [])
    if record.size:
        at = math.log2(record.size)
        shapes = [line(x=at, dash="dot")]
        typed = style.inert(record.words)
        notes.append(note(typed, at, 1, "left bottom", within="y", xshift=8, font=ink(12)))
    gaps = (max(low - 24, -36), high - 1)
    title = "Twice the size, twice the gap"
    return figure(
        traces,
        title=look.title(title + look.pick(": the digits are fixed, not the decimals", "")),
        height=look.pick(420, 400),
        annotations=notes,
        shapes=shapes,
        legend={"y": -0.2, "yanchor": "top"},
        margin={"r": look.pick(150, 8), "t": 60},
        xaxis={"title": {"text": "size of the number"}, **_twos(low, high, look.pick(9, 5))},
        yaxis={"title": {"text": "gap to the next"}, **_twos(*gaps, 7)},
    )


def _staircase(row: NumberFormat, low: int, high: int) -> tuple[list[float], list[float]]:
    """Corners of the steps, in powers of two, cut to the axis."""
    x: list[float] = []
    y: list[float] = []
    gaps, end = gaps_of(row), math.log2(row.largest)
    for start, gap in gaps.items():
        left, right = max(start, low), min(start + 1, high, end)
        if left < right:
            x += [left, right]
            y += [gap, gap]
    return x or [float(low)], y or [float(next(iter(gaps.values())))]


def _twos(low: int, high: int, most: int) -> Json:
    """An axis with ticks at powers of two; from 1 to 2^12 as numbers."""
    step = max(4, 4 * round((high - low) / most / 4))
    values = [v for v in range(-160, 140) if low <= v <= high and v % step == 0]
    names = [f"{2**v:,}" if 0 <= v <= 12 else f"2<sup>{v}</sup>".replace("-", "−") for v in values]
    return {"range": (low, high), "tickvals": values, "ticktext": names}


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
    """A line of ticks a format; the number's own place is marked on each, with a disc where it goes."""
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
    traces = []
    for row, (title, kept) in enumerate(zip(record.titles, record.stored, strict=True)):
        color = style.category(_ORDER[row])
        traces.append(_numbers(record, row, color))
        if kept is not None and record.low <= kept <= record.high:
            disc = {"size": 11, "color": color, "line": {"width": 1.5, "color": style.LIGHT.ink}}
            reads = f"stored in {title}: %{{x}}<extra></extra>"
            traces.append(scatter(f"{title}, stored", [kept], [row], marker=disc, hovertemplate=reads))
    return figure(
        traces,
        title={"text": line_title(record)},
        height=100 + 46 * len(record.titles),
        showlegend=False,
        uniformtext={"minsize": 9, "mode": "show"},
        margin={"r": 12, "t": 72},
        shapes=[line(x=record.meant, dash="dot")],
        annotations=[
            note(style.inert(record.words), record.meant, 1, within="y", yanchor="bottom", font=ink(12))
        ],
        xaxis={"range": [record.low, record.high], "showgrid": False, "nticks": 6, "exponentformat": "power"},
        yaxis=rows(record.titles, 0.6, 0.6, tickfont=ink(13)),
    )


def _numbers(record: NumberLine, row: int, color: str) -> Json:
    """A format's ticks; a bar that says how many where they are too many; where none is, what it becomes."""
    title, numbers, count = record.titles[row], record.numbers[row], record.counts[row]
    if count > len(numbers):
        return {
            "type": "bar",
            "name": title,
            "orientation": "h",
            "x": [record.high - record.low],
            "base": [record.low],
            "y": [row],
            "width": [0.34],
            "marker": {"color": style.faded(color, 0.35), "line": {"width": 1, "color": color}},
            "text": [f"{count:,} numbers"],
            "textposition": "inside",
            "insidetextanchor": "start",
            "insidetextfont": ink(12),
            "hovertemplate": f"{title}: {count:,} numbers in this window<extra></extra>",
        }
    if not numbers:
        kept = record.stored[row]
        words = f"  none in sight: it becomes {'∞' if kept is None else _power_words(kept)}"
        font = {"size": 12, "color": style.LIGHT.muted}
        place: Json = {"textposition": "middle right", "textfont": font, **SILENT}
        return scatter(title, [record.low], [row], "text", text=[words], **place)
    tick = {"symbol": "line-ns", "size": 18, "line": {"width": 2, "color": color}}
    reads = f"{title}: %{{x}}<extra></extra>"
    return scatter(title, numbers, [row] * len(numbers), marker=tick, hovertemplate=reads)
