"""What the figures of routers share: a frame around a cell, axes of layers and experts, dense rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from viz import style
from viz.moe.routing import named


def cell_frame(column: float, row: float) -> dict[str, Any]:
    """A rectangle around one cell of a heat map: the selection."""
    ends = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return {"type": "rect", "line": {"color": style.LIGHT.ink, "width": 2.5}, **ends}


def layer_axis(n_layers: int, layer: int, most: int = 24) -> dict[str, Any]:
    """The y axis of layers, the first on top, the selected one bold and always named."""
    step = -(-n_layers // most)
    ticks = [n for n in range(n_layers) if n == layer or (n % step == 0 and abs(n - layer) >= step)]
    return {
        "range": [n_layers - 0.5, -0.5],
        "showgrid": False,
        "fixedrange": True,
        "tickvals": ticks,
        "ticktext": [f"<b>L{n}</b>" if n == layer else f"L{n}" for n in ticks],
    }


def expert_axis(n_experts: int, most: int) -> dict[str, Any]:
    """The x axis of experts, thinned where their names would touch."""
    step = -(-n_experts // most)
    shown = list(range(0, n_experts, step))
    return {
        "range": [-0.6, n_experts - 0.4],
        "showgrid": False,
        "fixedrange": True,
        "tickvals": shown,
        "ticktext": [named(expert) for expert in shown],
    }


def dense_rows(rows: Iterable[int], middle: float, words: str) -> list[dict[str, Any]]:
    """A word on each row of a layer without experts."""
    return [{"x": middle, "y": row, "text": words, "font": {"size": 11}} for row in rows]
