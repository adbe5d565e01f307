"""Current run less pinned run: the overview of heads, and the chosen head's map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.attention.head_kinds import choose_head
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.sides import Side, same_tokens
from viz.attention.head_grid import head_grid_difference_record, head_grid_figure
from viz.attention.heads import Measure
from viz.attention.pattern import attention_difference_record
from viz.attention.pattern_map import attention_difference_figure


def difference(sides: Sequence[Side], several: Sequence[np.ndarray], measure: Measure) -> None:
    """Current less pinned: the overview where the models have the same heads, the map of the chosen one.

    `several` are the values of the measure, [layer, head].
    """
    st.subheader("Difference", anchor=False)
    current, pinned = sides
    if not same_tokens(sides):
        st.markdown(
            f"The two prompts are different tokens ({len(current.texts):,} and {len(pinned.texts):,}), so no "
            "cell of one map means the same as a cell of the other: there is no difference to draw. Pin a "
            "run of the same prompt, with a head switched off or another number format, to see one."
        )
        return
    heads, map_ = st.columns([1, 2])
    with map_:
        _map_difference(current, pinned)
    with heads:
        _heads_difference(current, pinned, several, measure)


def _map_difference(current: Side, pinned: Side) -> None:
    here, there = (side.trace.get("pattern", side.layer, side.head) for side in (current, pinned))
    record = attention_difference_record(
        here,
        there,
        current.texts,
        layer=current.layer,
        head=current.head,
        selected=current.query,
        key=current.chosen_key,
    )
    origin = current.origin(compared_with=pinned.run)
    live_figure(attention_difference_figure(record), key="difference", provenance=origin)


def _heads_difference(current: Side, pinned: Side, several: Sequence[np.ndarray], measure: Measure) -> None:
    values, other = several
    if values.shape != other.shape:
        st.markdown(
            "The two models have different numbers of layers or heads, so their overviews do not match."
        )
        return
    record = head_grid_difference_record(values, other, measure, layer=current.layer, head=current.head)
    live_figure(
        head_grid_figure(record),
        key="heads-difference",
        provenance=current.origin(compared_with=pinned.run),
        clickable=True,
        on_click=choose_head,
    )
