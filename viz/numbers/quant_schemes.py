"""Error against bits per weight for every way to quantize: what each bit more buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_NAMES = {"absmax": "absmax", "zero_point": "zero point"}
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
    for bits in (4, 8):
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
        f"{p.bits} bits {_NAMES[p.kind]}, {group_words(p.group)}: {style.share(p.error)} at "
        f"{style.three_digits(p.cost)} bits a weight"
        for p in (record.points[record.chosen], *_best(record))
    )
    exact = [block.name for block in record.blocks if block.error <= _EXACT]
    more = f" GGUF's {' and '.join(exact)} is exact: these weights already lie on its grid." if exact else ""
    everyone: list[SchemePoint | BlockPoint] = [*record.points, *record.blocks]
    whole = list(record.whole or ())
    more += f" The chosen scheme on all layers: {style.share(whole[1])}." if whole else ""
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Relative error of the weights against bits per weight. {title_of(record)}. The chosen scheme, "
        f"then the most exact of 4 and of 8 bits: {said}.{more}",
        stem="quantization-schemes",
        table={
            "scheme": [
                f"{p.bits} bits, {_NAMES[p.kind]}, {p.group}" if isinstance(p, SchemePoint) else p.name
                for p in everyone
            ]
            + ["chosen scheme, all layers"] * bool(whole),
            "bits per weight": [point.cost for point in everyone] + whole[:1],
            "relative error": [point.error for point in everyone] + whole[1:],
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _best(record: QuantSchemes) -> list[SchemePoint]:
    return [min((p for p in record.points if p.bits == bits), key=lambda p: p.error) for bits in (4, 8)]


def _figure(record: QuantSchemes, narrow: bool) -> go.Figure:
    figure = go.Figure()
    for panel, bits in enumerate((4, 8)):
        for kind in _NAMES:
            _add_series(figure, record, panel, bits, kind)
        _add_blocks(figure, record, panel, bits, narrow)
    _add_ring(figure, record)
    title = style.inert(title_of(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={
            "text": title.replace(", 8 bits", ",<br>8 bits", 1),
            "font": {"size": 13},
            "pad": {"t": 36, "b": 0},
        }
        if narrow
        else {"text": title},
        height=640 if narrow else 420,
        width=None if narrow else style.WIDE_PRINT,
        legend={"y": 1.0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        margin={"l": 8, "r": 12, "t": 120 if narrow else 68, "b": 8},
    )
    ticks = [lead * 10.0**power for power in range(-8, 1) for lead in (1, 3)]
    for panel in (0, 1):
        number = "" if panel == 0 else "2"
        across, up = ([0, 1], [0.58, 1] if panel == 0 else [0, 0.42]) if narrow else (
            [0, 0.49] if panel == 0 else [0.53, 1], [0, 1])  # fmt: skip
        left, right = (4, 8)[panel] - (0.32 if narrow else 0.2), (4, 8)[panel] + 1.14
        figure.update_layout({
            f"xaxis{number}": {
                "domain": across, "anchor": f"y{number}", "range": [left, right],
                "title": {"text": "bits per weight, scales included"}, "fixedrange": True, "dtick": 0.25,
                "showgrid": False,
            },
            f"yaxis{number}": {
                "domain": up, "anchor": f"x{number}", "type": "log", "range": [record.low, record.high],
                "fixedrange": True, "tickvals": ticks,
                "ticktext": [f"{100 * tick:.2g}\u00a0%" for tick in ticks],
                "showticklabels": narrow or panel == 0,
                "title": {"text": "relative error" if narrow or panel == 0 else ""},
            },
        })  # fmt: skip
    return figure


def _add_series(figure: go.Figure, record: QuantSchemes, panel: int, bits: int, kind: str) -> None:
    points = sorted((p for p in record.points if (p.bits, p.kind) == (bits, kind)), key=lambda p: p.cost)
    color = style.category(_COLORS[kind])
    axis = "" if panel == 0 else "2"
    figure.add_scatter(
        name=_NAMES[kind],
        legendgroup=kind,
        showlegend=panel == 0,
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        x=[point.cost for point in points],
        y=[max(point.error, 10**record.low) for point in points],
        mode="lines+markers+text",
        line={"color": color, "dash": _DASHES[kind], "width": 1.5},
        marker={"symbol": _SYMBOLS[kind], "size": 11, "color": color},
        text=[point.group for point in points],
        textposition=_PLACES[kind],
        textfont={"size": 11, "color": style.LIGHT.ink},
        cliponaxis=False,
        customdata=[[point.bits, point.kind, point.group] for point in points],
        hovertext=[
            f"{bits} bits, {_NAMES[kind]}, {group_words(point.group)}<br>"
            f"{style.share(point.error)} off at {style.three_digits(point.cost)} bits a weight"
            for point in points
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _add_blocks(figure: go.Figure, record: QuantSchemes, panel: int, bits: int, narrow: bool) -> None:
    blocks = [block for block in record.blocks if bits <= block.cost < bits + 2]
    if not blocks:
        return
    axis = "" if panel == 0 else "2"
    shown = [("" if narrow else "GGUF ") + b.name + (": exact" if b.error <= _EXACT else "") for b in blocks]
    figure.add_scatter(
        name="GGUF blocks",
        showlegend=False,
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        x=[block.cost for block in blocks],
        y=[max(block.error, 10 ** (record.low + 0.12)) for block in blocks],
        mode="markers+text",
        marker={"symbol": "star", "size": 13, "color": style.LIGHT.ink},
        text=shown,
        textposition="top left" if bits == 4 else "bottom center",
        textfont={"size": 11, "color": style.LIGHT.ink},
        cliponaxis=False,
        hovertext=[
            f"{words}<br>{style.share(b.error)} off at {style.three_digits(b.cost)} bits a weight"
            for words, b in zip(shown, blocks, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _add_ring(figure: go.Figure, record: QuantSchemes) -> None:
    point: Any = record.points[record.chosen]
    axis = "" if point.bits == 4 else "2"
    figure.add_scatter(
        name="chosen",
        xaxis=f"x{axis}",
        yaxis=f"y{axis}",
        x=[point.cost],
        y=[max(point.error, 10**record.low)],
        mode="markers",
        marker={"symbol": "circle-open", "size": 22, "color": style.LIGHT.accent, "line": {"width": 3}},
        hoverinfo="skip",
        cliponaxis=False,
    )
    if record.whole:
        figure.add_scatter(
            name="chosen, all layers",
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            x=[record.whole[0]],
            y=[max(record.whole[1], 10**record.low)],
            mode="markers",
            marker={
                "symbol": "diamond-open",
                "size": 14,
                "color": style.LIGHT.warning,
                "line": {"width": 2.5},
            },
            hovertemplate=f"all layers: {style.share(record.whole[1])} off<extra></extra>",
            cliponaxis=False,
        )
