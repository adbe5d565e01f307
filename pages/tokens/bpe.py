"""Train one: a byte-pair encoder learned from the text on screen, one merge at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.tokens import bpe
from model_runtime.tokens.bpe import MAX_MERGES, N_BYTES, BpeTraining, pieces_after, train_bpe
from model_runtime.tokens.encodings import tokenize_with_model
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import explain, missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from pages.tokens.segments import Piece, pieces_component
from viz.tokens.bpe import (
    TrainingCurve,
    pair_counts_figure,
    pair_counts_record,
    training_curve_figure,
    training_curve_record,
)
from viz.tokens.merges import text_of

CUTS = {"words": "within words", "text": "across the whole text"}


@dataclass(frozen=True, eq=False)
class Trained:
    """One side's training, and how many of its merges are done on screen."""

    side: Side
    training: BpeTraining
    step: int
    n_model: int  # tokens of the loaded model's tokenizer


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    _draw_all(sides)
    return Lesson(
        answer=_answer(sides[0]),
        mathematics=partial(_mathematics, sides[0]),
        code=(bpe.count_pairs, bpe.merge_pair, bpe.merge_word),
    )


def training_of(side: Side) -> BpeTraining:
    """The whole training of a side's text, kept: a step is only looked up.

    Raises:
        PromptError: the text is too long or has half a character.
    """
    return side.run.measure(
        train_bpe, "Learning merges", text=side.text, n_merges=MAX_MERGES, cut=state.get("cut")
    )


def _draw_all(sides: Sequence[Side]) -> None:
    _controls(sides[0])
    trained = [_trained(side) for side in sides]
    for place, side, one in zip(places(sides), sides, trained, strict=True):
        with column(place, side, prompt=False):
            if one is not None:
                _draw_one(one, [other for other in trained if other])


def _controls(side: Side) -> None:
    """Where merges may go, how many are done, and the two buttons."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Join neighbours", [*CUTS], format_func=lambda cut: CUTS[cut], required=True, **state.bound("cut")
        )
        n_steps = _n_steps(side)
        if n_steps is None:
            return
        if state.get("merges") > n_steps:
            state.open_with(merges=n_steps)
        step = state.get("merges")
        if n_steps:
            st.slider("Merges done", 0, n_steps, width=360, **state.bound("merges"))
        st.button("One merge back", disabled=step == 0, on_click=_go, args=(step - 1,))
        st.button("One merge more", disabled=step >= n_steps, on_click=_go, args=(step + 1,), type="primary")


def _n_steps(side: Side) -> int | None:
    try:
        return len(training_of(side).steps)
    except GlassformerError:
        return None  # said where the side is drawn


def _go(step: int) -> None:
    state.set(merges=step)


def _trained(side: Side) -> Trained | None:
    """One side's training; where there is none, None under the reason."""
    try:
        training = training_of(side)
    except GlassformerError as error:
        explain(error)
        return None
    if not training.steps:
        missing(
            "There are no two neighbours to join in this text.",
            "Type a sentence or two: the longer the text, the more pairs come again.",
        )
        return None
    n_model = len(tokenize_with_model(side.model, side.text).read)
    return Trained(side, training, min(state.get("merges"), len(training.steps)), n_model)


def _draw_one(one: Trained, all_drawn: Sequence[Trained]) -> None:
    st.markdown(_said(one))
    pieces_component(_pieces(one), key=one.side.key_figure("pieces"))
    st.caption("Framed: made by this merge. Dotted: joined by the next. Coloured: any merged piece.")
    if one.side.name:
        _pairs(one, all_drawn)
        _curve(one, all_drawn)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _pairs(one, all_drawn)
    with right:
        _curve(one, all_drawn)


def _said(one: Trained) -> str:
    """The step in one paragraph of markdown."""
    steps, step = one.training.steps, one.step
    if step == 0:
        said = f"No merge yet: the text is {counted(len(one.training.pieces), 'byte')}, each its own piece."
    else:
        done = steps[step - 1]
        said = (
            f"**Merge {step:,}** joins {_pair(done.pair)} into {quoted(text_of(done.merged))}, "
            f"found {counted(done.count, 'time')}. The text is now {counted(done.n_pieces, 'piece')}; the "
            f"vocabulary has {done.n_vocab:,} entries."
        )
    if step == len(steps):
        return f"{said} {_end(one)}"
    if steps[step].count < 2:
        said += (
            " **No two neighbours stand together twice any more**, so training would end here: to join what "
            "occurs once makes the vocabulary grow as fast as the text shrinks."
        )
    return f"{said} {_model_words(one)}"


