"""Masks: what may be read, and what one head would have read under another mask."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from model_runtime.attention import masks
from model_runtime.attention.masks import MASK_KINDS
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.attention.mask_figures import mask_grids_figure, masked_pattern_figure
from viz.attention.masks import (
    NAMES,
    MaskChange,
    change_words,
    counts_words,
    mask_change,
    mask_grid_record,
    masked_pattern_record,
    strongest_words,
)
from viz.attention.pattern import AttentionPattern

OPENS_ON = "bidirectional"
QUESTION = (
    "A model that writes from left to right is trained under a causal mask. If the mask is taken away, how "
    "much of a token's attention would go to tokens that it never saw in training: almost none, or a lot? "
    "Choose a token in the middle and *Bidirectional*."
)
ANSWER = (
    "A good part. Nothing in queries and keys keeps them from matching a later token: the mask did that, "
    "from outside. So the mask is not a habit that the model learned but a rule of the computation. Taking "
    "it away does not make an encoder: the model was never trained to use what stands to the right."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2.3: the three uses of
  attention in an encoder-decoder, and the mask as minus infinity before the softmax.
- Beltagy et al. 2020, [Longformer](https://arxiv.org/abs/2004.05150); Jiang et al. 2023,
  [Mistral 7B](https://arxiv.org/abs/2310.06825): sliding windows.
- Devlin et al. 2019, [BERT](https://arxiv.org/abs/1810.04805): a bidirectional encoder, masked language
  modelling.
- Raffel et al. 2020, [T5](https://arxiv.org/abs/1910.10683), 3.2.1: encoder-decoder, decoder and prefix
  masks.
- Radford et al. 2018, [Improving language understanding by generative pre-training][gpt]: causal modelling.

[gpt]: https://openai.com/index/language-unsupervised/
"""


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part: the head as measured and under the chosen mask."""

    drawing: Drawing
    measured: AttentionPattern
    other: AttentionPattern
    change: MaskChange


def sizes(drawing: Drawing, kind: str) -> dict[str, int]:
    """The mask's own number, for `visible_under` and `pattern_under`."""
    n = len(drawing.texts)
    return {kind: min(state.get(kind), n)} if kind in ("window", "prefix") else {}


def side_of(drawing: Drawing) -> Side:
    """Both patterns of a run at its selection."""
    run, layer, head, kind = drawing.run, drawing.layer, drawing.head, state.get("mask")
    number = sizes(drawing, kind)
    measured = drawing.trace().get("pattern", layer, head)
    used = masks.as_used(drawing.trace(), layer, head)
    other = runtime.derived(
        run,
        ("pattern_under", layer, head, kind, *number.items()),
        lambda trace: masks.pattern_under(trace, layer, head, kind, **number),
    )
    visible = masks.visible_under(kind, len(drawing.texts), **number)
    place = {"layer": layer, "head": head, "selected": drawing.query}
    return Side(
        drawing,
        masked_pattern_record(measured, used, drawing.texts, **place),
        masked_pattern_record(other, visible, drawing.texts, **place),
        mask_change(measured, other, used, visible, drawing.query),
    )


def controls(n_tokens: int) -> None:
    """The mask, and the width of a window or the length of a prefix."""
    if not state.chosen("mask"):
        state.open_with(mask=OPENS_ON)  # the causal mask is the model's own: there would be nothing to see
    st.segmented_control(
        "Mask", MASK_KINDS, format_func=NAMES.__getitem__, required=True, **state.bound("mask")
    )
    for setting, label, help_ in (
        ("window", "Sliding window, tokens", "How many tokens each one sees, itself included."),
        ("prefix", "Prefix, tokens", "How many tokens at the beginning see each other both ways."),
    ):
        if state.get("mask") == setting and n_tokens > 1:
            if state.get(setting) > n_tokens:
                state.open_with(**{setting: n_tokens})
            st.slider(label, 1, n_tokens, help=help_, width=360, **state.bound(setting))


def grids(drawing: Drawing, key: str = "masks", clickable: bool = True) -> None:
    """The four masks of this prompt; a click chooses one."""
    records = {}
    for kind in MASK_KINDS:
        visible = masks.visible_under(kind, len(drawing.texts), **sizes(drawing, kind))
        name = {"window": f"Window of {sizes(drawing, kind).get(kind)}", "prefix": _prefix_name(drawing)}
        records[kind] = mask_grid_record(
            visible, drawing.texts, drawing.texts, name.get(kind, NAMES[kind]), drawing.query
        )
    words = counts_words(records)
    click = live_figure(
        mask_grids_figure([*records.values()], MASK_KINDS.index(state.get("mask")), alt=words),
        key=key,
        provenance=runtime.provenance_of(drawing.run, "computed"),
        clickable=clickable,
    )
    if click is not None and 0 <= click.trace < len(MASK_KINDS):
        state.set(mask=MASK_KINDS[click.trace])
        st.rerun()
    block = records["causal"].block
    reduced = f" One cell stands for {block} × {block} tokens." if block > 1 else ""
    st.caption(
        f"Rows are readers (queries), columns what is read (keys). Filled: may be read; bare: "
        f"masked.{reduced} {words}"
    )


def _prefix_name(drawing: Drawing) -> str:
    return f"Prefix of {sizes(drawing, 'prefix')['prefix']}"


