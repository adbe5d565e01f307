"""Relative error of quantized weights, layer by layer or matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn


@dataclass(frozen=True)
class QuantErrors:
    """Errors from 0, with the selected one marked; `top` is the end of the axis."""

    what: str  # "layer", "matrix"
    names: tuple[str, ...]
    errors: tuple[float, ...]
    selected: int
    top: float


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
    worst = max(range(len(record.errors)), key=record.errors.__getitem__)
    least, most = min(record.errors), max(record.errors)
    if most <= 1.15 * least or len(record.errors) == 1:
        return f"Every {record.what} loses about as much: {style.share(least)} to {style.share(most)}"
    name = shown(record.names[worst])
    begun = name[:1].upper() + name[1:] if record.what == "layer" else name
    return f"{begun} loses most: {style.share(most)}"


def quant_errors_figure(record: QuantErrors) -> Drawn:
    """Bars from 0; upright for layers, lying for named matrices."""
    best = min(range(len(record.errors)), key=record.errors.__getitem__)
    worst = max(range(len(record.errors)), key=record.errors.__getitem__)
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Relative error by {record.what}. {title_of(record)}. Least {style.share(record.errors[best])} "
        f"in {shown(record.names[best])}, most {style.share(record.errors[worst])} in "
        f"{shown(record.names[worst])}.",
        stem=f"quantization-by-{record.what}",
        table={record.what: list(record.names), "relative error": list(record.errors)},
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: QuantErrors, narrow: bool) -> go.Figure:
    lying = record.what == "matrix"
    places = list(range(len(record.names)))
    along = {"x": list(record.errors), "y": places} if lying else {"x": places, "y": list(record.errors)}
    figure = go.Figure(
        go.Bar(
            **along,
            orientation="h" if lying else "v",
            marker={
                "color": style.LIGHT.accent,
                "line": {
                    "width": [3 if place == record.selected else 0 for place in places],
                    "color": style.LIGHT.ink,
                },
            },
            text=[style.share(error) for error in record.errors] if lying else None,
            textposition="outside" if lying else None,
            cliponaxis=False,
            customdata=places,
            hovertext=[f"{style.inert(n)}: {style.share(e)}" for n, e in _pairs(record)],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    title = style.inert(title_of(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(": ", ":<br>", 1), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=(110 + 30 * len(places)) if lying else 280,
        margin={"l": 8, "r": 60 if lying else 8, "t": 84 if narrow else 48, "b": 8},
    )
    share_axis = {"range": [0, 1.12 * record.top], "fixedrange": True, "tickformat": ".2~%",
                  "title": {"text": "relative error"}, "nticks": 5}  # fmt: skip
    every = max(1, -(-len(places) // (10 if narrow else 30)))
    names = {"fixedrange": True, "showgrid": False, "tickvals": places[::every]}
    if lying:
        figure.update_xaxes(**share_axis)
        figure.update_yaxes(
            range=[len(places) - 0.5, -0.5],
            **names,
            ticktext=[style.label(shown(n), 22 if narrow else 32) for n in record.names],
        )
    else:
        figure.update_yaxes(**share_axis)
        figure.update_xaxes(**names, ticktext=[str(p) for p in places[::every]], title={"text": "layer"})
    return figure


def _pairs(record: QuantErrors) -> list[tuple[str, float]]:
    return list(zip(record.names, record.errors, strict=True))
