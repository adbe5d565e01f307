"""How far every head's attention moves under another rotation, head by head and layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.head_grid import head_grid_difference_record, head_grid_figure
from viz.attention.heads import Measure
from viz.attention.pattern import AttentionPattern
from viz.attention.pattern_map import attention_difference_figure
from viz.drawn import Drawn
from viz.panels import Look, box, drawn, figure, heat, share_ticks

_LEAST_TOP = 0.01
MOVED = Measure(
    "moved",
    "moved",
    "Attention moved",
    "share that moves",
    "How much of its attention does it move?",
    "share",
)


@dataclass(frozen=True)
class HeadsMoved:
    """Total variation of every head's pattern, mean over queries, 0 to 1."""

    moved: tuple[tuple[float, ...], ...]  # [layer][head]
    layer: int
    head: int
    top: float  # end of the colour scale
    edit: str  # in words

    @property
    def most(self) -> tuple[int, int]:
        values = np.array(self.moved)
        layer, head = np.unravel_index(int(values.argmax()), values.shape)
        return int(layer), int(head)

    @property
    def by_layer(self) -> tuple[float, ...]:
        return tuple(float(np.mean(line)) for line in self.moved)


def heads_moved_record(moved: np.ndarray, *, layer: int, head: int, top: float, edit: str) -> HeadsMoved:
    """Values [layer, head] -> what will be drawn; `top` is shared by the runs of a page."""
    lines = tuple(tuple(float(v) for v in line) for line in moved)
    # Where nothing moves but the rounding, colours stay pale.
    return HeadsMoved(lines, layer, head, max(top, _LEAST_TOP), edit)


def moved_title(record: HeadsMoved) -> str:
    """The finding: where the edit matters most, if anywhere."""
    layer, head = record.most
    most = record.moved[layer][head]
    if most < 1e-3:
        return f"No head moves: at most {style.share(most)}"
    return f"L{layer} H{head} moves most: {style.share(most)} of its attention"


def heads_moved_figure(record: HeadsMoved) -> Drawn:
    """A cell a head; on the right the mean of each layer."""
    n_layers, n_heads = len(record.moved), len(record.moved[0])
    cells = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    deepest = int(np.argmax(record.by_layer))
    return drawn(
        _figure,
        record,
        alt=f"How far attention moves under {record.edit}, by head. {moved_title(record)}. Largest layer "
        f"mean: layer {deepest}, {style.share(record.by_layer[deepest])}.",
        stem="rope-change-by-head",
        table={
            "layer": [layer for layer, _ in cells],
            "head": [head for _, head in cells],
            "attention moved": [record.moved[layer][head] for layer, head in cells],
        },
    )


def _figure(record: HeadsMoved, look: Look) -> go.Figure:
    n_layers, n_heads = len(record.moved), len(record.moved[0])
    heads = heat(
        "heads",
        record.moved,
        0,
        record.top,
        style.PROBABILITY_SCALE,
        xgap=1 if n_heads <= 32 else 0,
        ygap=1 if n_layers <= 40 else 0,
        showscale=False,
        hovertemplate="layer %{y}, head %{x}<br>%{z:.3%} of its attention moved<extra></extra>",
    )
    means = {
        "type": "bar",
        "name": "mean of the layer",
        "orientation": "h",
        "x": list(record.by_layer),
        "y": list(range(n_layers)),
        "marker": {"color": style.LIGHT.accent},
        "hovertemplate": "layer %{y}: mean %{x:.3%}<extra></extra>",
        "xaxis": "x2",
    }
    longest = max(1.05 * max(record.by_layer), 0.02 * record.top)
    across, down = ((at - 0.5, at + 0.5) for at in (record.head, record.layer))
    names = {"text": f"head (palest 0, strongest {style.share(record.top)})"}
    return figure(
        [heads, means],
        xaxis={"domain": [0, 0.66], "title": names, "showgrid": False, "tickformat": "d"},
        xaxis2={
            "domain": [0.72, 1],
            "title": {"text": "layer mean"},
            "range": [0, longest],
            **share_ticks(0, longest, 3),
        },
        yaxis={
            "title": {"text": "layer"},
            "range": [n_layers - 0.5, -0.5],
            "showgrid": False,
            "tickformat": "d",
        },
        title={"text": moved_title(record), "font": {"size": look.pick(15, 13)}},
        height=int(min(560, max(300, 120 + 14 * n_layers))),
        showlegend=False,
        shapes=[box(across, down, line={"color": style.LIGHT.ink, "width": 2})],
        margin={"r": 12, "t": 48},
    )


def moved_difference_figure(here: np.ndarray, there: np.ndarray, *, layer: int, head: int) -> Drawn:
    """How much further each head's attention moves in one run than in another; both [layer, head].

    Raises:
        ValueError: the two have different numbers of layers or heads.
    """
    made = head_grid_figure(head_grid_difference_record(here, there, MOVED, layer=layer, head=head))
    return replace(made, stem="rope-change-difference")


def pattern_change_figure(record: AttentionPattern) -> Drawn:
    """Edited less as it is, for one head; `record` is of `attention_difference_record`."""
    made = attention_difference_figure(record)
    values = [v for line in record.cells for v in line if v is not None]
    largest = max(values, key=abs)
    words = f"Edited less as it is: up to {style.three_digits(100 * largest)} points"
    made.figure.update_layout(title={"text": words})
    if abs(largest) < 1e-5:
        bar = {"tickvals": [-_LEAST_TOP, 0, _LEAST_TOP], "ticktext": ["−1 point", "0", "+1 point"]}
        made.figure.update_traces(zmin=-_LEAST_TOP, zmax=_LEAST_TOP, colorbar=bar)
        made.figure.update_layout(title={"text": "Only rounding: no cell changes"})
    return made