def map_of(side: Side, measured: bool) -> None:
    """One of the two maps; a click chooses the query and the key."""
    drawing = side.drawing
    record = side.measured if measured else side.other
    kind = state.get("mask")
    name = "As measured" if measured else NAMES[kind]
    origin = (
        drawing.origin("measured")
        if measured
        else drawing.origin(
            "computed", mask=" ".join([NAMES[kind].lower(), *map(str, sizes(drawing, kind).values())])
        )
    )
    click = live_figure(
        masked_pattern_figure(record, name, measured),
        key=drawing.key_figure("mask-measured" if measured else "mask-computed"),
        provenance=origin,
        clickable=drawing.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(token=record.query_at(click.point), key=click.point[1] * record.block)
        st.rerun()


def words(side: Side) -> None:
    """Which mask the layer really has, and what would move under the chosen one."""
    drawing = side.drawing
    window = drawing.spec().layers[drawing.layer].window
    own = "a causal mask" if window is None else f"a sliding window of {counted(window, 'token')}"
    st.markdown(f"Layer {drawing.layer} of this model really uses **{own}**.")
    st.markdown(
        f"{quoted(drawing.texts[drawing.query])} ({drawing.query}) really reads most: "
        f"{plain(strongest_words(side.measured))}. Under the chosen mask it would read: "
        f"{plain(strongest_words(side.other))}."
    )
    st.markdown(
        plain(
            change_words(
                side.change,
                state.get("mask"),
                drawing.texts[drawing.query],
                sizes(drawing, "window")["window"],
            )
        )
    )


def caveat() -> None:
    st.caption(
        "The computed map is a calculation: the same queries and keys of this layer, softmax over other "
        "cells. Layers below and above are not recomputed, and the model was never trained like that. Under "
        "its training mask those cells had no say in any weight."
    )


def encoder_decoder(drawing: Drawing) -> None:
    """The three masks of an encoder-decoder, with this prompt cut in two as an illustration."""
    st.subheader("An encoder and a decoder have three masks", anchor=False)
    texts = drawing.texts
    if len(texts) < 2:
        st.markdown("This prompt has one token; with two or more, the first half is drawn as the source.")
        return
    source, target = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    three = masks.encoder_decoder_masks(len(source), len(target))
    live_figure(
        mask_grids_figure(
            [
                mask_grid_record(three.encoder_self, source, source, "Encoder reads source"),
                mask_grid_record(three.decoder_self, target, target, "Decoder reads itself"),
                mask_grid_record(three.cross, target, source, "Decoder reads source"),
            ],
            names=True,
            alt="The prompt's first half as source, the rest as target.",
        ),
        key="encoder-decoder",
        provenance=runtime.provenance_of(drawing.run, "illustration"),
    )
    st.markdown(
        "As if the first half of the prompt were the source and the rest its translation. The encoder "
        "reads the source both ways; the decoder reads what it has written so far (causal) and the whole "
        "source (cross-attention). The loaded model has a decoder only."
    )
    st.markdown(
        "**Causal language modelling** (GPT; Radford et al. 2018): every token is predicted from those "
        "before it, so one pass over $n$ tokens gives $n$ predictions and the model can write. **Masked "
        "language modelling** (BERT; Devlin et al. 2019): some tokens are hidden, 15 %, and predicted from "
        "both sides, which reads better and cannot simply go on writing; T5 (Raffel et al. 2020) hides "
        "spans and writes them with a decoder."
    )


def mathematics(side: Side) -> str:
    """The mask inside the softmax, with the numbers of the selection."""
    drawing, kind = side.drawing, state.get("mask")
    seen = sum(value is not None for value in side.other.cells[drawing.query // side.other.block])
    cells = counted(seen, "cell") if side.other.block == 1 else f"{counted(seen, 'block')} of tokens"
    return (
        r"A mask $M$ is 0 where a key may be read and $-\infty$ elsewhere; it is added before the softmax, "
        r"and "
        r"$e^{-\infty} = 0$:"
        "\n\n"
        r"$$p_{qk} = \frac{e^{s_{qk} + M_{qk}}}{\sum_j e^{s_{qj} + M_{qj}}}, \qquad "
        r"M^\mathrm{causal}_{qk} = 0 \iff k \le q, \qquad M^\mathrm{window}_{qk} = 0 \iff q - w < k \le q$$"
        f"\n\nUnder *{NAMES[kind]}* the query {quoted(drawing.texts[drawing.query])} ({drawing.query}) may "
        f"read {cells} here. Its scores $s$ are those measured; only the sum below the line changes:\n\n"
        rf"$$\text{{lost}} = {side.change.lost_selected:.4g}, \qquad "
        rf"\text{{gained}} = {side.change.gained_selected:.4g}$$"
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    controls(len(drawings[0].texts))
    grids(drawings[0])
    sides = [side_of(drawing) for drawing in drawings]
    if len(sides) == 1:
        left, right = st.columns(2)
        with left:
            map_of(sides[0], measured=True)
        with right:
            map_of(sides[0], measured=False)
        words(sides[0])
    else:
        for place, side in zip(st.columns(2), sides, strict=True):
            with column(place, side.drawing):
                map_of(side, measured=True)
                map_of(side, measured=False)
                words(side)
    caveat()
    encoder_decoder(drawings[0])
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (masks.visible_under, masks._cells, masks.pattern_under)
        ),
        sources=SOURCES,
    )
