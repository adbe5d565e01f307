"""Error against bits per weight for every way to quantize: what each bit more buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import PHONE, SILENT, Json, Look, drawn, figure, hover, ink, on, panels, scatter

_BITS = (4, 8)  # a panel each
KINDS = {"absmax": "absmax", "zero_point": "zero point"}
_COLORS = {"absmax": 0, "zero_point": 1}
_SYMBOLS = {"absmax": "circle", "zero_point": "square"}
_DASHES = {"absmax": "solid", "zero_point": "dot"}
_PLACES = {"absmax": "top right", "zero_point": "bottom left"}
_EXACT = 1e-9  # an error below this is drawn at the foot of the axis, as "exact"


@dataclass(frozen=True)
class SchemePoint:
    """One scheme: what it costs in bits per weight, scales counted, and its relative error."""

    bits: int
    kind: str  # "absmax", "zero_point"
    group: str  # "tensor", "channel", "128", "64", "32"
    cost: float
    error: float


@dataclass(frozen=True)
class BlockPoint:
    """GGUF's blocks on the same weights."""

    name: str
    cost: float
    error: float


Point = SchemePoint | BlockPoint


@dataclass(frozen=True)
class QuantSchemes:
    """All schemes, GGUF's blocks, which one is chosen, and the ends of the error axis (log10)."""

    what: str  # "layer 3"
    points: tuple[SchemePoint, ...]
    blocks: tuple[BlockPoint, ...]
    chosen: int
    low: float
    high: float
    whole: tuple[float, float] | None = None  # bits per weight and error of all layers, if measured


def quant_schemes_record(
    what: str,
    points: Sequence[SchemePoint],
    blocks: Sequence[BlockPoint],
    chosen: tuple[int, str, str],
    others: Sequence[float] = (),
    whole: tuple[float, float] | None = None,
) -> QuantSchemes:
    """Points -> what will be drawn.

    Args:
        chosen: bits, kind and group of the ringed one.
        others: errors of a second run, which share the axis.
        whole: bits per weight and error of all layers under the chosen scheme.
    """
    errors = [*(p.error for p in points), *(b.error for b in blocks), *others]
    errors += [whole[1]] if whole else []
    seen = [error for error in errors if error > _EXACT] or [1e-3, 1.0]
    place = next(i for i, p in enumerate(points) if (p.bits, p.kind, p.group) == chosen)
    low = float(np.log10(min(seen))) - (0.45 if min(errors) <= _EXACT else 0.25)
    high = float(np.log10(max(seen))) + 0.25
    return QuantSchemes(what, tuple(points), tuple(blocks), place, low, high, whole)


def title_of(record: QuantSchemes) -> str:
    """The finding: the spread of each number of bits."""
    spans = []
    for bits in _BITS:
        errors = [point.error for point in record.points if point.bits == bits]
        spans.append(f"{style.share(min(errors))} to {style.share(max(errors))}")
    what = record.what[:1].upper() + record.what[1:]
    return f"{what}: 4 bits are off by {spans[0]}, 8 bits by {spans[1]}"


def group_words(group: str) -> str:
    """Which numbers share a scale: "one scale a tensor", "one scale for 32"."""
    return f"one scale for {group}" if group.isdecimal() else f"one scale a {group}"


def quant_schemes_figure(record: QuantSchemes) -> Drawn:
    """Two panels, 4 and 8 bits, on one logarithmic axis; `customdata` of a point is its scheme."""
    said = "; ".join(
        f"{p.bits} bits {KINDS[p.kind]}, {group_words(p.group)}: {style.share(p.error)} at "
        f"{style.three_digits(p.cost)} bits a weight"
        for p in (record.points[record.chosen], *_best(record))
    )
    exact = [block.name for block in record.blocks if block.error <= _EXACT]
    more = f" GGUF's {' and '.join(exact)} is exact: these weights already lie on its grid." if exact else ""
    everyone: list[Point] = [*record.points, *record.blocks]
    whole = list(record.whole or ())
    more += f" The chosen scheme on all layers: {style.share(whole[1])}." if whole else ""
    return drawn(
        _figure,
        record,
        alt=f"Relative error of the weights against bits per weight. {title_of(record)}. The chosen scheme, "
        f"then the most exact of 4 and of 8 bits: {said}.{more}",
        stem="quantization-schemes",
        table={
            "scheme": [
                f"{p.bits} bits, {KINDS[p.kind]}, {p.group}" if isinstance(p, SchemePoint) else p.name
                for p in everyone
            ]
            + ["chosen scheme, all layers"] * bool(whole),
            "bits per weight": [point.cost for point in everyone] + whole[:1],
            "relative error": [point.error for point in everyone] + whole[1:],
        },
        tablet=PHONE,
    )


