"""Figures of specialisation: the map of experts by domain, divergences by layer, typical tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.axes import cell_frame
from viz.moe.domains import (
    Divergences,
    DomainMap,
    PromptDistance,
    TypicalTokens,
    divergence_sentence,
    expert_sentence,
    map_title,
    prompt_sentence,
    typical_sentence,
)
from viz.moe.routing import named

_ROW, _LEAST_ROW, _MOST_PANEL = 26, 6, 330  # pixels


def domain_map_figure(record: DomainMap) -> Drawn:
    """One heat map a text; the selected cell is framed in all of them."""
    cells = [(layer, expert) for layer in record.layers for expert in range(record.n_experts)]
    rows = {layer: row for row, layer in enumerate(record.layers)}
    return Drawn(
        figure=_maps(record, len(record.panels)),
        alt=f"Share of the work that each expert gets, by kind of text and layer. {map_title(record)}. "
        f"{expert_sentence(record)}",
        stem="experts-by-domain",
        table={
            "layer": [layer for layer, _ in cells],
            "expert": [expert for _, expert in cells],
            **{
                f"share of {panel.name}": [panel.shares[rows[layer]][expert] for layer, expert in cells]
                for panel in record.panels
            },
        },
        middle_figure=_maps(record, 3),
        narrow_figure=_maps(record, 2),
    )


def _maps(record: DomainMap, columns: int) -> go.Figure:
    figure = go.Figure()
    n_layers, n_rows = len(record.layers), -(-len(record.panels) // columns)
    panel_height = max(90, min(_MOST_PANEL, max(_LEAST_ROW, _ROW) * n_layers))
    height = n_rows * (panel_height + 56) + 84
    room = 56 / (n_rows * (panel_height + 56))
    headings, frames = [], []
    for number, panel in enumerate(record.panels):
        suffix = str(number + 1) if number else ""
        row, column = divmod(number, columns)
        _add_map(figure, record, number, suffix)
        width = 1 / columns
        top = 1 - row / n_rows
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=[column * width + 0.012, (column + 1) * width - 0.012],
            anchor=f"y{suffix}",
            **_ticks(record.n_experts, 8 if columns < 5 else 12, record.expert),
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=[max(0.0, top - 1 / n_rows + room * 0.45), top - room * 0.55],
            anchor=f"x{suffix}",
            range=[n_layers - 0.5, -0.5],
            showticklabels=column == 0,
            showgrid=False,
            fixedrange=True,
            **_layer_ticks(record),
        )
        headings.append(_heading(panel.name, panel.prompt, suffix))
        frame = cell_frame(record.expert, record.layers.index(record.layer))
        frames.append({**frame, "xref": f"x{suffix}", "yref": f"y{suffix}"})
    figure.update_layout(
        template=style.TEMPLATE,
        height=height,
        coloraxis={
            "cmin": 0,
            "cmax": record.top,
            "colorscale": style.PROBABILITY_SCALE,
            "colorbar": {"title": {"text": "share"}, "tickformat": ".0%", "nticks": 5, "len": 0.9},
        },
        title={"text": map_title(record), "font": {"size": 16 if columns > 2 else 12}},
        annotations=headings,
        shapes=frames,
        margin={"l": 8, "r": 8, "t": 44, "b": 8},
    )
    return figure


def _add_map(figure: go.Figure, record: DomainMap, number: int, suffix: str) -> None:
    panel = record.panels[number]
    gap = 1 if record.n_experts <= 16 else 0
    figure.add_heatmap(
        name=panel.name,
        z=np.array(panel.shares, dtype=np.float32),
        coloraxis="coloraxis",
        xgap=gap,
        ygap=gap,
        text=[
            [f"{panel.name}, L{layer}, {named(e)}: {style.share(share)}" for e, share in enumerate(line)]
            for layer, line in zip(record.layers, panel.shares, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )


def _ticks(n_experts: int, most: int, expert: int) -> dict[str, Any]:
    step = -(-n_experts // most)
    shown = list(range(0, n_experts, step))
    return {
        "range": [-0.5, n_experts - 0.5],
        "tickvals": shown,
        "ticktext": [f"<b>{named(e)}</b>" if e == expert else named(e) for e in shown],
        "tickangle": 0,
        "tickfont": {"size": 10},
        "showgrid": False,
        "fixedrange": True,
    }


def _layer_ticks(record: DomainMap) -> dict[str, Any]:
    step = -(-len(record.layers) // 16)
    shown = [row for row, layer in enumerate(record.layers) if row % step == 0 or layer == record.layer]
    names = [f"L{record.layers[row]}" for row in shown]
    selected = f"L{record.layer}"
    return {
        "tickvals": shown,
        "ticktext": [f"<b>{name}</b>" if name == selected else name for name in names],
    }


def _heading(name: str, prompt: bool, suffix: str) -> dict[str, Any]:
    return {
        "text": f"<b>{name}</b>" if not prompt else f"<b><i>{name}</i></b>",
        "x": 0,
        "y": 1,
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 1,
        "font": {"size": 13, "color": style.LIGHT.ink},
    }


def divergences_figure(record: Divergences) -> Drawn:
    """Dots: pairs of domains, and halves of one; lines: their means."""
    return Drawn(
        figure=_divergences(record),
        alt=f"Jensen-Shannon divergence of the routing by layer, in bits. {divergence_sentence(record)}",
        stem="domain-divergence",
        table={
            "layer": list(record.layers),
            **{f"{p}, bits": [line[i] for line in record.between] for i, p in enumerate(record.pairs)},
            **{f"halves of {h}": [line[i] for line in record.within] for i, h in enumerate(record.halves)},
        },
        narrow_layout={"title.font.size": 13},
    )


def _divergences(record: Divergences) -> go.Figure:
    figure = go.Figure()
    between, within = record.mean_between, record.mean_within
    _add_dots(figure, record, "two domains", record.between, record.pairs, style.LIGHT.accent, "circle")
    halves = [f"two halves of {name}" for name in record.halves]
    _add_dots(figure, record, "two halves of one domain", record.within, halves, style.LIGHT.muted, "x-thin")
    for name, values, color, dash in (
        ("two domains, mean", between, style.LIGHT.accent, "solid"),
        ("two halves of one domain (chance), mean", within, style.LIGHT.muted, "dash"),
    ):
        figure.add_scatter(
            name=name,
            x=list(record.layers),
            y=list(values),
            mode="lines",
            line={"color": color, "dash": dash, "width": 2},
            hoverinfo="skip",
        )
    at = record.layers.index(record.layer)
    ratio = between[at] / within[at] if within[at] else float("inf")
    figure.update_layout(
        template=style.TEMPLATE,
        height=330,
        title={
            "text": f"L{record.layer}: domains differ {style.three_digits(ratio)} times as much as chance"
        },
        margin={"l": 8, "r": 8, "t": 70, "b": 8},
        legend={"y": 1.0, "yanchor": "bottom"},
        shapes=[_mark(record.layer)],
    )
    _finish(figure, record.layers, record.top)
    return figure


def _add_dots(
    figure: go.Figure,
    record: Divergences,
    name: str,
    values: tuple[tuple[float, ...], ...],
    names: Any,
    color: str,
    symbol: str,
) -> None:
    points = [
        (layer, value, names[i])
        for layer, line in zip(record.layers, values, strict=True)
        for i, value in enumerate(line)
    ]
    figure.add_scatter(
        name=name,
        x=[layer for layer, *_ in points],
        y=[value for _, value, _ in points],
        mode="markers",
        marker={
            "color": color,
            "size": 6,
            "symbol": symbol,
            "opacity": 0.6,
            "line": {"width": 1.5, "color": color},
        },
        text=[f"L{layer}, {who}: {style.three_digits(value, 'bits')}" for layer, value, who in points],
        customdata=[layer for layer, *_ in points],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _mark(layer: int) -> dict[str, Any]:
    """A band behind the selected layer."""
    ends = {"x0": layer - 0.4, "x1": layer + 0.4, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "rect", "layer": "below", "fillcolor": style.LIGHT.surface, "line": {"width": 0}, **ends}


def _finish(figure: go.Figure, layers: tuple[int, ...], top: float) -> None:
    step = -(-len(layers) // 16)
    shown = list(layers[::step])
    figure.update_xaxes(
        title={"text": "layer"},
        tickvals=shown,
        ticktext=[f"L{layer}" for layer in shown],
        range=[layers[0] - 0.6, layers[-1] + 0.6],
        fixedrange=True,
        showgrid=False,
    )
    figure.update_yaxes(
        title={"text": "bits (0: alike, 1: none in common)"},
        range=[0, 1.08 * (top or 0.01)],
        fixedrange=True,
        nticks=6,
    )


def typical_figure(record: TypicalTokens) -> Drawn:
    """Two bars a token: its share of the expert's tokens, and of the text."""
    figure = go.Figure()
    rows = list(range(len(record.tokens)))
    for name, values, color in (
        ("of the text", record.of_text, style.LIGHT.line),
        (f"of the tokens of {named(record.expert)}", record.of_expert, style.category(record.expert)),
    ):
        figure.add_bar(
            name=name,
            orientation="h",
            x=list(values),
            y=rows,
            marker={
                "color": color,
                "pattern": {"shape": style.pattern(record.expert) if color != style.LIGHT.line else ""},
            },
            text=[style.share(value) for value in values],
            textposition="outside",
            textfont={"size": 11, "color": style.LIGHT.ink},
            cliponaxis=False,
            customdata=list(record.ids),
            hovertemplate=[
                f"“{style.inert(token)}”: {style.share(value)} {name}<br>{taken:,} of {seen:,} went to "
                f"{named(record.expert)}<extra></extra>"
                for token, value, taken, seen in zip(
                    record.tokens, values, record.taken, record.seen, strict=True
                )
            ],
        )
    top = max((*record.of_expert, 0.001))
    figure.update_xaxes(
        range=[0, 1.25 * top], tickformat=".1%", fixedrange=True, title={"text": "share"}, nticks=6
    )
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows,
        ticktext=[f"“{style.inert(token)}”" for token in record.tokens],
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=110 + 34 * max(3, len(rows)),
        bargap=0.25,
        title={"text": f"What {named(record.expert)} of L{record.layer} takes more than its share"},
        legend={"traceorder": "reversed"},
        margin={"l": 8, "r": 8, "t": 70, "b": 8},
    )
    return Drawn(
        figure,
        f"Typical tokens of expert {record.expert} in layer {record.layer}. {typical_sentence(record)}",
        "typical-tokens",
        {
            "token": list(record.tokens),
            "id": list(record.ids),
            "share of the expert's tokens": list(record.of_expert),
            "share of the text": list(record.of_text),
            "in the text": list(record.seen),
            "taken by the expert": list(record.taken),
        },
        narrow_layout={"title.font.size": 13},
    )


