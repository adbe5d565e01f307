"""The chosen cell of a pattern: its query and its key, by two boxes or by a click in a figure."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.shared.frame.sides import Drawing
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.table import STRONGEST_KEY
from viz.style import shorten, visible

_LONGEST_OPTION = 24


def stages_of(drawing: Drawing) -> Any:
    """Every matrix of the drawing's head (`HeadStages`), kept beside the trace."""
    from model_runtime.attention.stages import head_stages

    model, layer, head = runtime.model_for(drawing.run), drawing.layer, drawing.head
    return runtime.derived(
        drawing.run, ("head_stages", layer, head), lambda trace: head_stages(model, trace, layer, head)
    )


def choose_cell(drawing: Drawing, key: int) -> None:
    """The boxes that choose query and key; `key` is the one on screen while it follows the strongest."""
    positions = range(len(drawing.texts))

    def named(position: int) -> str:
        if position == STRONGEST_KEY:
            return f"the one read most ({_named(drawing, key)})"
        return _named(drawing, position)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Query: the token that reads",
            positions,
            format_func=named,
            width=280,
            **_query_box(drawing),
        )
        st.selectbox(
            "Key: the token that is read",
            [STRONGEST_KEY, *positions],
            format_func=named,
            width=320,
            **state.bound("key"),
        )


def _query_box(drawing: Drawing) -> dict[str, Any]:
    """As `url_state.bound`, but "the last token" of a link is the position that it means here."""
    name = "gf.widget.token.query"
    st.session_state[name] = drawing.query
    return {"key": name, "on_change": _take_query, "args": (name,)}


def _take_query(name: str) -> None:
    state.set(token=st.session_state[name])


def _named(drawing: Drawing, position: int) -> str:
    return f"{position} {shorten(visible(drawing.texts[position]), _LONGEST_OPTION)}"
