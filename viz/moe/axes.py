"""What the figures of routers share: the frame of a cell, axes of layers and experts, dense rows, a scale."""

from __future__ import annotations

from collections.abc import Iterable

from viz.moe.routing import named
from viz.panels import Json, box, note, thinned


def cell_frame(column: float, row: float, panel: int = 0) -> Json:
    """A rectangle around one cell of a heat map: the selection."""
    return box((column - 0.5, column + 0.5), (row - 0.5, row + 0.5), panel)


def layer_axis(n_layers: int, layer: int, most: int = 24) -> Json:
    """The y axis of layers, the first on top, the selected one bold and always named."""
    ticks = thinned(n_layers, most, layer)
    names = [f"<b>L{n}</b>" if n == layer else f"L{n}" for n in ticks]
    return {"range": [n_layers - 0.5, -0.5], "showgrid": False, "tickvals": ticks, "ticktext": names}


def expert_axis(n_experts: int, most: int) -> Json:
    """The x axis of experts, thinned where their names would touch."""
    shown = thinned(n_experts, most)
    names = [named(expert) for expert in shown]
    return {"range": [-0.6, n_experts - 0.4], "showgrid": False, "tickvals": shown, "ticktext": names}


def dense_rows(rows: Iterable[int], middle: float, words: str) -> list[Json]:
    """A word on each row of a layer without experts."""
    return [note(words, middle, row, font={"size": 11}) for row in rows]


def scale_below(words: str, ends: dict[float, str]) -> Json:
    """A colour bar along the lower edge, with names at some values."""
    return {
        "title": {"text": words, "side": "top"},
        "orientation": "h",
        "thickness": 8,
        "y": 0,
        "yanchor": "top",
        "ypad": 24,
        "len": 0.86,
        "tickvals": list(ends),
        "ticktext": list(ends.values()),
        "ticklabeloverflow": "allow",
    }


def height(n_layers: int, most: int = 640) -> int:
    """Pixels of a map of layers by experts."""
    return min(max(34 * n_layers + 130, 260), most)
