"""BertViz: its head view and model view of the same measured patterns, drawn without the web."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.attention.bertviz import bertviz_head_view, layer_patterns
from pages.shared.escape import plain
from pages.shared.figure.bertviz_frame import Place, bertviz_frame, standalone
from pages.shared.figure.provenance import file_name
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.attention.bertviz import (
    NAMES,
    BertvizView,
    Kind,
    bertviz_view,
    outside_share,
    size_sentence,
    span_of,
)
from viz.attention.bertviz_files import INSTALL, missing
from viz.attention.pattern import attention_pattern_record, row_sentence
from viz.equations import tex

HOW_TO_READ: dict[Kind, str] = {
    "head": (
        "Each line joins a token on the left to a token on the right that it reads; the stronger the line, "
        "the higher the probability. Point at a token for its lines alone, click it to select it. The "
        "numbered squares are the heads: a click adds one or takes it away, a double click leaves it alone."
    ),
    "model": (
        "Each small picture is one head: layers downwards, heads across. A click opens it large, with its "
        "tokens, and makes it the app's head; the frame scrolls. Look for shapes that repeat: fans into the "
        "first token, steps to the token before."
    ),
}


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    if absent := missing():
        not_installed(absent)
    else:
        kind, layers = controls(sides[0].layer)
        for place, side in zip(places(sides), sides, strict=True):
            with column(place, side):
                show(side, kind, layers, beside=kind == "head" and len(sides) == 1)
    return Lesson(mathematics=partial(mathematics, sides[0]), code=(bertviz_head_view,))


def controls(layer: int) -> tuple[Kind, str]:
    """Which view, and of which layers."""
    of_layers = {"all": "All that fit", "near": f"Five around {layer}", "one": f"Only {layer}"}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "View", [*NAMES], format_func=NAMES.__getitem__, required=True, **state.bound("bertviz")
        )
        st.segmented_control(
            "Layers", [*of_layers], format_func=of_layers.__getitem__, required=True, **state.bound("layers")
        )
    return state.get("bertviz"), state.get("layers")


def not_installed(absent: Sequence[str]) -> None:
    """The designed state of a server without the files."""
    names = ", ".join(absent)
    st.info(
        f"BertViz's pictures need files of packages that are not installed on this server: {plain(names)}. "
        f"Whoever runs the server installs them with\n\n    {INSTALL}\n\nand starts it again. "
        "*Who reads whom* draws the same lines meanwhile.",
        title="BertViz is not installed",
    )


def show(side: Side, kind: Kind, layers: str, beside: bool) -> None:
    """One run: the frame, and what is seen in it."""
    pattern = side.trace.get("pattern", side.layer, side.head)
    row = attention_pattern_record(pattern, side.texts, layer=side.layer, head=side.head, selected=side.query)
    made = view_of(side, kind, layers)
    frame, words = st.columns([2, 1]) if beside else (st.container(), st.container())
    place = Place(side.layer, side.head, side.query)
    origin = side.origin(view=f"BertViz {kind} view")
    with frame:
        choice = bertviz_frame(
            made,
            place,
            key=side.key_figure("bertviz"),
            provenance=origin,
            alt=row_sentence(row),
            clickable=side.clickable,
        )
    with words:
        st.markdown(f"**L{side.layer} H{side.head}.** {plain(row_sentence(row))}")
        st.markdown(HOW_TO_READ[kind])
        outside = outside_share(pattern[side.query], made.span)
        st.caption(plain(size_sentence(made, len(side.texts), side.spec.n_layers, outside, layers)))
        st.download_button(
            "Save as HTML",
            data=lambda: standalone(made, place, origin),
            file_name=file_name(f"bertviz-{kind}-view", origin, "html"),
            mime="text/html",
            on_click="ignore",
            key=f"gf.save.{side.key_figure('bertviz')}",
            help="One file that draws this view without the internet, with its caption.",
        )
    if choice and side.clickable:
        state.set(**choice)
        st.rerun()


def view_of(side: Side, kind: Kind, layers: str) -> BertvizView:
    """What is drawn."""
    spec, n_tokens = side.spec, len(side.texts)
    place = {"layer": side.layer, "query": side.query}
    span = span_of(kind, n_tokens, spec.n_layers, spec.n_heads, **place, layers=layers)
    patterns = side.run.measure(layer_patterns, layers=span.layers, positions=span.positions)
    return bertviz_view(kind, span, patterns, side.texts)


def mathematics(side: Side) -> str:
    """What a line's strength is, and what two heads on top of each other mean."""
    row = side.trace.get("pattern", side.layer, side.head)[side.query]
    return (
        "A line from query $q$ to key $k$ is drawn with the opacity\n\n"
        r"$$\text{opacity}_{qk} = \frac{p^{(h)}_{qk}}{n}, \qquad p^{(h)}_{qk} = "
        r"\mathrm{softmax}_k\!\left(\frac{q^{(h)}_q \cdot k^{(h)}_k}{\sqrt{d_\mathrm{head}}}\right)$$"
        "\n\nwhere $n$ is the number of heads that are switched on (in the model view always 1). So one head "
        "alone is drawn at full strength and nine at once at a ninth each. For the selected token in "
        f"L{side.layer} H{side.head} the strongest line has $p = {tex(float(row.max()))}$. The lines of "
        "one token add up to 1 in each head, less what a learned sink takes where a model has one."
    )
