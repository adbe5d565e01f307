"""Figures of specialisation: the map of experts by domain, divergences by layer, typical tokens."""

from __future__ import annotations

from collections.abc import Sequence

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
from viz.panels import (
    SILENT,
    Json,
    Look,
    bars,
    box,
    drawn,
    figure,
    heading,
    mono,
    on,
    panels,
    rows,
    scatter,
    share_ticks,
    thinned,
)

_LEAST_PANEL, _ROW, _MOST_PANEL = 90, 26, 330  # pixels
_ROOM = 56  # pixels around a panel, for its heading and its experts


def domain_map_figure(record: DomainMap) -> Drawn:
    """One heat map a text; the selected cell is framed in all of them."""
    cells = [(layer, expert) for layer in record.layers for expert in range(record.n_experts)]
    at = {layer: row for row, layer in enumerate(record.layers)}
    return drawn(
        _maps,
        record,
        alt=f"Share of the work that each expert gets, by kind of text and layer. {map_title(record)}. "
        f"{expert_sentence(record)}",
        stem="experts-by-domain",
        table={
            "layer": [layer for layer, _ in cells],
            "expert": [expert for _, expert in cells],
            **{
                f"share of {panel.name}": [panel.shares[at[layer]][expert] for layer, expert in cells]
                for panel in record.panels
            },
        },
        tablet=True,
    )


