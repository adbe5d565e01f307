"""Masks: what may be read, and what one head would have read under another mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from model_runtime import teaching
from model_runtime.attention import masks
from model_runtime.attention.masks import MASK_KINDS
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from viz.attention.masks import (
    NAMES,
    MaskChange,
    change_words,
    counts_words,
    mask_change,
    mask_grid_record,
    mask_grids_figure,
    strongest_words,
)
from viz.attention.pattern import AttentionPattern, attention_pattern_record
from viz.attention.pattern_map import masked_pattern_figure
from viz.equations import tex

OPENS_ON = "bidirectional"


@dataclass(frozen=True, eq=False)
class Patterns:
    """One run's head as measured and under the chosen mask."""

    side: Side
    measured: AttentionPattern
    other: AttentionPattern
    change: MaskChange


def sizes(side: Side, kind: str) -> dict[str, int]:
    """The mask's own number, for `visible_under` and `pattern_under`."""
    return {kind: min(state.get(kind), len(side.texts))} if kind in ("window", "prefix") else {}


def patterns_of(side: Side) -> Patterns:
    """Both patterns of a run at its selection."""
    layer, head, kind = side.layer, side.head, state.get("mask")
    number = sizes(side, kind)
    measured, used = side.trace.get("pattern", layer, head), masks.as_used(side.run, layer, head)
    other = side.run.measure(
        masks.pattern_under,
        layer=layer,
        head=head,
        kind=kind,
        window=number.get("window"),
        prefix=number.get("prefix"),
    )
    visible = masks.visible_under(kind, len(side.texts), **number)
    place: dict[str, Any] = {"layer": layer, "head": head, "selected": side.query}
    return Patterns(
        side,
        attention_pattern_record(measured, side.texts, **place, visible=used),
        attention_pattern_record(other, side.texts, **place, visible=visible),
        mask_change(measured, other, used, visible, side.query),
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


def grids(side: Side) -> None:
    """The four masks of this prompt; a click chooses one."""
    records = []
    for kind in MASK_KINDS:
        number = sizes(side, kind)
        visible = masks.visible_under(kind, len(side.texts), **number)
        name = " of ".join([NAMES[kind], *map(str, number.values())])
        records.append(mask_grid_record(visible, side.texts, side.texts, name, side.query))
    words = counts_words(records)
    click = live_figure(
        mask_grids_figure(records, MASK_KINDS.index(state.get("mask")), alt=words),
        key="masks",
        provenance=side.run.origin("computed"),
        clickable=True,
    )
    if click is not None and 0 <= click.trace < len(MASK_KINDS):
        state.set(mask=MASK_KINDS[click.trace])
        st.rerun()
    block = records[0].block
    reduced = f" One cell stands for {block} × {block} tokens." if block > 1 else ""
    st.caption(
        f"Rows are readers (queries), columns what is read (keys). Filled: may be read; bare: "
        f"masked.{reduced} {words}"
    )


def map_of(patterns: Patterns, measured: bool) -> None:
    """One of the two maps; a click chooses the query and the key."""
    side, record = patterns.side, patterns.measured if measured else patterns.other
    kind = state.get("mask")
    name = "As measured" if measured else NAMES[kind]
    mask = " ".join([NAMES[kind].lower(), *map(str, sizes(side, kind).values())])
    origin = side.origin() if measured else side.origin("computed", mask=mask)
    click = live_figure(
        masked_pattern_figure(record, name, measured),
        key=side.key_figure("mask-measured" if measured else "mask-computed"),
        provenance=origin,
        clickable=side.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(token=record.query_at(click.point), key=click.point[1] * record.block)
        st.rerun()


def words(patterns: Patterns) -> None:
    """Which mask the layer really has, and what would move under the chosen one."""
    side = patterns.side
    window = side.spec.layers[side.layer].window
    own = "a causal mask" if window is None else f"a sliding window of {counted(window, 'token')}"
    st.markdown(f"Layer {side.layer} of this model really uses **{own}**.")
    st.markdown(
        f"{quoted(side.texts[side.query])} ({side.query}) really reads most: "
        f"{plain(strongest_words(patterns.measured))}. Under the chosen mask it would read: "
        f"{plain(strongest_words(patterns.other))}."
    )
    token, width = side.texts[side.query], sizes(side, "window")["window"]
    st.markdown(plain(change_words(patterns.change, state.get("mask"), token, width)))


def caveat() -> None:
    st.caption(
        "The computed map is a calculation: the same queries and keys of this layer, softmax over other "
        "cells. Layers below and above are not recomputed, and the model was never trained like that. Under "
        "its training mask those cells had no say in any weight."
    )


def encoder_decoder(side: Side) -> None:
    """The three masks of an encoder-decoder, with this prompt cut in two as an illustration."""
    st.subheader("An encoder and a decoder have three masks", anchor=False)
    texts = side.texts
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
        provenance=side.run.origin("illustration"),
    )
    st.markdown(
        "As if the first half of the prompt were the source and the rest its translation. The encoder "
        "reads the source both ways; the decoder reads what it has written so far (causal) and the whole "
        "source (cross-attention). The loaded model has a decoder only."
    )
    st.markdown(
        "**Causal language modelling** (GPT; Radford et al. 2018): every token is predicted from those "
        "before it, so one pass over $n$ tokens gives $n$ predictions and the model can write. **Masked "
        "language modelling** (BERT; Devlin et al. 2019): some tokens are hidden, 15\u00a0%, and predicted "
        "from "
        "both sides, which reads better and cannot simply go on writing; T5 (Raffel et al. 2020) hides "
        "spans and writes them with a decoder."
    )


def mathematics(patterns: Patterns) -> str:
    """The mask inside the softmax, with the numbers of the selection."""
    side, other, name = patterns.side, patterns.other, NAMES[state.get("mask")]
    seen = sum(value is not None for value in other.cells[side.query // other.block])
    cells = counted(seen, "cell") if other.block == 1 else f"{counted(seen, 'block')} of tokens"
    return (
        r"A mask $M$ is 0 where a key may be read and $-\infty$ elsewhere; it is added before the softmax, "
        r"and "
        r"$e^{-\infty} = 0$:"
        "\n\n"
        r"$$p_{qk} = \frac{e^{s_{qk} + M_{qk}}}{\sum_j e^{s_{qj} + M_{qj}}}, \qquad "
        r"M^\mathrm{causal}_{qk} = 0 \iff k \le q, \qquad M^\mathrm{window}_{qk} = 0 \iff q - w < k \le q$$"
        f"\n\nUnder *{name}* the query {quoted(side.texts[side.query])} ({side.query}) may "
        f"read {cells} here. Its scores $s$ are those measured; only the sum below the line changes:\n\n"
        rf"$$\text{{lost}} = {tex(patterns.change.lost_selected)}, \qquad "
        rf"\text{{gained}} = {tex(patterns.change.gained_selected)}$$"
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls(len(sides[0].texts))
    grids(sides[0])
    several = [patterns_of(side) for side in sides]
    if len(several) == 1:
        left, right = st.columns(2)
        with left:
            map_of(several[0], measured=True)
        with right:
            map_of(several[0], measured=False)
        words(several[0])
    else:
        for place, patterns in zip(st.columns(2), several, strict=True):
            with column(place, patterns.side):
                map_of(patterns, measured=True)
                map_of(patterns, measured=False)
                words(patterns)
    caveat()
    encoder_decoder(sides[0])
    return Lesson(
        mathematics=partial(mathematics, several[0]),
        code=(masks.visible_under, teaching.masked_pattern, teaching.softmax),
    )
