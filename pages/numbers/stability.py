"""Stability: where narrow numbers break in a real model, and which small changes keep them whole."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame.page import View, end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, draw, end_part
from pages.shared.settings import url_state as state


@st.fragment
def moving_part(view: View) -> None:
    """All that follows the controls: drawn again alone, while the rest of the page rests."""
    if (state.get("layer"), state.get("head")) != (view.layer, view.head):
        st.rerun()  # a click chose them: the sidebar says so too
    with showing_errors():
        part = choose()
        end_part(draw(part, view), part)
    state.write()


view = start_page(
    "Numbers in the machine",
    "Stability",
    "Sixteen bits hold fewer numbers than thirty-two. Where does that break a real model, and what keeps it "
    "whole?",
)
moving_part(view)
end_page()
