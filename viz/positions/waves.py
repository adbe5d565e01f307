"""Wavelengths of sinusoids and rotations, slopes of ALiBi, and a learned table in its main components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, drawn, figure, ink, line, log_axis, note, on, panels, scatter
from viz.positions.schemes import shown_positions

_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond")
# Position runs from pale to accent, as shares do, but starts visible.
_POSITIONS = [
    [0.0, style.PROBABILITY_SCALE[1][1]],
    [0.5, style.PROBABILITY_SCALE[3][1]],
    [1.0, style.LIGHT.ink],
]


@dataclass(frozen=True)
class Wavelengths:
    """How many positions until a pair is back where it started, by pair."""

    lines: tuple[tuple[str, tuple[float | None, ...]], ...]  # name, [pair]; None never moves
    n_ctx: int
    n_slow: tuple[int, ...]  # of each line: pairs that do not come round within n_ctx


@dataclass(frozen=True)
class Slopes:
    """ALiBi: one slope a head, and which heads fill in between the powers of two."""

    slopes: tuple[float, ...]
    n_regular: int  # the first of them are one geometric series
    head: int


@dataclass(frozen=True)
class Spiral:
    """A table of positions in its first principal components."""

    source: str
    positions: tuple[int, ...]
    components: tuple[tuple[float, ...], ...]  # the first three, each [position]
    explained: tuple[float, ...]  # share of the variance, largest first


def wavelengths_record(lines: Sequence[tuple[str, np.ndarray]], n_ctx: int) -> Wavelengths:
    """Wavelengths [pair] by name -> what will be drawn."""
    return Wavelengths(
        lines=tuple((name, tuple(float(v) if np.isfinite(v) else None for v in row)) for name, row in lines),
        n_ctx=n_ctx,
        n_slow=tuple(int((row > n_ctx).sum()) for _, row in lines),
    )


def slopes_record(slopes: np.ndarray, head: int) -> Slopes:
    """Slopes [head] -> what will be drawn."""
    regular = 1 << (len(slopes).bit_length() - 1)
    return Slopes(tuple(float(s) for s in slopes), regular, min(head, len(slopes) - 1))


def spiral_record(source: str, coordinates: np.ndarray, explained: np.ndarray) -> Spiral:
    """Principal components [pos, 3] and all their shares -> what will be drawn: at most 512 positions."""
    at = shown_positions(len(coordinates), 512)
    padded = np.pad(coordinates, ((0, 0), (0, max(0, 3 - coordinates.shape[1]))))
    components = tuple(tuple(float(padded[i, c]) for i in at) for c in range(3))
    return Spiral(source, at, components, tuple(float(share) for share in explained))


def slopes_sentence(record: Slopes) -> str:
    """Where the slopes come from, and what the selected one does, in plain text."""
    between = len(record.slopes) - record.n_regular
    rest = f", and {between:,} from the series of {2 * record.n_regular:,} that fall in between."
    half = style.three_digits(math.log(2) / record.slopes[record.head])
    return (
        f"a geometric series of {record.n_regular:,}{rest if between else '.'} Head {record.head} halves the "
        f"weight of a key every {half} positions, if nothing else speaks for it."
    )


def wavelengths_figure(record: Wavelengths) -> Drawn:
    """Wavelength by pair on a logarithmic axis, with the model's context as a line."""
    said = "; ".join(
        f"{name}: {_length(values[0])} to {_length(values[-1])} positions, {slow:,} of {len(values):,} pairs "
        f"longer than the context"
        for (name, values), slow in zip(record.lines, record.n_slow, strict=True)
    )
    return drawn(
        _waves,
        record,
        alt=f"Wavelength by pair. {said}. The context is {record.n_ctx:,} tokens.",
        stem="position-wavelengths",
        table={
            "scheme": [name for name, values in record.lines for _ in values],
            "pair": [pair for _, values in record.lines for pair in range(len(values))],
            "wavelength": [v for _, values in record.lines for v in values],
        },
    )


def _length(value: float | None) -> str:
    return "never" if value is None else style.three_digits(value)


def _waves(record: Wavelengths, look: Look) -> go.Figure:
    lines = [
        scatter(
            name,
            np.arange(len(values), dtype=np.int32),
            np.array(values, dtype=np.float64),
            "lines+markers",
            line={"color": style.category(number), "dash": _DASHES[number % 3]},
            marker={"size": 5, "symbol": _SYMBOLS[number % 3]},
            text=[_length(v) for v in values],
            hovertemplate="pair %{x}: %{text} positions<extra>" + name + "</extra>",
        )
        for number, (name, values) in enumerate(record.lines)
    ]
    longest = max(record.n_ctx, *(v for _, values in record.lines for v in values if v is not None))
    return figure(
        lines,
        xaxis={"title": {"text": "pair of dimensions"}},
        yaxis={"title": {"text": "wavelength, positions"}, **log_axis(10**0.5, longest, _power, above=0.3)},
        shapes=[line(y=record.n_ctx, dash="dot", color=style.LIGHT.line)],
        annotations=[
            note(
                f"context, {record.n_ctx:,}", 0, math.log10(record.n_ctx), "left bottom", 0, "x", font=ink(12)
            )
        ],
        title=look.title("Fast pairs and slow pairs"),
        height=360,
        margin={"t": 72},
    )


