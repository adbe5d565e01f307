"""A small map of the pattern, in which one cell is chosen: its query's row and its key's column."""

from __future__ import annotations

from dataclasses import replace

from viz import style
from viz.attention.pattern import AttentionPattern
from viz.attention.pattern_map import attention_pattern_figure
from viz.drawn import Drawn

_HEIGHT = 400


def cell_map_figure(record: AttentionPattern, key: int) -> Drawn:
    """The map of the pattern, smaller, with the column of `key` in a dotted frame as well."""
    drawn = attention_pattern_figure(record)
    figure, column = drawn.figure, key // record.block
    figure.add_shape(
        type="rect",
        x0=column - 0.5,
        x1=column + 0.5,
        y0=-0.5,
        y1=record.n_cells - 0.5,
        line={"color": style.LIGHT.ink, "width": 1.5, "dash": "dot"},
    )
    figure.update_traces(showscale=False, selector={"type": "heatmap"})
    figure.update_layout(
        height=_HEIGHT,
        title={
            "text": f"L{record.layer} H{record.head}: <b>choose a cell</b>",
        },
    )
    narrow = {**drawn.narrow_layout, "title.text": "<b>Choose a cell</b>", "height": 400}
    narrow["margin"] = {**dict(narrow["margin"]), "b": 8}  # type: ignore[call-overload]
    chosen = f"Chosen: query {record.selected}, key {key}."
    return replace(drawn, alt=f"{drawn.alt} {chosen}", stem="attention-cell", narrow_layout=narrow)
