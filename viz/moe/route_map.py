"""Which expert each token asks first: tokens from left to right, layers from top to bottom."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.axes import cell_frame, dense_rows, layer_axis
from viz.moe.routing import MOST_MAP_TOKENS, NARROW_MAP_TOKENS, RouteMap, named, window
from viz.panels import Json, Look, drawn, figure

_N = len(style.CATEGORIES)
_ROW, _LEAST_ROW, _MOST_HEIGHT = 30, 15, 680  # pixels

# Eight flat steps: a cell's colour is its expert's, from the ninth expert on that of the one eight before.
EXPERT_SCALE = [
    (at, style.category(number)) for number in range(_N) for at in (number / _N, (number + 1) / _N)
]


def route_map_figure(record: RouteMap) -> Drawn:
    """One cell a token and layer, with the number of the expert in it; the selection framed."""
    layers = [n for n, line in enumerate(record.experts) if line is not None]
    n_tokens = len(record.texts)
    cells = [(layer, position) for layer in layers for position in range(n_tokens)]
    return drawn(
        _figure,
        record,
        alt=_alt(record),
        stem="route-map",
        table={
            "layer": [layer for layer, _ in cells],
            "position": [position for _, position in cells],
            "token": [record.texts[position] for _, position in cells],
            "first expert": [(record.experts[layer] or ())[position] for layer, position in cells],
            "weight": [(record.weights[layer] or ())[position] for layer, position in cells],
        },
        tablet=True,
    )


def _figure(record: RouteMap, look: Look) -> go.Figure:
    n_layers = len(record.experts)
    most = look.pick(MOST_MAP_TOKENS, NARROW_MAP_TOKENS, 2 * NARROW_MAP_TOKENS)
    shown = window(len(record.texts), record.selected, most)
    row = max(_LEAST_ROW, min(_ROW, _MOST_HEIGHT // n_layers))
    names = {position: style.shorten(style.visible(record.texts[position]), 12) for position in shown}
    room = 8 * max(map(len, names.values())) + 8  # pixels: names stand upright
    dense = (n for n, line in enumerate(record.experts) if line is None)
    middle = (shown.start + shown.stop - 1) / 2
    return figure(
        [_cells(record, shown, row)],
        xaxis={
            "range": [shown.start - 0.5, shown.stop - 0.5],
            "side": "top",
            "showgrid": False,
            "tickvals": list(shown),
            "ticktext": [
                f"<b>{style.inert(name)}</b>" if position == record.selected else style.inert(name)
                for position, name in names.items()
            ],
            "tickangle": -90,
            "tickfont": {"family": style.MONO, "size": 12},
        },
        yaxis=layer_axis(n_layers, record.layer),
        height=row * n_layers + room + 58,
        title={"text": title(record), "automargin": False},
        plot_bgcolor=style.MASKED,
        shapes=[cell_frame(record.selected, record.layer)],
        annotations=dense_rows(dense, middle, "dense: every token uses the whole MLP"),
        margin={"t": room + 42},
    )


def _cells(record: RouteMap, shown: range, row: int) -> Json:
    lines = [
        [np.nan] * len(shown) if line is None else [line[position] for position in shown]
        for line in record.experts
    ]
    experts = np.array(lines, dtype=np.float32).reshape(len(lines), len(shown))
    gaps = len(shown) <= MOST_MAP_TOKENS
    return {
        "type": "heatmap",
        "name": "first experts",
        "x": list(shown),
        "y": list(range(len(lines))),
        "z": experts % _N,
        "zmin": -0.5,
        "zmax": _N - 0.5,
        "colorscale": EXPERT_SCALE,
        "showscale": False,
        "text": [["" if v != v else f"{v:.0f}" for v in line] for line in experts.tolist()],
        "texttemplate": "%{text}",
        "textfont": {"size": 12 if row >= 20 else 10},
        "customdata": [
            ["" if line is None else f"{line[position]:.4f}" for position in shown] for line in record.weights
        ],
        "xgap": 1 if gaps else 0,
        "ygap": 1 if gaps else 0,
        "hoverongaps": False,
        "hovertemplate": "L%{y}, token %{x}: E%{text}, weight %{customdata}<extra></extra>",
    }


def title(record: RouteMap) -> str:
    """The finding: the selected token's first experts, layer by layer."""
    path = [line[record.selected] for line in record.experts if line is not None]
    token = f"“{style.label(record.texts[record.selected], 14)}”"
    if len(path) > 8:
        return f"{token} asks {len({*path}):,} different experts first on its way"
    return f"{token} asks first: " + " → ".join(map(named, path))


def _alt(record: RouteMap) -> str:
    path = [
        f"L{n} {named(line[record.selected])}" for n, line in enumerate(record.experts) if line is not None
    ]
    dense = [f"L{n}" for n, line in enumerate(record.experts) if line is None]
    token = style.quoted(record.texts[record.selected])
    return (
        f"The expert that each of {len(record.texts):,} tokens asks first, in {record.n_sparse} layers of "
        f"{record.n_experts} experts. The selected token, {token}, asks "
        f"{', '.join(path)}." + (f" Dense layers: {', '.join(dense)}." if dense else "")
    )
