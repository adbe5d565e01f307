"""One token and the routers: its probabilities in every layer, and those of one layer as bars."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.axes import cell_frame, dense_rows, expert_axis, layer_axis
from viz.moe.routing import RouterBars, TokenPath, bars_sentence, listed, named

_MOST_NAMES = 24  # experts whose names fit below an axis
_NARROW_NAMES = 10


def token_path_figure(record: TokenPath) -> Drawn:
    """Layers from top to bottom, experts from left to right; a ring on each expert that was asked, the larger
    the heavier, and a line from first choice to first choice."""
    n_layers = len(record.probabilities)
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
    return Drawn(
        figure=_path(record, _MOST_NAMES),
        alt=_path_alt(record),
        stem="token-path",
        table={
            "layer": [layer for layer, _, _ in cells],
            "expert": [expert for _, expert, _ in cells],
            "router probability": [p for _, _, p in cells],
            "weight": [weights.get((layer, expert), 0.0) for layer, expert, _ in cells],
        },
        narrow_figure=_path(record, _NARROW_NAMES, most_height=min(520, 26 * n_layers + 150)),
    )


def _path(record: TokenPath, most_names: int, most_height: int = 640) -> go.Figure:
    n_layers = len(record.probabilities)
    n_experts = max(len(line or ()) for line in record.probabilities)
    height = min(max(34 * n_layers + 130, 260), most_height)
    lines = [[np.nan] * n_experts if line is None else list(line) for line in record.probabilities]
    gap = 1 if n_experts <= 32 else 0
    figure = go.Figure()
    figure.add_heatmap(
        name="router probabilities",
        z=np.array(lines, dtype=np.float32),
        zmin=0,
        zmax=record.top,
        colorscale=style.PROBABILITY_SCALE,
        xgap=gap,
        ygap=1 if n_layers <= 32 else 0,
        hoverongaps=False,
        hovertemplate="L%{y} E%{x}: router probability %{z:.4f}<extra></extra>",
        colorbar={
            "title": {"text": "router probability", "side": "top"},
            "orientation": "h",
            "thickness": 8,
            "y": 0,
            "yanchor": "top",
            "ypad": 24,
            "len": 0.86,
            "tickvals": [0, record.top / 2, record.top],
            "ticktext": ["0", style.share(record.top / 2), style.share(record.top)],
            "ticklabeloverflow": "allow",
        },
    )
    _add_path(figure, record, n_experts)
    figure.update_xaxes(side="top", **expert_axis(n_experts, most_names))
    figure.update_yaxes(**layer_axis(n_layers, record.layer, 16))
    figure.update_layout(
        template=style.TEMPLATE,
        height=height,
        title={"text": f"The way of “{style.label(record.text, 14)}” through the experts"},
        plot_bgcolor=style.MASKED,
        showlegend=False,
        shapes=[cell_frame(record.expert, record.layer)],
        annotations=dense_rows(
            (n for n, line in enumerate(record.probabilities) if line is None),
            (n_experts - 1) / 2,
            "dense: the whole MLP",
        ),
        margin={"l": 8, "r": 24, "t": 62, "b": 8},
    )
    return figure


def _add_path(figure: go.Figure, record: TokenPath, n_experts: int) -> None:
    """Rings and the line. Their hover is the cell's below them, so that a click means the cell."""
    firsts = [(chosen[0], layer) for layer, chosen in enumerate(record.experts) if chosen is not None]
    figure.add_scatter(
        name="first choices",
        mode="lines",
        x=[expert for expert, _ in firsts],
        y=[layer for _, layer in firsts],
        line={"color": style.LIGHT.ink, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    asked = [
        (expert, layer, weight)
        for layer, chosen in enumerate(record.experts)
        for expert, weight in zip(chosen or (), record.weights[layer] or (), strict=True)
    ]
    small = n_experts > 32
    figure.add_scatter(
        name="asked",
        mode="markers",
        x=[expert for expert, _, _ in asked],
        y=[layer for _, layer, _ in asked],
        marker={
            "symbol": "circle",
            "size": [(4 if small else 6) + (8 if small else 14) * min(weight, 1.0) for _, _, weight in asked],
            "color": style.LIGHT.background,
            "line": {"color": style.LIGHT.ink, "width": 1.5},
        },
        hoverinfo="skip",
    )


def _path_alt(record: TokenPath) -> str:
    steps = [f"L{n}: {listed(chosen)}" for n, chosen in enumerate(record.experts) if chosen is not None]
    dense = [f"L{n}" for n, chosen in enumerate(record.experts) if chosen is None]
    said = (
        f"Router probabilities of {style.label(record.text)} (token {record.position}), layers by experts. "
        f"Asked are {'; '.join(steps)}."
    )
    return said + (f" Dense layers: {', '.join(dense)}." if dense else "")


def router_bars_figure(record: RouterBars) -> Drawn:
    """A bar an expert: the chosen in their colours with their weights, the others hatched."""
    weights = dict(zip(record.experts, record.weights, strict=True))
    n = len(record.probabilities)
    return Drawn(
        figure=_bars(record, _MOST_NAMES),
        alt=bars_sentence(record),
        stem="router-probabilities",
        table={
            "expert": list(range(n)),
            "router score": list(record.logits),
            "probability": list(record.probabilities),
            "chosen": [expert in weights for expert in range(n)],
            "weight": [weights.get(expert, 0.0) for expert in range(n)],
        },
        narrow_figure=_bars(record, _NARROW_NAMES),
    )


def _bars(record: RouterBars, most_names: int) -> go.Figure:
    n = len(record.probabilities)
    chosen = {*record.experts}
    rest = [expert for expert in range(n) if expert not in chosen]
    wide = 0.8 if n <= 32 else 0.95  # else plotly makes them as wide as the gaps between the chosen
    figure = go.Figure()
    figure.add_bar(
        name="chosen",
        x=list(record.experts),
        y=[record.probabilities[expert] for expert in record.experts],
        customdata=list(record.experts),
        width=wide,
        marker={"color": [style.category(expert) for expert in record.experts]},
        hovertemplate=[
            f"{named(e)}: probability {record.probabilities[e]:.4f}, weight {w:.4f}<br>"
            f"score {record.logits[e]:.4f}<extra></extra>"
            for e, w in zip(record.experts, record.weights, strict=True)
        ],
    )
    figure.add_bar(
        name="not chosen",
        x=rest,
        y=[record.probabilities[expert] for expert in rest],
        customdata=rest,
        width=wide,
        marker=style.CUT,
        hovertemplate=[
            f"{named(e)}: probability {record.probabilities[e]:.4f}, not chosen<br>"
            f"score {record.logits[e]:.4f}<extra></extra>"
            for e in rest
        ],
    )
    words = _weight_words(record, most_names)
    named_ones = record.experts[: len(words)]
    figure.add_scatter(
        mode="text",
        x=list(named_ones),
        y=[record.probabilities[expert] for expert in named_ones],
        text=words,
        textposition="top center",
        textfont={"size": 12, "color": style.LIGHT.ink},
        cliponaxis=False,
        hoverinfo="skip",
    )
    figure.update_xaxes(title={"text": "expert"}, **expert_axis(n, most_names))
    figure.update_yaxes(
        range=[0, record.top * 1.15],
        fixedrange=True,
        tickformat=".0%" if record.top >= 0.05 else ".1%",
        nticks=5,
        title={"text": "router probability"},
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=340,
        barmode="overlay",
        title={"text": bars_title(record)},
        showlegend=False,
        margin={"l": 8, "r": 8, "t": 44, "b": 8},
    )
    return figure


def _weight_words(record: RouterBars, most_names: int) -> list[str]:
    """What stands over the chosen bars: their weights, or the names of the first where bars are thin."""
    if len(record.probabilities) > most_names:
        return [named(expert) for expert in record.experts[:3]]
    share = "" if most_names < _MOST_NAMES or len(record.experts) > 2 else "weight "
    return [f"{share}{style.share(weight)}" for weight in record.weights]


def bars_title(record: RouterBars) -> str:
    """The finding: who was asked, and how much of the router's probability went unused."""
    asked = listed(record.experts, 2) if len(record.experts) <= 2 else f"{len(record.experts)} experts"
    rest = len(record.probabilities) - len(record.experts)
    left = f"; {style.share(record.left_out)} is left out" if rest else ""
    return f"L{record.layer} asks {asked}{left}"
