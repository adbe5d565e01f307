"""Stability: where narrow numbers break in a real model, and which small changes keep them whole."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, show
from pages.shared.frame.sides import sides
from pages.shared.settings import url_state as state


@st.fragment
def moving_part(layer: int, head: int) -> None:
    """All that follows the controls: drawn again alone, while the rest of the page rests."""
    if (state.get("layer"), state.get("head")) != (layer, head):
        st.rerun()  # a click chose them: the sidebar says so too
    with showing_errors():
        show(choose(), sides())
    state.write()


start_page()
moving_part(state.get("layer"), state.get("head"))
end_page()
