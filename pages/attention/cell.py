"""The chosen cell of a pattern: its query and its key, by two boxes or by a click in a figure."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model_runtime.attention.stages import head_stages
from model_runtime.records import HeadStages
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.shared.settings.table import STRONGEST_KEY
from viz.style import shorten, visible

_LONGEST_OPTION = 24


def stages_of(side: Side) -> HeadStages:
    """Every matrix of the side's head."""
    return side.run.measure(head_stages, layer=side.layer, head=side.head)


def choose_cell(side: Side, key: int) -> None:
    """The boxes that choose query and key; `key` is the one on screen while it follows the strongest."""
    texts, positions = side.texts, range(len(side.texts))  # what Streamlit keeps must not hold the run

    def named(position: int) -> str:
        if position == STRONGEST_KEY:
            return f"the one read most ({named(key)})"
        return f"{position} {shorten(visible(texts[position]), _LONGEST_OPTION)}"

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Query: the token that reads", positions, format_func=named, width=280, **_query_box(side.query)
        )
        st.selectbox(
            "Key: the token that is read",
            [STRONGEST_KEY, *positions],
            format_func=named,
            width=320,
            **state.bound("key"),
        )


def _query_box(query: int) -> dict[str, Any]:
    """As `url_state.bound`, but "the last token" of a link is the position that it means here."""
    name = "gf.widget.token.query"
    st.session_state[name] = query
    return {"key": name, "on_change": _take_query, "args": (name,)}


def _take_query(name: str) -> None:
    state.set(token=st.session_state[name])