def _end(one: Trained) -> str:
    if len(one.training.steps) == MAX_MERGES:
        return f"This is the last of the {MAX_MERGES} merges that are tried here. {_model_words(one)}"
    return (
        f"Nothing is left to join: every {'word' if one.training.cut == 'words' else 'byte'} is in one piece."
    )


def _model_words(one: Trained) -> str:
    spec = one.side.spec
    return (
        f"The tokenizer of {plain(spec.name)}, with {len(one.side.model.tokenizer):,} entries learned from "
        f"far more text, makes {counted(one.n_model, 'token')} of it."
    )


def _pair(pair: tuple[bytes, bytes]) -> str:
    return f"{quoted(text_of(pair[0]))} + {quoted(text_of(pair[1]))}"


def _pieces(one: Trained) -> list[Piece]:
    """The text after this step, with what the last merge made and the next one takes."""
    steps = one.training.steps
    entries = {step.merged: N_BYTES + number for number, step in reversed([*enumerate(steps)])}
    before, now, after = (_places(one, one.step + shift) for shift in (-1, 0, 1))
    return [
        Piece(
            piece,
            entry=piece[0] if len(piece) == 1 else entries[piece],
            new=one.step > 0 and place not in before,
            next=place not in after,
        )
        for place, piece in now.items()
    ]


def _places(one: Trained, step: int) -> dict[tuple[int, int], bytes]:
    """(first byte, end) -> piece, after `step` merges."""
    places, at = {}, 0
    for piece in pieces_after(one.training, step):
        places[at, at + len(piece)] = piece
        at += len(piece)
    return places


def _top(one: Trained) -> tuple[tuple[bpe.Pair, int], ...]:
    """The most frequent pairs after this step."""
    steps = one.training.steps
    return steps[one.step].top if one.step < len(steps) else one.training.top


def _pairs(one: Trained, all_drawn: Sequence[Trained]) -> None:
    top = _top(one)
    if not top:
        return
    end = max(count for other in all_drawn for _, count in _top(other)[:1])
    live_figure(
        pair_counts_figure(pair_counts_record(top, step=one.step, end=end)),
        key=one.side.key_figure("pair-counts"),
        provenance=_origin(one),
    )


def _curve(one: Trained, all_drawn: Sequence[Trained]) -> None:
    """The curves; a click goes to that number of merges."""
    live_figure(
        training_curve_figure(_curve_record(one).on_axes_of([_curve_record(other) for other in all_drawn])),
        key=one.side.key_figure("bpe-training"),
        provenance=_origin(one),
        clickable=one.side.clickable,
        on_click=_clicked if one.side.clickable else None,
    )


def _clicked(click: Click) -> None:
    if isinstance(click.x, int | float):
        state.set(merges=int(click.x))


def _curve_record(one: Trained) -> TrainingCurve:
    return training_curve_record(
        (len(one.training.pieces), N_BYTES),
        [(step.count, step.n_pieces, step.n_vocab) for step in one.training.steps],
        step=one.step,
        other=one.n_model,
        other_name=one.side.spec.name,
    )


def _origin(one: Trained) -> Provenance:
    return one.side.text_origin("computed", merges=one.step, joined=CUTS[one.training.cut])


def _answer(side: Side) -> str:
    try:
        training = training_of(side)
    except GlassformerError:
        return "Shorten the text first."
    if not training.steps:
        return "Type a text of a word or more first."
    first = training.steps[0]
    ties = sum(count == first.count for _, count in first.top)
    said = f"In this text {_pair(first.pair)} come first: {counted(first.count, 'time')}. "
    if ties > 1:
        said += f"{ties} pairs are equally frequent; the one that is met first in the text is taken. "
    return said + (
        "Then take a longer text from your own pen: common endings and short words come out within "
        "a few dozen merges, although nobody told the machine what a word is."
    )


def _mathematics(side: Side) -> str:
    general = r"""
Let $c(a, b)$ be how often piece $b$ follows piece $a$. One merge takes

$$(a^\ast, b^\ast) = \arg\max_{(a, b)} \; c(a, b), \qquad V \leftarrow V \cup \{a^\ast b^\ast\},$$

and writes $a^\ast b^\ast$ for it from left to right. The vocabulary grows by one; the text gets shorter by
the number of places joined, which is $c(a^\ast, b^\ast)$ unless the pair overlaps itself ("aaa").
"""
    try:
        training = training_of(side)
    except GlassformerError:
        return general
    if not training.steps:
        return general
    first, n_bytes = training.steps[0], len(training.pieces)
    return (
        f"{general}\nIn this text, merge 1: {_pair(first.pair)}, $c = {first.count}$; the text goes "
        f"from ${n_bytes}$ to ${first.n_pieces}$ pieces, the vocabulary from ${N_BYTES}$ to "
        f"${first.n_vocab}$ entries."
    )