def _power(ten: float) -> str:
    return f"{ten:,.0f}" if ten < 1e5 else f"10<sup>{round(math.log10(ten))}</sup>"


def slopes_figure(record: Slopes) -> Drawn:
    """One bar a head; those between the powers of two are hatched."""
    head, slope = record.head, record.slopes[record.head]
    return drawn(
        _slopes,
        record,
        alt=f"ALiBi slopes of {len(record.slopes)} heads, from {style.three_digits(max(record.slopes))} to "
        f"{style.three_digits(min(record.slopes))}. Head {head}: {style.three_digits(slope)} a position.",
        stem="alibi-slopes",
        table={"head": list(range(len(record.slopes))), "slope": list(record.slopes)},
    )


def _slopes(record: Slopes, look: Look) -> go.Figure:
    n, powers = len(record.slopes), range(0, 11, 2)
    groups = [_bars(record, "one series", range(record.n_regular), 0, "")]
    if n > record.n_regular:
        groups.append(_bars(record, "in between", range(record.n_regular, n), 1, "/"))
    words = f"ALiBi: head {record.head} loses {style.three_digits(record.slopes[record.head])} a position"
    return figure(
        groups,
        xaxis={"title": {"text": "head"}, "tickformat": "d", "range": [-0.6, n - 0.4]},
        yaxis={
            "type": "log",
            "range": [math.log10(2**-8.8), 0.05],
            "tickvals": [2.0**-p for p in powers],
            "ticktext": [f"1/{2**p:,}" if p else "1" for p in powers],
            "title": {"text": "slope, a position"},
        },
        title=look.title(words),
        height=360,
        bargap=0.2,
        margin={"t": 44 if len(groups) == 1 else 72},
    )


def _bars(record: Slopes, name: str, heads: range, color: int, shape: str) -> Json:
    edges = [2 if head == record.head else 0 for head in heads]
    return {
        "type": "bar",
        "name": name,
        "x": list(heads),
        "y": [record.slopes[head] for head in heads],
        "marker": {
            "color": style.category(color),
            "pattern": {"shape": shape, "size": 6, "solidity": 0.35},
            "line": {"color": style.LIGHT.ink, "width": edges},
        },
        "customdata": [[head] for head in heads],
        "hovertemplate": "head %{x}: slope %{y:.4g}<extra></extra>",
    }


def spiral_figure(record: Spiral) -> Drawn:
    """The table in components 1 and 2, and 2 and 3; colour runs with the position."""
    shares = " + ".join(style.share(share) for share in record.explained[:3])
    columns = {f"component {number}": list(values) for number, values in enumerate(record.components, 1)}
    return drawn(
        _spiral,
        record,
        alt=f"Learned positions of {record.source} in their first three principal components, which hold "
        f"{shares} of the variance. Neighbouring positions are joined.",
        stem="position-spiral",
        table={"position": list(record.positions), **columns},
    )


def _spiral(record: Spiral, look: Look) -> go.Figure:
    last = record.positions[-1]
    level = {"orientation": "h", "y": -0.12, "yanchor": "top", "thickness": 10}
    ticks = {"tickvals": [0, last], "ticktext": ["0", f"{last:,}"]}
    bar: Json = {"title": {"text": "position"}, **ticks, **look.pick({}, level)}
    three = style.share(min(1.0, sum(record.explained[:3])))
    words = f"Learned positions lie on a curve: 3 of {len(record.explained):,} components hold {three}"
    shares = [*map(style.share, record.explained), "0", "0"]
    bare: Json = {"showticklabels": False, "showgrid": False}
    bare |= {"zeroline": True, "zerolinecolor": style.LIGHT.grid}
    names = [{"title": {"text": f"component {n + 1}, {shares[n]}"}, **bare} for n in range(3)]
    return figure(
        [_path(record, panel) for panel in (0, 1)],
        **panels(
            look.pick([(0, 0.44), (0.56, 1)], [(0, 1)]),
            look.pick([(0, 1)], [(0.57, 1), (0, 0.43)]),
            names[:2],
            names[1:],
        ),
        coloraxis={"colorscale": _POSITIONS, "cmin": 0, "cmax": last or 1, "colorbar": bar},
        showlegend=False,
        title=look.title(look.pick(words, "Learned positions in three components")),
        height=look.pick(400, 640),
        margin={"t": 44},
    )


def _path(record: Spiral, panel: int) -> Json:
    across, up = (np.array(values, dtype=np.float32) for values in record.components[panel : panel + 2])
    colors = np.array(record.positions, dtype=np.float32)
    return scatter(
        f"components {panel + 1} and {panel + 2}",
        across,
        up,
        "lines+markers",
        line={"color": style.LIGHT.line, "width": 1},
        marker={"size": 5, "color": colors, "coloraxis": "coloraxis"},
        text=[f"position {position:,}" for position in record.positions],
        hovertemplate="%{text}<extra></extra>",
        **on(panel),
    )
