"""Stability: where narrow numbers break in a real model, and which small changes keep them whole."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame.page import View, end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part
from pages.shared.settings import url_state as state

PARTS = (
    Part(
        "order",
        "Order of operations",
        "Attention divides by √d. Before or after the product makes no difference on paper. Let q and k grow "
        "and see where it does in fp16.",
        "pages.numbers.scaling_order",
    ),
    Part(
        "softmax",
        "Softmax",
        "One row of scores, turned into probabilities in four ways that are equal on paper. Let the scores "
        "grow: which way breaks first, and which one never does?",
        "pages.numbers.softmax",
    ),
    Part(
        "model",
        "Whole model",
        "The same weights and the same prompt in three formats. How far do they drift apart, layer by layer, "
        "and does it change what the model says?",
        "pages.numbers.precisions",
    ),
    Part(
        "sums",
        "Sums",
        "The same numbers, added up in different orders and formats. Which digits can be trusted?",
        "pages.numbers.sums",
    ),
    Part(
        "gradients",
        "Loss scaling",
        "Gradients are far smaller than weights. How many of them vanish in fp16, and how many does a factor "
        "of 2ᵏ bring back?",
        "pages.numbers.gradients",
    ),
)


@st.fragment
def moving_part(view: View) -> None:
    """All that follows the controls: drawn again alone, while the rest of the page rests."""
    if (state.get("layer"), state.get("head")) != (view.layer, view.head):
        st.rerun()  # a click chose them: the sidebar says so too
    with showing_errors():
        part = choose(PARTS, "stability")
        end_part(part.draw(view))
    state.write()


view = start_page(
    "Numbers in the machine",
    "Stability",
    "Sixteen bits hold fewer numbers than thirty-two. Where does that break a real model, and what keeps it "
    "whole?",
)
moving_part(view)
end_page()
