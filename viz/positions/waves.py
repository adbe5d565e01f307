"""Wavelengths of sinusoids and rotations, slopes of ALiBi, and a learned table in its main components."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.positions.schemes import Slopes, Spiral, Wavelengths

_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond")


def wavelengths_figure(record: Wavelengths) -> Drawn:
    """Wavelength by pair on a logarithmic axis, with the model's context as a line."""
    said = "; ".join(
        f"{name}: {_length(values[0])} to {_length(values[-1])} positions, {slow:,} of {len(values):,} pairs "
        f"longer than the context"
        for (name, values), slow in zip(record.lines, record.n_slow, strict=True)
    )
    return Drawn(
        figure=_waves(record, narrow=False),
        alt=f"Wavelength by pair. {said}. The context is {record.n_ctx:,} tokens.",
        stem="position-wavelengths",
        table={
            "scheme": [name for name, values in record.lines for _ in values],
            "pair": [pair for _, values in record.lines for pair in range(len(values))],
            "wavelength": [v for _, values in record.lines for v in values],
        },
        narrow_figure=_waves(record, narrow=True),
    )


def _length(value: float | None) -> str:
    return "never" if value is None else style.three_digits(value)


def _waves(record: Wavelengths, narrow: bool) -> go.Figure:
    figure = go.Figure()
    for number, (name, values) in enumerate(record.lines):
        figure.add_scatter(
            name=name,
            x=np.arange(len(values), dtype=np.int32),
            y=np.array([np.nan if v is None else v for v in values], dtype=np.float64),
            mode="lines+markers",
            line={"color": style.category(number), "dash": _DASHES[number % 3], "width": 2},
            marker={"size": 5, "symbol": _SYMBOLS[number % 3]},
            text=[_length(v) for v in values],
            hovertemplate="pair %{x}: %{text} positions<extra>" + name + "</extra>",
        )
    finite = [v for _, values in record.lines for v in values if v is not None] or [1.0]
    top = math.log10(max(*finite, record.n_ctx)) + 0.3
    figure.add_hline(y=record.n_ctx, line={"color": style.LIGHT.line, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=0,
        xref="x domain",
        xanchor="left",
        y=math.log10(record.n_ctx),
        yanchor="bottom",
        text=f"context, {record.n_ctx:,}",
        font={"color": style.LIGHT.ink, "size": 12},
    )
    tens = [10.0**i for i in range(13)]
    names = [f"{ten:,.0f}" if ten < 1e5 else f"10<sup>{i}</sup>" for i, ten in enumerate(tens)]
    figure.update_yaxes(
        type="log",
        range=[0.5, top],
        tickvals=tens,
        ticktext=names,
        title={"text": "wavelength, positions"},
        fixedrange=True,
    )
    figure.update_xaxes(title={"text": "pair of dimensions"}, fixedrange=True)
    return _finish(figure, "Fast pairs and slow pairs", narrow, legend=True)


def slopes_figure(record: Slopes) -> Drawn:
    """One bar a head; those between the powers of two are hatched."""
    head, slope = record.head, record.slopes[record.head]
    return Drawn(
        figure=_slopes(record, narrow=False),
        alt=f"ALiBi slopes of {len(record.slopes)} heads, from {style.three_digits(max(record.slopes))} to "
        f"{style.three_digits(min(record.slopes))}. Head {head}: {style.three_digits(slope)} a position.",
        stem="alibi-slopes",
        table={"head": list(range(len(record.slopes))), "slope": list(record.slopes)},
        narrow_figure=_slopes(record, narrow=True),
    )


def _slopes(record: Slopes, narrow: bool) -> go.Figure:
    figure = go.Figure()
    n = len(record.slopes)
    groups = [("one series", range(record.n_regular), ""), ("in between", range(record.n_regular, n), "/")]
    for name, heads, shape in groups:
        if not heads:
            continue
        color = style.category(0) if not shape else style.category(1)
        figure.add_bar(
            name=name,
            x=list(heads),
            y=[record.slopes[head] for head in heads],
            marker={
                "color": color,
                "pattern": {"shape": shape, "size": 6, "solidity": 0.35},
                "line": {
                    "color": style.LIGHT.ink,
                    "width": [2 if head == record.head else 0 for head in heads],
                },
            },
            customdata=[[head] for head in heads],
            hovertemplate="head %{x}: slope %{y:.4g}<extra></extra>",
        )
    powers = [-i for i in range(0, 11, 2)]
    figure.update_yaxes(
        type="log",
        range=[math.log10(2**-8.8), 0.05],
        tickvals=[2.0**p for p in powers],
        ticktext=["1" if p == 0 else f"1/{2**-p:,}" for p in powers],
        title={"text": "slope, a position"},
        fixedrange=True,
    )
    figure.update_xaxes(title={"text": "head"}, fixedrange=True, tickformat="d", range=[-0.6, n - 0.4])
    words = f"ALiBi: head {record.head} loses {style.three_digits(record.slopes[record.head])} a position"
    return _finish(figure, words, narrow, legend=n != record.n_regular)


def spiral_figure(record: Spiral) -> Drawn:
    """The table in components 1 and 2, and 2 and 3; colour runs with the position."""
    shares = " + ".join(style.share(share) for share in record.explained[:3])
    return Drawn(
        figure=_spiral(record, narrow=False),
        alt=f"Learned positions of {record.source} in their first three principal components, which hold "
        f"{shares} of the variance. Neighbouring positions are joined.",
        stem="position-spiral",
        table={
            "position": list(record.positions),
            "component 1": list(record.first),
            "component 2": list(record.second),
            "component 3": list(record.third),
        },
        narrow_figure=_spiral(record, narrow=True),
    )


def _spiral(record: Spiral, narrow: bool) -> go.Figure:
    figure = go.Figure()
    pairs = ((record.first, record.second), (record.second, record.third))
    for number, (across, up) in enumerate(pairs):
        suffix = "2" if number else ""
        axes: dict[str, Any] = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        figure.add_scatter(
            name=f"components {number + 1} and {number + 2}",
            x=np.array(across, dtype=np.float32),
            y=np.array(up, dtype=np.float32),
            mode="lines+markers",
            line={"color": style.LIGHT.line, "width": 1},
            marker={
                "size": 5,
                "color": np.array(record.positions, dtype=np.float32),
                "coloraxis": "coloraxis",
            },
            text=[f"position {position:,}" for position in record.positions],
            hovertemplate="%{text}<extra></extra>",
            **axes,
        )
    domains = (([0.0, 1.0], [0.57, 1.0]), ([0.0, 1.0], [0.0, 0.43])) if narrow else None
    for number in range(2):
        suffix = "2" if number else ""
        x_domain, y_domain = (
            domains[number] if domains else ([0.56 * number, 0.44 + 0.56 * number], [0.0, 1.0])
        )
        shared: dict[str, Any] = {"showticklabels": False, "fixedrange": True, "zeroline": True}
        shared |= {"zerolinecolor": style.LIGHT.grid, "showgrid": False}
        share = [style.share(one) for one in record.explained[number : number + 2]] + ["0"]
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=x_domain,
            anchor=f"y{suffix}",
            title={"text": f"component {number + 1}, {share[0]}"},
            **shared,
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=y_domain,
            anchor=f"x{suffix}",
            title={"text": f"component {number + 2}, {share[1]}"},
            **shared,
        )
    last = record.positions[-1]
    bar: dict[str, Any] = {
        "title": {"text": "position"},
        "tickvals": [0, last],
        "ticktext": ["0", f"{last:,}"],
    }
    if narrow:
        bar |= {"orientation": "h", "y": -0.12, "yanchor": "top", "thickness": 10}
    figure.update_layout(coloraxis={"colorscale": _POSITIONS, "cmin": 0, "cmax": last or 1, "colorbar": bar})
    three = style.share(min(1.0, sum(record.explained[:3])))
    words = f"Learned positions lie on a curve: 3 of {len(record.explained):,} components hold {three}"
    figure = _finish(figure, words if not narrow else "Learned positions in three components", narrow, False)
    figure.update_layout(height=640 if narrow else 400)
    return figure


# Position runs from pale to accent, as shares do, but starts visible.
_POSITIONS = [
    [0.0, style.PROBABILITY_SCALE[1][1]],
    [0.5, style.PROBABILITY_SCALE[3][1]],
    [1.0, style.LIGHT.ink],
]


def _finish(figure: go.Figure, words: str, narrow: bool, legend: bool) -> go.Figure:
    figure.update_layout(
        template=style.TEMPLATE,
        height=360,
        showlegend=legend,
        legend={"y": 1.0},
        title={"text": words, "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8, "t": 72 if legend else 44, "b": 8},
        bargap=0.2,
    )
    return figure
