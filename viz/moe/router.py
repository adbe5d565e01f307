"""One token and the routers: its probabilities in every layer, and those of one layer as bars."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.axes import cell_frame, dense_rows, expert_axis, height, layer_axis, scale_below
from viz.moe.routing import RouterBars, TokenPath, bars_sentence, listed, named
from viz.panels import SILENT, Json, Look, drawn, figure, heat, ink, scatter, share_ticks

_MOST_NAMES, _PHONE_NAMES = 24, 10  # experts whose names fit below an axis


def token_path_figure(record: TokenPath) -> Drawn:
    """Layers from top to bottom, experts from left to right; a ring on each expert that was asked, the larger
    the heavier, and a line from first choice to first choice."""
    cells = [
        (layer, expert, p)
        for layer, line in enumerate(record.probabilities)
        for expert, p in enumerate(line or ())
    ]
    weights = {
        (layer, expert): weight
        for layer, chosen in enumerate(record.experts)
        for expert, weight in zip(chosen or (), record.weights[layer] or (), strict=True)
    }
    return drawn(
        _path,
        record,
        alt=_path_alt(record),
        stem="token-path",
        table={
            "layer": [layer for layer, _, _ in cells],
            "expert": [expert for _, expert, _ in cells],
            "router probability": [p for _, _, p in cells],
            "weight": [weights.get((layer, expert), 0.0) for layer, expert, _ in cells],
        },
    )


def _path(record: TokenPath, look: Look) -> go.Figure:
    n_layers = len(record.probabilities)
    n_experts = max(len(line or ()) for line in record.probabilities)
    lines = [[np.nan] * n_experts if line is None else list(line) for line in record.probabilities]
    half, top = record.top / 2, record.top
    ends = {0: "0", half: style.share(half), top: style.share(top)}
    probabilities = heat(
        "router probabilities",
        lines,
        0,
        top,
        style.PROBABILITY_SCALE,
        xgap=1 if n_experts <= 32 else 0,
        ygap=1 if n_layers <= 32 else 0,
        hoverongaps=False,
        hovertemplate="L%{y} E%{x}: router probability %{z:.4f}<extra></extra>",
        colorbar=scale_below("router probability", ends),
    )
    dense = (n for n, line in enumerate(record.probabilities) if line is None)
    return figure(
        [probabilities, *_way(record, n_experts)],
        xaxis={"side": "top", **expert_axis(n_experts, look.pick(_MOST_NAMES, _PHONE_NAMES))},
        yaxis=layer_axis(n_layers, record.layer, 16),
        height=height(n_layers, look.pick(640, min(520, 26 * n_layers + 150))),
        title={"text": f"The way of “{style.label(record.text, 14)}” through the experts"},
        plot_bgcolor=style.MASKED,
        showlegend=False,
        shapes=[cell_frame(record.expert, record.layer)],
        annotations=dense_rows(dense, (n_experts - 1) / 2, "dense: the whole MLP"),
        margin={"r": 24, "t": 62},
    )


def _way(record: TokenPath, n_experts: int) -> list[Json]:
    """The line and the rings. Their hover is the cell's below them, so that a click means the cell."""
    firsts = [(chosen[0], layer) for layer, chosen in enumerate(record.experts) if chosen is not None]
    asked = [
        (expert, layer, weight)
        for layer, chosen in enumerate(record.experts)
        for expert, weight in zip(chosen or (), record.weights[layer] or (), strict=True)
    ]
    least, most = (4, 12) if n_experts > 32 else (6, 20)  # pixels
    ring = {
        "symbol": "circle",
        # An edit can make a weight negative or far larger than a share: a ring has a size all the same.
        "size": [least + (most - least) * min(abs(weight), 1.0) for _, _, weight in asked],
        "color": style.LIGHT.background,
        "line": {"color": style.LIGHT.ink, "width": 1.5},
    }
    dots = {"color": style.LIGHT.ink, "width": 1.5, "dash": "dot"}
    x, y = [expert for expert, _ in firsts], [layer for _, layer in firsts]
    at = [expert for expert, _, _ in asked], [layer for _, layer, _ in asked]
    return [
        scatter("first choices", x, y, "lines", line=dots, **SILENT),
        scatter("asked", *at, marker=ring, **SILENT),
    ]


