"""BertViz: its head view and model view of the same measured patterns, drawn without the web."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from model_runtime.attention import bertviz as notebook
from model_runtime.errors import PointUnavailable
from pages.shared.escape import plain
from pages.shared.figure.bertviz_frame import Place, bertviz_frame, standalone
from pages.shared.figure.provenance import file_name
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.attention.bertviz import BertvizView, bertviz_view, outside_share, size_sentence, span_of
from viz.attention.bertviz_files import INSTALL, missing
from viz.attention.pattern import AttentionPattern, attention_pattern_record, row_sentence

KINDS = {"head": "Head view", "model": "Model view"}
HOW_TO_READ = {
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


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    if absent := missing():
        not_installed(absent)
        return lesson(drawings[0])
    kind, layers = controls(view)
    beside = kind == "head" and len(drawings) == 1
    places = st.columns(len(drawings)) if len(drawings) > 1 else [st.container()]
    for place, drawing in zip(places, drawings, strict=True):
        with column(place, drawing):
            show(drawing, kind, layers, beside)
    return lesson(drawings[0])


def controls(view: View) -> tuple[Any, str]:
    """Which view, and of which layers."""
    of_layers = {"all": "All that fit", "near": f"Five around {view.layer}", "one": f"Only {view.layer}"}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "View", [*KINDS], format_func=KINDS.__getitem__, required=True, **state.bound("bertviz")
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


def show(drawing: Drawing, kind: Any, layers: str, beside: bool) -> None:
    """One run: the frame, and what is seen in it."""
    row = row_of(drawing)
    made = view_of(drawing, kind, layers)
    frame, words = st.columns([2, 1]) if beside else (st.container(), st.container())
    place = Place(drawing.layer, drawing.head, drawing.query)
    origin = drawing.origin(view=f"BertViz {kind} view")
    with frame:
        choice = bertviz_frame(
            made,
            place,
            key=drawing.key_figure("bertviz"),
            provenance=origin,
            alt=row_sentence(row),
            clickable=drawing.clickable,
        )
    with words:
        st.markdown(f"**L{drawing.layer} H{drawing.head}.** {plain(row_sentence(row))}")
        st.markdown(HOW_TO_READ[kind])
        pattern = drawing.trace().get("pattern", drawing.layer, drawing.head)
        outside = outside_share(pattern[drawing.query], made.span)
        st.caption(plain(size_sentence(made, len(drawing.texts), drawing.spec().n_layers, outside, layers)))
        st.download_button(
            "Save as HTML",
            data=lambda: standalone(made, place, origin),
            file_name=file_name(f"bertviz-{kind}-view", origin, "html"),
            mime="text/html",
            on_click="ignore",
            key=f"gf.save.{drawing.key_figure('bertviz')}",
            help="One file that draws this view without the internet, with its caption.",
        )
    if choice and drawing.clickable:
        state.set(**choice)
        st.rerun()


def row_of(drawing: Drawing) -> AttentionPattern:
    """The selected row in words needs the exact pattern of the selected head."""
    return attention_pattern_record(
        drawing.trace().get("pattern", drawing.layer, drawing.head),
        drawing.texts,
        layer=drawing.layer,
        head=drawing.head,
        selected=drawing.query,
    )


def view_of(drawing: Drawing, kind: Any, layers: str) -> BertvizView:
    """What is drawn, kept beside the run's trace."""
    spec = drawing.spec()
    span = span_of(
        kind,
        len(drawing.texts),
        spec.n_layers,
        spec.n_heads,
        layer=drawing.layer,
        query=drawing.query,
        layers=layers,
    )

    def made(trace: Any) -> BertvizView:
        return bertviz_view(kind, span, patterns_of(trace, span.layers), drawing.texts)

    return runtime.derived(drawing.run, ("bertviz", kind, span), made)


def patterns_of(trace: Any, layers: Sequence[int]) -> Mapping[int, Any]:
    """layer -> [head, query_pos, key_pos], of the layers that have patterns."""
    patterns = {}
    for layer in layers:
        try:
            patterns[layer] = trace.get("pattern", layer)
        except PointUnavailable:  # a layer without softmax attention; the selected one was refused before
            continue
    return patterns


def mathematics(drawing: Drawing) -> str:
    """What a line's strength is, and what two heads on top of each other mean."""
    row = drawing.trace().get("pattern", drawing.layer, drawing.head)[drawing.query]
    return (
        "A line from query $q$ to key $k$ is drawn with the opacity\n\n"
        r"$$\text{opacity}_{qk} = \frac{p^{(h)}_{qk}}{n}, \qquad p^{(h)}_{qk} = "
        r"\mathrm{softmax}_k\!\left(\frac{q^{(h)}_q \cdot k^{(h)}_k}{\sqrt{d_\mathrm{head}}}\right)$$"
        "\n\nwhere $n$ is the number of heads that are switched on (in the model view always 1). So one head "
        "alone is drawn at full strength and nine at once at a ninth each. For the selected token in "
        f"L{drawing.layer} H{drawing.head} the strongest line has $p = {float(row.max()):.4g}$. The lines of "
        "one token add up to 1 in each head, less what a learned sink takes where a model has one."
    )


def lesson(drawing: Drawing) -> Lesson:
    return Lesson(
        TRY_QUESTION,
        TRY_ANSWER,
        mathematics=lambda: mathematics(drawing),
        code=lambda: inspect.getsource(notebook.bertviz_head_view),
        sources=SOURCES,
    )


TRY_QUESTION = (
    "In the model view, most small pictures look alike. Which shape do you expect most often, and what would "
    "it mean? Predict, then scroll through the layers."
)
TRY_ANSWER = (
    "A fan: nearly all tokens read the first one. It is not that the first token says much: softmax has to "
    "give its probability to something, and the first token is where heads put it that have nothing to look "
    "for (an attention sink, Xiao et al. 2023). The rare other shapes are the interesting ones: short "
    "parallel steps (a previous-token head), a single long line (a head that looks for one thing)."
)
SOURCES = """
- Vig 2019, [A multiscale visualization of attention in the Transformer model][vig]: BertViz, its head view
  and model view. The drawing here is BertViz 1.4's own JavaScript on our measured patterns.
- Jones 2017, [Tensor2Tensor's attention visualisation][t2t], from which the head view comes.
- Xiao et al. 2023, [Efficient streaming language models with attention sinks][sinks].
- Jain and Wallace 2019, [Attention is not explanation][jain]: a line says what a head reads, not what it does
  with it.

Ours: the colours (safe for colour-blind eyes, the same as everywhere in this app; they start again after
seven), the numbers on the squares, the keyboard (tab, arrows, enter), and that nothing is loaded
from the web.

[vig]: https://arxiv.org/abs/1906.05714
[t2t]: https://github.com/tensorflow/tensor2tensor/tree/master/tensor2tensor/visualization
[sinks]: https://arxiv.org/abs/2309.17453
[jain]: https://arxiv.org/abs/1902.10186
"""