def prompt_distance_figure(record: PromptDistance) -> Drawn:
    """The divergence of two prompts by layer over the band of chance."""
    figure = go.Figure()
    figure.add_bar(
        name="the two prompts",
        x=list(record.layers),
        y=list(record.bits),
        marker={"color": style.LIGHT.accent},
        width=0.5,
        text=[
            f"L{layer}: {style.three_digits(bits, 'bits')}"
            for layer, bits in zip(record.layers, record.bits, strict=True)
        ],
        textposition="none",
        customdata=list(record.layers),
        hovertemplate="%{text}<extra></extra>",
    )
    for name, values, symbol in (
        ("by chance, mean", record.chance, "line-ew"),
        ("by chance, 95 % are below", record.chance_high, "triangle-down"),
    ):
        figure.add_scatter(
            name=name,
            x=list(record.layers),
            y=list(values),
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 12 if symbol == "line-ew" else 9,
                "color": style.LIGHT.warning,
                "line": {"width": 2, "color": style.LIGHT.warning},
            },
            hovertemplate=f"{name}: %{{y:.4f}} bits<extra></extra>",
        )
    figure.update_layout(
        template=style.TEMPLATE,
        height=330,
        title={"text": f"{record.beyond} of {len(record.layers)} layers route the two prompts differently"},
        margin={"l": 8, "r": 8, "t": 70, "b": 8},
        shapes=[_mark(record.layer)],
    )
    _finish(figure, record.layers, max(*record.bits, *record.chance_high))
    return Drawn(
        figure,
        f"Jensen-Shannon divergence of two prompts' routing by layer, in bits. {prompt_sentence(record)}",
        "prompt-divergence",
        {
            "layer": list(record.layers),
            "divergence, bits": list(record.bits),
            "by chance, mean": list(record.chance),
            "by chance, 95th percentile": list(record.chance_high),
        },
        narrow_layout={"title.font.size": 12},
    )