def _path_alt(record: TokenPath) -> str:
    steps = [f"L{n}: {listed(chosen)}" for n, chosen in enumerate(record.experts) if chosen is not None]
    dense = [f"L{n}" for n, chosen in enumerate(record.experts) if chosen is None]
    said = (
        f"Router probabilities of {style.quoted(record.text)} (token {record.position}), layers by experts. "
        f"Asked are {'; '.join(steps)}."
    )
    return said + (f" Dense layers: {', '.join(dense)}." if dense else "")


def router_bars_figure(record: RouterBars) -> Drawn:
    """A bar an expert: the chosen in their colours with their weights, the others hatched."""
    weights = dict(zip(record.experts, record.weights, strict=True))
    n = len(record.probabilities)
    return drawn(
        _bars,
        record,
        alt=bars_sentence(record),
        stem="router-probabilities",
        table={
            "expert": list(range(n)),
            "router score": list(record.logits),
            "probability": list(record.probabilities),
            "chosen": [expert in weights for expert in range(n)],
            "weight": [weights.get(expert, 0.0) for expert in range(n)],
        },
    )


def _bars(record: RouterBars, look: Look) -> go.Figure:
    n, p = len(record.probabilities), record.probabilities
    weights = dict(zip(record.experts, record.weights, strict=True))
    rest = [expert for expert in range(n) if expert not in weights]
    most_names = look.pick(_MOST_NAMES, _PHONE_NAMES)
    words = _bar_words(record, most_names)
    named_ones = list(record.experts[: len(words)])

    def upright(name: str, experts: list[int], marker: Json) -> Json:
        return {
            "type": "bar",
            "name": name,
            "x": experts,
            "y": [p[expert] for expert in experts],
            "customdata": experts,
            "width": 0.8
            if n <= 32
            else 0.95,  # else plotly makes them as wide as the gaps between the chosen
            "marker": marker,
            "hovertemplate": [
                f"{named(e)}: probability {p[e]:.4f}, "
                f"{f'weight {weights[e]:.4f}' if e in weights else 'not chosen'}<br>"
                f"score {style.signed(record.logits[e])}<extra></extra>"
                for e in experts
            ],
        }

    heights = [p[expert] for expert in named_ones]
    above = {"textposition": "top center", "textfont": ink(12), "cliponaxis": False}
    names = scatter("words", named_ones, heights, "text", text=words, **above, **SILENT)
    fills = {"color": [style.category(expert) for expert in record.experts]}
    return figure(
        [upright("chosen", list(record.experts), fills), upright("not chosen", rest, style.CUT), names],
        xaxis={"title": {"text": "expert"}, **expert_axis(n, most_names)},
        yaxis={
            "range": [0, record.top * 1.25],
            **share_ticks(0, record.top),
            "title": {"text": "router probability"},
        },
        height=340,
        barmode="overlay",
        title={"text": bars_title(record)},
        showlegend=False,
        margin={"t": 44},
    )


def _bar_words(record: RouterBars, most_names: int) -> list[str]:
    """What stands over the chosen bars: their probability, which is their height, and under it, where there
    is room, the weight made of it; the names of the first where bars are thin."""
    if len(record.probabilities) > most_names:
        return [named(expert) for expert in record.experts[:3]]
    heights = style.shares(*(record.probabilities[expert] for expert in record.experts))
    if most_names < _MOST_NAMES or len(record.experts) > 2:
        return list(heights)
    weights = style.shares(*record.weights)
    return [f"{height}<br>weight {weight}" for height, weight in zip(heights, weights, strict=True)]


def bars_title(record: RouterBars) -> str:
    """The finding: who was asked, and how much of the router's probability went unused."""
    asked = listed(record.experts, 2) if len(record.experts) <= 2 else f"{len(record.experts)} experts"
    rest = len(record.probabilities) - len(record.experts)
    left = f"; {style.share(record.left_out)} is left out" if rest else ""
    return f"L{record.layer} asks {asked}{left}"
