"""The controls of the Projection part: which points, by which method, and what to look for."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.shared.settings.word_lists import WORD_GROUPS
from pages.vectors.placed import depth_of
from viz.vectors.projection import DISTANCES, METHODS
from viz.vectors.senses import depth_words

POINTS = {"words": "Words", "prompt": "Prompt", "vocabulary": "Vocabulary"}
TOPS = (100, 300, 1_000, 2_000, 3_000, 5_000)
SETS = {
    "kinds": "Kinds of things",
    "people": "He and she",
    "feelings": "Good and bad",
    "tenses": "Now and past",
}
AXES_OF_SETS = {
    "kinds": ("country", "city"),
    "people": ("man", "woman"),
    "feelings": ("bad", "good"),
    "tenses": ("go", "went"),
}


def controls(side: Side) -> None:
    """Points, method and dimensions in the first row; what belongs to them in the second."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Points", [*POINTS], format_func=POINTS.__getitem__, required=True, **state.bound("points")
        )
        st.segmented_control(
            "Method", [*METHODS], format_func=METHODS.__getitem__, required=True, **state.bound("method")
        )
        st.segmented_control(
            "Dimensions", ["2", "3"], format_func="{}-D".format, required=True, **state.bound("axes")
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        match state.get("points"):
            case "words":
                _words()
            case "prompt":
                _prompt(side)
            case _:
                _vocabulary()
        if state.get("method") == "axis":
            st.text_input("From (left)", width=130, **state.bound("left"))
            st.text_input("To (right)", width=130, **state.bound("right"))
        st.text_input("Find a token", placeholder="type a word", width=170, **state.bound("find"))
        with st.popover("More settings"):
            _more()


def _words() -> None:
    with st.popover("The words"):
        st.text_area(
            "A group a line: its name, a colon, its words",
            height=220,
            width=520,
            **state.bound("groups"),
        )
        with st.container(horizontal=True):
            for key, name in SETS.items():
                st.button(name, key=f"gf.groups.{key}", on_click=_take_set, args=(key,))


def _take_set(key: str) -> None:
    left, right = AXES_OF_SETS[key]
    state.set(groups=WORD_GROUPS[key], left=left, right=right, point=0)


def _prompt(side: Side) -> None:
    n_layers = side.spec.n_layers
    if state.get("depth") > n_layers:
        state.open_with(depth=depth_of(side))
    st.select_slider(
        "Where in the model", range(n_layers + 1), format_func=depth_words, width=280, **state.bound("depth")
    )
    st.toggle(
        "With the first token",
        help="In the middle layers the first token's vector is many times as long as all others.",
        **state.bound("first"),
    )


def _vocabulary() -> None:
    st.select_slider(
        "Tokens, the first of the vocabulary",
        sorted({*TOPS, state.get("top")}),
        format_func="{:,}".format,
        width=280,
        **state.bound("top"),
    )


def _more() -> None:
    st.segmented_control(
        "Distance in the full space",
        [*DISTANCES],
        format_func=DISTANCES.__getitem__,
        required=True,
        help="Cosine compares directions, and PCA then reads vectors scaled to length 1. Euclid compares the "
        "vectors as they are.",
        **state.bound("by"),
    )
    method = state.get("method")
    if method == "tsne":
        st.number_input(
            "Perplexity",
            1.0,
            500.0,
            step=5.0,
            help="About how many neighbours each point is kept near to.",
            **state.bound("perplexity"),
        )
    if method == "umap":
        st.number_input(
            "Neighbours", 2, 200, help="Small: detail. Large: the overall shape.", **state.bound("near")
        )
        st.number_input(
            "Least distance",
            0.0,
            0.99,
            step=0.05,
            help="How close points may lie in the picture.",
            **state.bound("apart"),
        )
    if method in ("tsne", "umap"):
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            help="Another seed, another picture of the same points.",
            **state.bound("shake"),
        )