def _best(record: QuantSchemes) -> list[SchemePoint]:
    return [min((p for p in record.points if p.bits == bits), key=lambda p: p.error) for bits in _BITS]


def _figure(record: QuantSchemes, look: Look) -> go.Figure:
    traces = []
    for panel, bits in enumerate(_BITS):
        traces += [_series(record, panel, kind, look) for kind in KINDS]
        blocks = [block for block in record.blocks if bits <= block.cost < bits + 2]
        traces += [_blocks(record, blocks, panel, look)] if blocks else []
    ticks = [lead * 10.0**power for power in range(-8, 1) for lead in (1, 3)]
    error: Json = {
        "type": "log",
        "range": [record.low, record.high],
        "tickvals": ticks,
        "ticktext": [style.in_percent(tick) for tick in ticks],
        "title": {"text": "relative error"},
    }
    bare: Json = {"showticklabels": False, "title": {"text": ""}}
    cost: Json = {"title": {"text": "bits per weight, scales included"}, "dtick": 0.25, "showgrid": False}
    return figure(
        [*traces, *_chosen(record)],
        **panels(
            look.pick([(0, 0.49), (0.53, 1)], [(0, 1)]),
            look.pick([(0, 1)], [(0.58, 1), (0, 0.42)]),
            [{**cost, "range": [bits - look.pick(0.2, 0.32), bits + 1.14]} for bits in _BITS],
            [error, {**error, **look.pick(bare, {})}],
        ),
        title=look.title(
            style.inert(title_of(record)).replace(", 8 bits", look.pick(", 8 bits", ",<br>8 bits")),
            phone_lines=2,
        ),
        height=look.pick(420, 640),
        width=look.pick(style.WIDE_PRINT, None),
        legend={"itemclick": False, "itemdoubleclick": False},
        margin={"r": 12, "t": look.pick(68, 120)},
    )


def _points(
    name: str, points: Sequence[Point], panel: int, foot: float, mode: str = "markers", **more: Any
) -> Json:
    """Marks at bits per weight and error; what is exact stands at `foot`, a power of ten."""
    errors = [max(point.error, 10**foot) for point in points]
    return scatter(
        name, [point.cost for point in points], errors, mode, cliponaxis=False, **on(panel), **more
    )


def _off(words: str, point: Point) -> str:
    return f"{words}<br>{style.share(point.error)} off at {style.three_digits(point.cost)} bits a weight"


def _series(record: QuantSchemes, panel: int, kind: str, look: Look) -> Json:
    unnamed = look.pick("", "128")  # on a phone it would lie on its neighbour's name
    bits, color = _BITS[panel], style.category(_COLORS[kind])
    points = sorted((p for p in record.points if (p.bits, p.kind) == (bits, kind)), key=lambda p: p.cost)
    return _points(
        KINDS[kind],
        points,
        panel,
        record.low,
        "lines+markers+text",
        legendgroup=kind,
        showlegend=panel == 0,
        line={"color": color, "dash": _DASHES[kind], "width": 1.5},
        marker={"symbol": _SYMBOLS[kind], "size": 11, "color": color},
        text=["" if point.group == unnamed else point.group for point in points],
        textposition=_PLACES[kind],
        textfont=ink(11),
        customdata=[[point.bits, point.kind, point.group] for point in points],
        **hover([_off(f"{bits} bits, {KINDS[kind]}, {group_words(p.group)}", p) for p in points]),
    )


def _blocks(record: QuantSchemes, blocks: Sequence[BlockPoint], panel: int, look: Look) -> Json:
    shown = [look.pick("GGUF ", "") + b.name + (": exact" if b.error <= _EXACT else "") for b in blocks]
    return _points(
        "GGUF blocks",
        blocks,
        panel,
        record.low + 0.12,
        "markers+text",
        showlegend=False,
        marker={"symbol": "star", "size": 13, "color": style.LIGHT.ink},
        text=shown,
        textposition=("top left", "bottom center")[panel],
        textfont=ink(11),
        **hover([_off(words, block) for words, block in zip(shown, blocks, strict=True)]),
    )


def _chosen(record: QuantSchemes) -> list[Json]:
    """A ring around the chosen scheme, and what it does to all layers."""
    point = record.points[record.chosen]
    panel = _BITS.index(point.bits)
    ring = {"symbol": "circle-open", "size": 22, "color": style.LIGHT.accent, "line": {"width": 3}}
    found = [_points("chosen", [point], panel, record.low, marker=ring, **SILENT)]
    if record.whole:
        mark = {"symbol": "diamond-open", "size": 14, "color": style.LIGHT.warning, "line": {"width": 2.5}}
        whole = BlockPoint("chosen, all layers", *record.whole)
        reads = f"all layers: {style.share(whole.error)} off<extra></extra>"
        found.append(_points(whole.name, [whole], panel, record.low, marker=mark, hovertemplate=reads))
    return found