def _maps(record: DomainMap, look: Look) -> go.Figure:
    n, n_layers = len(record.panels), len(record.layers)
    columns = look.pick(n, 2, 3)
    n_rows = -(-n // columns)
    panel_height = max(_LEAST_PANEL, min(_MOST_PANEL, _ROW * n_layers))
    inner = n_rows * (panel_height + _ROOM)
    room, width = _ROOM / inner, 1 / columns
    tops = [1 - row / n_rows for row in range(n_rows)]
    frame = record.expert, record.layers.index(record.layer)
    y = {"range": [n_layers - 0.5, -0.5], "showgrid": False, **_layer_ticks(record)}
    return figure(
        [_map(record, panel) for panel in range(n)],
        **panels(
            [(column * width + 0.012, (column + 1) * width - 0.012) for column in range(columns)],
            [(max(0.0, top - 1 / n_rows + room * 0.45), top - room * 0.55) for top in tops],
            x=_expert_ticks(record, 8 if columns < 5 else 12),
            y=[{**y, "showticklabels": panel % columns == 0} for panel in range(n)],
            n=n,
        ),
        height=inner + 84,
        coloraxis={
            "cmin": 0,
            "cmax": record.top,
            "colorscale": style.PROBABILITY_SCALE,
            "colorbar": {"title": {"text": "share"}, **share_ticks(0, record.top), "len": 0.9},
        },
        title=look.title(map_title(record), phone_size=12),
        annotations=[
            heading(f"<b><i>{one.name}</i></b>" if one.prompt else f"<b>{one.name}</b>", panel, yshift=1)
            for panel, one in enumerate(record.panels)
        ],
        shapes=[cell_frame(*frame, panel) for panel in range(n)],
        margin={"t": 44},
    )


def _map(record: DomainMap, panel: int) -> Json:
    one = record.panels[panel]
    gap = 1 if record.n_experts <= 16 else 0
    return {
        "type": "heatmap",
        "name": one.name,
        "z": np.array(one.shares, dtype=np.float32),
        "coloraxis": "coloraxis",
        "xgap": gap,
        "ygap": gap,
        "text": [
            [f"{one.name}, L{layer}, {named(e)}: {style.share(share)}" for e, share in enumerate(line)]
            for layer, line in zip(record.layers, one.shares, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
        **on(panel),
    }


def _expert_ticks(record: DomainMap, most: int) -> Json:
    shown = thinned(record.n_experts, most)
    return {
        "range": [-0.5, record.n_experts - 0.5],
        "tickvals": shown,
        "ticktext": [f"<b>{named(e)}</b>" if e == record.expert else named(e) for e in shown],
        "tickangle": 0,
        "tickfont": {"size": 10},
        "showgrid": False,
    }


def _layer_ticks(record: DomainMap) -> Json:
    selected = record.layers.index(record.layer)
    shown = sorted({*thinned(len(record.layers), 16), selected})
    names = [f"L{record.layers[row]}" for row in shown]
    return {
        "tickvals": shown,
        "ticktext": [
            f"<b>{name}</b>" if at == selected else name for at, name in zip(shown, names, strict=True)
        ],
    }


def divergences_figure(record: Divergences) -> Drawn:
    """Dots: pairs of domains, and halves of one; lines: their means."""
    between, within = record.mean_between, record.mean_within
    at = record.layers.index(record.layer)
    times = style.three_digits(between[at] / within[at] if within[at] else float("inf"))
    halves = [f"two halves of {name}" for name in record.halves]
    accent, muted, layers = style.LIGHT.accent, style.LIGHT.muted, record.layers
    return Drawn(
        figure(
            [
                _dots("two domains", layers, record.between, record.pairs, accent, "circle"),
                _dots("two halves of one domain", layers, record.within, halves, muted, "x-thin"),
                _mean("two domains, mean", layers, between, accent, "solid"),
                _mean("two halves of one domain (chance), mean", layers, within, muted, "dash"),
            ],
            **_bits_by_layer(layers, record.layer, record.top),
            title={"text": f"L{record.layer}: domains differ {times} times as much as chance"},
            legend={"y": 1.0, "yanchor": "bottom"},
        ),
        alt=f"Jensen-Shannon divergence of the routing by layer, in bits. {divergence_sentence(record)}",
        stem="domain-divergence",
        table={
            "layer": list(record.layers),
            **{f"{p}, bits": [line[i] for line in record.between] for i, p in enumerate(record.pairs)},
            **{f"halves of {h}": [line[i] for line in record.within] for i, h in enumerate(record.halves)},
        },
        narrow_layout={"title.font.size": 13},
    )


def _dots(
    name: str,
    layers: Sequence[int],
    values: Sequence[Sequence[float]],  # [layer][name]
    names: Sequence[str],
    color: str,
    symbol: str,
) -> Json:
    points = [
        (layer, value, who)
        for layer, line in zip(layers, values, strict=True)
        for value, who in zip(line, names, strict=True)
    ]
    line = {"width": 1.5, "color": color}
    at = [layer for layer, *_ in points]
    return scatter(
        name,
        at,
        [value for _, value, _ in points],
        marker={"color": color, "size": 6, "symbol": symbol, "opacity": 0.6, "line": line},
        text=[f"L{layer}, {who}: {style.three_digits(value, 'bits')}" for layer, value, who in points],
        customdata=at,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _mean(name: str, layers: Sequence[int], values: Sequence[float], color: str, dash: str) -> Json:
    line = {"color": color, "dash": dash, "width": 2}
    return scatter(name, layers, values, "lines", line=line, **SILENT)


def _bits_by_layer(layers: Sequence[int], layer: int, top: float) -> Json:
    """Layout of both figures of divergences: layers by bits, a band behind the selected layer."""
    shown = [layers[at] for at in thinned(len(layers), 16)]
    band: Json = {"layer": "below", "fillcolor": style.LIGHT.surface, "line": {"width": 0}}
    return {
        "height": 330,
        "margin": {"t": 70},
        "xaxis": {
            "title": {"text": "layer"},
            "tickvals": shown,
            "ticktext": [f"L{layer}" for layer in shown],
            "range": [layers[0] - 0.6, layers[-1] + 0.6],
            "showgrid": False,
        },
        "yaxis": {
            "title": {"text": "bits (0: alike, 1: none in common)"},
            "range": [0, 1.08 * (top or 0.01)],
            "nticks": 6,
        },
        "shapes": [box((layer - 0.4, layer + 0.4), (0, 1), within="y", **band)],
    }


def typical_figure(record: TypicalTokens) -> Drawn:
    """Two bars a token: its share of the expert's tokens, and of the text."""
    who = named(record.expert)
    own = {"color": style.category(record.expert), "pattern": {"shape": style.pattern(record.expert)}}
    return Drawn(
        figure(
            [
                _share_bars(record, "of the text", record.of_text, {"color": style.LIGHT.line}),
                _share_bars(record, f"of the tokens of {who}", record.of_expert, own),
            ],
            xaxis={
                "range": [0, 1.25 * max((*record.of_expert, 0.001))],
                **share_ticks(0, 1.25 * max((*record.of_expert, 0.001)), 6),
                "title": {"text": "share"},
            },
            yaxis=rows([f"“{style.inert(token)}”" for token in record.tokens], tickfont=mono()),
            height=110 + 34 * max(3, len(record.tokens)),
            bargap=0.25,
            title={"text": f"What {who} of L{record.layer} takes more than its share"},
            legend={"traceorder": "reversed"},
            margin={"t": 70},
        ),
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


def _share_bars(record: TypicalTokens, name: str, values: Sequence[float], marker: Json) -> Json:
    lines = zip(record.tokens, values, record.taken, record.seen, strict=True)
    return bars(
        name,
        values,
        [style.share(value) for value in values],
        marker=marker,
        customdata=list(record.ids),
        hovertemplate=[
            f"“{style.inert(token)}”: {style.share(value)} {name}<br>{taken:,} of {seen:,} went to "
            f"{named(record.expert)}<extra></extra>"
            for token, value, taken, seen in lines
        ],
    )


def prompt_distance_figure(record: PromptDistance) -> Drawn:
    """The divergence of two prompts by layer over the band of chance."""
    layers, beyond = list(record.layers), f"{record.beyond} of {len(record.layers)}"
    of_prompts: Json = {
        "type": "bar",
        "name": "the two prompts",
        "x": layers,
        "y": list(record.bits),
        "marker": {"color": style.LIGHT.accent},
        "width": 0.5,
        "text": [
            f"L{layer}: {style.three_digits(bits, 'bits')}"
            for layer, bits in zip(layers, record.bits, strict=True)
        ],
        "textposition": "none",
        "customdata": layers,
        "hovertemplate": "%{text}<extra></extra>",
    }
    by_chance = [
        _chance("by chance, mean", layers, record.chance, "line-ew", 12),
        _chance("by chance, 95\u00a0% are below", layers, record.chance_high, "triangle-down", 9),
    ]
    top = max(*record.bits, *record.chance_high)
    return Drawn(
        figure(
            [of_prompts, *by_chance],
            **_bits_by_layer(record.layers, record.layer, top),
            title={"text": f"{beyond} layers route the two prompts differently"},
        ),
        f"Jensen-Shannon divergence of two prompts' routing by layer, in bits. {prompt_sentence(record)}",
        "prompt-divergence",
        {
            "layer": layers,
            "divergence, bits": list(record.bits),
            "by chance, mean": list(record.chance),
            "by chance, 95th percentile": list(record.chance_high),
        },
        narrow_layout={"title.font.size": 12},
    )


def _chance(name: str, layers: Sequence[int], values: Sequence[float], symbol: str, size: int) -> Json:
    color = style.LIGHT.warning
    marker = {"symbol": symbol, "size": size, "color": color, "line": {"width": 2, "color": color}}
    said = f"{name}: %{{y:.4f}} bits<extra></extra>"
    return scatter(name, layers, values, marker=marker, hovertemplate=said)
