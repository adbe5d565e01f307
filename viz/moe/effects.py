"""How far the next token moves without each expert: layers by experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.moe.axes import cell_frame, dense_rows, expert_axis, height, layer_axis, scale_below
from viz.moe.routing import named
from viz.panels import SILENT, Look, drawn, figure, heat, scatter


@dataclass(frozen=True)
class EffectGrid:
    """One number a layer and expert: KL divergence in nats; None where no token was sent to the expert,
    infinite where the logits without it are no numbers."""

    values: tuple[tuple[float | None, ...] | None, ...]  # [layer][expert]; None in dense layers
    layer: int
    expert: int
    top: float  # end of the colour scale

    @property
    def largest(self) -> tuple[int, int, float] | None:
        """(layer, expert, nats) of the expert that matters most; None where no expert has a number."""
        found = [
            (value, layer, expert)
            for layer, line in enumerate(self.values)
            for expert, value in enumerate(line or ())
            if value is not None and np.isfinite(value)
        ]
        if not found:
            return None
        value, layer, expert = max(found, key=lambda item: (item[0], -item[1], -item[2]))
        return layer, expert, value


def effect_grid_record(
    divergence: np.ndarray,  # [sparse layer, expert]; NaN: not asked; inf: no logits are left without it
    layers: Sequence[int],
    *,
    n_layers: int,
    layer: int,
    expert: int,
    top: float | None = None,
) -> EffectGrid:
    """Measured values -> what will be drawn; `top` ends a common scale."""
    rows = {number: row for row, number in enumerate(layers)}
    lines = tuple(
        tuple(None if np.isnan(v) else float(v) for v in divergence[rows[n]]) if n in rows else None
        for n in range(n_layers)
    )
    return EffectGrid(lines, layer, expert, effect_top(divergence) if top is None else top)


def effect_top(*divergences: np.ndarray) -> float:
    """The largest finite value, the end of a scale from 0."""
    return max(style.shared_range(*divergences)[1], 1e-9)


def effect_grid_figure(record: EffectGrid) -> Drawn:
    """Darker: the next token moves further without this expert. Bare: no token was sent to it."""
    cells = [
        (layer, expert, value)
        for layer, line in enumerate(record.values)
        for expert, value in enumerate(line or ())
    ]
    return drawn(
        _figure,
        record,
        alt=effect_sentence(record),
        stem="expert-effects",
        table={
            "layer": [layer for layer, _, _ in cells],
            "expert": [expert for _, expert, _ in cells],
            "KL divergence in nats": [value for _, _, value in cells],
        },
    )


def _figure(record: EffectGrid, look: Look) -> go.Figure:
    n_layers, n_experts = len(record.values), max(len(line or ()) for line in record.values)
    most_names = look.pick(24, 10)
    lines = [
        [np.nan] * n_experts if line is None else [np.nan if v is None or np.isinf(v) else v for v in line]
        for line in record.values
    ]
    missing = [
        (expert, layer, "×" if value is None else "∞")
        for layer, line in enumerate(record.values)
        for expert, value in enumerate(line or ())
        if value is None or np.isinf(value)
    ]
    effects = heat(
        "effects",
        lines,
        0,
        record.top,
        style.PROBABILITY_SCALE,
        hoverongaps=False,
        text=[[_in_cell(value) for value in line] for line in lines],
        texttemplate="%{text}" if n_experts <= most_names // 2 + 2 else None,
        textfont={"size": 11},
        hovertemplate="without E%{x} in L%{y}: %{z:.4f} nats<extra></extra>",
        colorbar=scale_below("KL divergence (nats)", {0: "0", record.top: style.three_digits(record.top)}),
    )
    crosses = scatter(
        "not asked",
        [expert for expert, _, _ in missing],
        [layer for _, layer, _ in missing],
        "text",
        text=[mark for _, _, mark in missing],
        textfont={"size": 12, "color": style.LIGHT.muted},
        **SILENT,
    )
    dense = (n for n, line in enumerate(record.values) if line is None)
    return figure(
        [effects, crosses],
        xaxis={"side": "top", **expert_axis(n_experts, most_names)},
        yaxis=layer_axis(n_layers, record.layer, 16),
        height=height(n_layers),
        title={"text": effect_title(record)},
        plot_bgcolor=style.MASKED,
        showlegend=False,
        shapes=[cell_frame(record.expert, record.layer)],
        annotations=dense_rows(dense, (n_experts - 1) / 2, "dense: the whole MLP"),
        margin={"r": 24, "t": 62},
    )


def _in_cell(value: float) -> str:
    """Two digits in a cell; the hover has more."""
    if value != value:
        return ""
    return f"{value:.2g}" if value >= 0.001 or value == 0 else "≈\u20090"


def effect_title(record: EffectGrid) -> str:
    """The finding: who matters most."""
    if record.largest is None:
        return "Without an expert no number is left" if broken(record) else "No expert was asked"
    layer, expert, value = record.largest
    return f"Most: L{layer} {named(expert)}, {style.three_digits(value, 'nats')}"


def broken(record: EffectGrid) -> str:
    """Of which experts nothing can be said, in plain text; "" where there is none."""
    n = sum(value is not None and np.isinf(value) for line in record.values for value in line or ())
    if not n:
        return ""
    return f"∞: without {counted(n, 'expert')} the logits become infinite or no number, one at a time."


def effect_sentence(record: EffectGrid) -> str:
    """The most important expert, and the chosen one, in plain text; first of which nothing can be said."""
    return " ".join(filter(None, (broken(record), _compared(record))))


def _compared(record: EffectGrid) -> str:
    if record.largest is None:
        return "" if broken(record) else "No expert was asked, so none can be missed."
    layer, expert, value = record.largest
    said = (
        f"The next token's distribution moves furthest without {named(expert)} of layer {layer}: KL "
        f"divergence {style.three_digits(value, 'nats')}."
    )
    line = record.values[record.layer]
    here = None if line is None else line[record.expert]
    if (record.layer, record.expert) == (layer, expert):
        return said
    own = f"{named(record.expert)} of layer {record.layer}"
    if here is not None and np.isinf(here):
        return said
    if here is None:
        return f"{said} {own} works on no token of this prompt."
    return f"{said} Without {own}, the chosen one: {style.three_digits(here, 'nats')}."
