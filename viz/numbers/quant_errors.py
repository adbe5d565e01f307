"""Relative error of quantized weights, layer by layer or matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, bars, drawn, figure, hover, rows, share_ticks


@dataclass(frozen=True)
class QuantErrors:
    """Errors from 0, with the selected one marked; `top` is the end of the axis."""

    what: str  # "layer", "matrix"
    names: tuple[str, ...]
    errors: tuple[float, ...]
    selected: int
    top: float

    @property
    def best(self) -> int:
        return min(range(len(self.errors)), key=self.errors.__getitem__)

    @property
    def worst(self) -> int:
        return max(range(len(self.errors)), key=self.errors.__getitem__)


def quant_errors_record(
    what: str, names: Sequence[str], errors: Sequence[float], selected: int, others: Sequence[float] = ()
) -> QuantErrors:
    """Errors -> what will be drawn; `others` share the axis. What is not finite was left alone: 0."""
    clean = tuple(0.0 if math.isnan(error) else float(error) for error in errors)
    top = max((*clean, *(0.0 if math.isnan(error) else error for error in others)), default=0.0)
    return QuantErrors(what, tuple(names), clean, selected, top or 1.0)


def shown(name: str) -> str:
    """A matrix's name without what all of them end in."""
    return name.removesuffix(".weight")


def title_of(record: QuantErrors) -> str:
    """The finding: whether some suffer more than others."""
    least, most = min(record.errors), max(record.errors)
    if most <= 1.15 * least or len(record.errors) == 1:
        return f"Every {record.what} loses about as much: {style.share(least)} to {style.share(most)}"
    name = shown(record.names[record.worst])
    begun = name[:1].upper() + name[1:] if record.what == "layer" else name
    return f"{begun} loses most: {style.share(most)}"


def quant_errors_figure(record: QuantErrors) -> Drawn:
    """Bars from 0; upright for layers, lying for named matrices."""
    best, worst = record.best, record.worst
    return drawn(
        _figure,
        record,
        alt=f"Relative error by {record.what}. {title_of(record)}. Least {style.share(record.errors[best])} "
        f"in {shown(record.names[best])}, most {style.share(record.errors[worst])} in "
        f"{shown(record.names[worst])}.",
        stem=f"quantization-by-{record.what}",
        table={record.what: list(record.names), "relative error": list(record.errors)},
    )


def _figure(record: QuantErrors, look: Look) -> go.Figure:
    lying, n = record.what == "matrix", len(record.names)
    words = [style.share(error) for error in record.errors]
    lines = [f"{style.inert(name)}: {said}" for name, said in zip(record.names, words, strict=True)]
    widths = [3 if place == record.selected else 0 for place in range(n)]
    trace = bars("error", record.errors, words if lying else [], **hover(lines), customdata=list(range(n)))
    marker = {"color": style.LIGHT.accent, "line": {"width": widths, "color": style.LIGHT.ink}}
    trace |= {"marker": marker, "textfont": None}
    if not lying:
        trace |= {"x": trace["y"], "y": trace["x"], "orientation": "v", "text": None}
    errors: Json = {
        "range": [0, 1.12 * record.top],
        **share_ticks(0, 1.12 * record.top),
        "title": {"text": "relative error"},
    }
    every = max(1, -(-n // look.pick(30, 10)))
    places = list(range(0, n, every))
    layers = {
        "showgrid": False,
        "tickvals": places,
        "ticktext": [*map(str, places)],
        "title": {"text": "layer"},
    }
    names = [style.label(shown(name), look.pick(32, 22)) for name in record.names]
    matrices = rows(names, tickvals=places, ticktext=names)
    title = style.inert(title_of(record)).replace(": ", look.pick(": ", ":<br>"), 1)
    return figure(
        [trace],
        title=look.title(title, phone_lines=2),
        height=110 + 30 * n if lying else 280,
        margin={"r": 60 if lying else 8, "t": look.pick(48, 84)},
        xaxis=errors if lying else layers,
        yaxis=matrices if lying else errors,
    )
