"""The controls that two parts of Stability share: gain on q and k, format, and what is kept inside."""

from __future__ import annotations

import streamlit as st

from pages.shared.settings import url_state as state
from viz.numbers.scaling_order import gain_words

GAINS = tuple(2.0 ** (quarter / 4) for quarter in range(29))  # 1 to 128
FORMATS = ("fp16", "bf16")


def gain_slider() -> float:
    """How much q and k have grown; scores grow with its square. The answer comes when it is let go."""
    gain: float = state.get("gain")
    st.select_slider(
        "Gain on q and k",
        sorted({*GAINS, gain}),
        format_func=lambda value: gain_words(value) + (" (as they are)" if value == 1 else ""),
        help="Multiplies the model's own queries and keys, as weights that grow during training would. A "
        "score is a product of both, so it grows with the square.",
        **state.bound("gain"),
    )
    return float(state.get("gain"))


def format_control() -> str:
    """fp16 or bf16."""
    st.segmented_control("Number format", FORMATS, required=True, **state.bound("narrow"))
    return str(state.get("narrow"))


def inside_control() -> str:
    """Whether sums are kept in fp32 inside a matrix product, as machines do, or rounded at every step."""
    words = {"wide": "fp32", "narrow": "every step rounded"}
    st.segmented_control(
        "Sums inside a product",
        [*words],
        format_func=words.__getitem__,
        required=True,
        wrap=True,
        help="fp32: torch's own matrix product. For 16-bit numbers it adds up in fp32 inside and rounds once "
        "at the end, on processors and, unless told otherwise, in a GPU's tensor cores. Every step rounded: "
        "emulated, what a loop in that format does.",
        **state.bound("inside"),
    )
    return str(state.get("inside"))
