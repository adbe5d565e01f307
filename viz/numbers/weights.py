"""How large a model's weights are, layer by layer, against what number formats can hold; and a round trip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.formats import FORMATS, NumberFormat
from model_runtime.records.weights import WeightRanges
from viz import style
from viz.drawn import Drawn
from viz.numbers.gradient_sizes import power
from viz.panels import Json, Look, drawn, figure, heat, ink, line, note, rows, scatter, share_ticks

_LIMITS = tuple(FORMATS[key] for key in ("fp16", "e4m3"))  # formats whose limits are drawn
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up")
_TRIP_TITLE = "What a round trip costs: bits of the significand decide, not the layer"


@dataclass(frozen=True, eq=False)
class WeightSizes:
    """Share of each group's weights in each power of two, float32 [group, exponent], and what lies outside.

    `below` and `above`: of all weights, for each limit: too small for its normal numbers, too large for it.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    low: int  # exponent of the first column
    limits: tuple[NumberFormat, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    top: float  # end of the colour scale


@dataclass(frozen=True)
class TripErrors:
    """Relative error of a round trip by group, for each format; 0 to 1."""

    names: tuple[str, ...]
    errors: Mapping[str, tuple[float, ...]]  # by title of the format [group]
    low: float
    high: float

    @property
    def means(self) -> dict[str, str]:
        """In words, by title of the format."""
        means = style.shares(*(float(np.mean(row)) for row in self.errors.values()))
        return dict(zip(self.errors, means, strict=True))


def weight_sizes_record(ranges: WeightRanges, top: float | None = None) -> WeightSizes:
    """Counts -> what will be drawn: the columns that hold anything, as shares of each group."""
    used = np.flatnonzero(ranges.counts.sum(0))
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    shares = (ranges.counts[:, first:last] / np.maximum(ranges.sizes, 1)[:, None]).astype(np.float32)
    n, trips = int(ranges.sizes.sum()), [ranges.trips[limit.key] for limit in _LIMITS]
    return WeightSizes(
        ranges.names,
        shares,
        ranges.lowest + first,
        _LIMITS,
        tuple(int(trip.subnormal.sum()) / n for trip in trips),
        tuple(int(trip.above.sum()) / n for trip in trips),
        float(shares.max()) if top is None else top,
    )


def title_of(record: WeightSizes) -> str:
    """The finding: which format is too narrow for these weights."""
    outside = [below + above for below, above in zip(record.below, record.above, strict=True)]
    worst = int(np.argmax(outside))
    if not outside[worst]:
        return "Every weight is a normal number in every format"
    name = record.limits[worst].title
    return f"{style.share(outside[worst])} of the weights lie outside the normal range of {name}"


def outside_sentence(record: WeightSizes) -> str:
    """For each format, what lies outside its normal numbers."""
    values, n = (*record.below, *record.above), len(record.limits)
    said = [words if value else "none" for value, words in zip(values, style.shares(*values), strict=True)]
    parts = [
        f"{limit.title}: {said[i]} too small, {said[n + i]} too large"
        for i, limit in enumerate(record.limits)
    ]
    return f"Outside the normal range: {'; '.join(parts)}."


def weight_sizes_figure(record: WeightSizes) -> Drawn:
    """A heat map: a row a layer, a column a power of two; lines where formats begin and end."""
    middle = record.low + int(record.shares.mean(0).argmax())
    columns = {f"2^{record.low + i}": row.tolist() for i, row in enumerate(record.shares.T)}
    return drawn(
        _sizes,
        record,
        alt=f"Share of the weights of each layer by size. {title_of(record)}. Most lie between "
        f"{power(middle)} and {power(middle + 1)}. {outside_sentence(record)}",
        stem="weight-sizes",
        table={"layer": list(record.names), **columns},
    )


def _sizes(record: WeightSizes, look: Look) -> go.Figure:
    n_rows, n = record.shares.shape
    shares = heat(
        "share",
        record.shares,
        0,
        record.top,
        style.PROBABILITY_SCALE,
        x=[record.low + column + 0.5 for column in range(n)],
        y=list(range(n_rows)),
        showscale=look.pick(True, False),
        colorbar={"title": {"text": "share of the layer"}, **share_ticks(0, record.top, 4)},
        customdata=np.repeat(np.arange(n_rows, dtype=np.int16)[:, None], n, axis=1),
        hovertemplate="%{y}: %{z:.3%} from 2<sup>%{x:.0f}</sup><extra></extra>",
        ygap=1 if n_rows < 40 else 0,
    )
    every = look.pick(4, 8)
    ticks = [exponent for exponent in range(record.low, record.low + n + 1) if exponent % every == 0]
    shown = _shown(n_rows, look.pick(18, 12), 1)
    names = [_short(record.names[row], look.pick("outside layers", "other")) for row in shown]
    shapes, notes = _limit_lines(record, look)
    return figure(
        [shares],
        title=look.title(title_of(record).replace(" lie", look.pick(" lie", "<br>lie")), phone_lines=2),
        height=max(300, min(560, 130 + 13 * n_rows)),
        shapes=shapes,
        annotations=notes,
        margin={"t": look.pick(88, 92)},
        xaxis={
            "title": {"text": "size of the weight"},
            "showgrid": False,
            "tickvals": ticks,
            "ticktext": [f"2<sup>{tick}</sup>".replace("-", "−") if tick else "1" for tick in ticks],
        },
        yaxis=rows(record.names, tickvals=shown, ticktext=names),
    )


def _shown(n: int, most: int, first: int) -> list[int]:
    """What is outside the layers, and at most so many layers, from `first` on."""
    return [0, *range(first, n, max(1, -(-n // most)))]


def _short(name: str, outside: str) -> str:
    return name.replace("layer ", "L").replace("outside the layers", outside)


def _limit_lines(record: WeightSizes, look: Look) -> tuple[list[Json], list[Json]]:
    """A line where each format's normal numbers begin, and where it ends if that is in sight."""
    shapes, notes, color = [], [], style.LIGHT.warning
    right = record.low + record.shares.shape[1]
    for number, limit in enumerate(record.limits):
        places = (limit.smallest_normal, "left", "normal from", " →"), (limit.largest, "right", "ends", "")
        for place, anchor, words, arrow in places:
            at = math.log2(place)
            if not record.low < at < right:
                continue
            shapes.append(line(x=at, dash=_DASHES[number], color=color, width=1.5))
            said = look.pick(f"{limit.title} {words} here", limit.title) + arrow
            font = {"size": 11, "color": color}
            notes.append(
                note(said, at, 1, f"{anchor} bottom", within="y", yshift=15 * (number % 2), font=font)
            )
    return shapes, notes


def trip_errors_record(
    names: Sequence[str], errors: Mapping[str, Sequence[float]], *others: Mapping[str, Sequence[float]]
) -> TripErrors:
    """Errors by format title -> what will be drawn; `others` share the axis."""
    values = [v for table in (errors, *others) for row in table.values() for v in row if v > 0]
    low, high = (min(values), max(values)) if values else (1e-4, 1.0)
    return TripErrors(tuple(names), {name: tuple(map(float, row)) for name, row in errors.items()}, low, high)


def trip_errors_figure(record: TripErrors) -> Drawn:
    """A line a format over the layers, logarithmic."""
    words = ", ".join(f"{name} {value}" for name, value in record.means.items())
    phone = {
        "title.text": _TRIP_TITLE.replace(": ", ":<br>"),
        "title.font.size": 13,
        "title.pad.t": 36,
        "margin.t": 96,
        "margin.r": 8,
        "annotations": [],
        "showlegend": True,
    }
    return Drawn(
        figure=_trips(record),
        alt=f"Relative error of the weights after a round trip, by layer, logarithmic. Mean: {words}.",
        stem="round-trip-errors",
        table={"layer": list(record.names), **{name: list(row) for name, row in record.errors.items()}},
        narrow_layout=phone,
    )


def _trips(record: TripErrors) -> go.Figure:
    n, traces, notes = len(record.names), [], []
    for number, (name, row) in enumerate(record.errors.items()):
        drawn_at = [max(error, record.low / 2) for error in row]
        look: Json = {"color": style.category(number), "dash": _DASHES[number % 4]}
        marker = {"symbol": _SYMBOLS[number % 4], "size": 6}
        reads = f"{name}, %{{text}}: %{{y:.4%}}<extra></extra>"
        more: Json = {"line": look, "marker": marker, "text": list(record.names), "hovertemplate": reads}
        traces.append(scatter(name, range(n), drawn_at, "lines+markers", **more))
        end = math.log10(drawn_at[-1])
        notes.append(note(f"{name}, {record.means[name]}", n - 1, end, "left", xshift=10, font=ink(12)))
    tens = [10.0**power for power in range(-8, 1)]
    every = -(-n // 12)
    shown = _shown(n, 12, 1 + (every if every > 1 else 0))
    return figure(
        traces,
        title={"text": _TRIP_TITLE},
        height=330,
        showlegend=False,
        annotations=notes,
        margin={"r": 140, "t": 56},
        xaxis={
            "showgrid": False,
            "tickvals": shown,
            "ticktext": [_short(record.names[i], "other") for i in shown],
        },
        yaxis={
            "type": "log",
            "title": {"text": "relative error"},
            "tickvals": tens,
            "ticktext": [style.in_percent(ten) for ten in tens],
            "range": [math.log10(record.low) - 0.3, math.log10(record.high) + 0.3],
        },
    )
