"""Words, characters, bytes and subword tokens: four ways to cut one text, and what each costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from model_runtime.model import Model
from model_runtime.records import Coverage, Level, Tokenized
from model_runtime.tokens import levels as cutting
from model_runtime.tokens.encodings import tokenize_with_model, utf8
from model_runtime.tokens.levels import levels
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.coverage import loss_words, table_words
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, places
from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN
from pages.tokens.columns import token_columns
from pages.tokens.live_text import caret_byte
from viz.equations import tex
from viz.style import three_digits
from viz.tokens.columns import Column, level_column, token_column
from viz.tokens.levels import LevelPoint, level_points_figure, level_points_record

TITLES = {"words": "Words", "characters": "Characters", "bytes": "Bytes"}
UNITS = {"words": "word", "characters": "character", "bytes": "byte"}
SHOWN_UNKNOWN = 5
MOST_KNOWN = 2_000  # characters, as the row of the table of settings has it
Cut = tuple[tuple[Level, ...], Tokenized]


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    known_text(sides[0])
    cuts: list[Cut] = [
        (levels(side.text, state.get("known")), tokenize_with_model(side.model, side.text)) for side in sides
    ]
    for side, cut in zip(sides, cuts, strict=True):
        if side.name == "Pinned run":
            st.subheader(side.name, anchor=False)
        level_columns(side, cut)
    st.markdown(out_of_vocabulary(cuts[0], sides[0].model.tokens.coverage))
    points = [level_points(cut) for cut in cuts]
    learned: dict[str, Any] = {"vocabularies learned from": counted(len(state.get("known")), "character")}
    ends = [max(point.n_pieces for row in points for point in row), max(p.n_vocab for r in points for p in r)]
    for place, side, row in zip(places(sides), sides, points, strict=True):
        with place:
            if side.name:
                st.caption(f"**{side.name}**")
            live_figure(
                level_points_figure(level_points_record(row, *ends)),
                key=side.key_figure("levels"),
                provenance=side.text_origin("measured", **learned),
            )
    return lesson(cuts[0], sides[0].model)


def known_text(side: Side) -> None:
    """The text that words and characters are learned from; one button takes the text on screen for it."""
    box, button = st.columns([7, 3], gap="medium", vertical_alignment="bottom")
    with box:
        st.text_area(
            "Text that the vocabularies of words and characters are learned from",
            height=72,
            help="Press Ctrl+Enter, or click elsewhere. What is not in this text is unknown. At most 2,000 "
            "characters. Bytes need no learning, and the model's own pieces were learned long ago.",
            **state.bound("known"),
        )
        if state.refused("known"):
            st.warning("  \n".join(state.notices()))  # the page's own place for it is above the live part
    button.button(
        "Learn from the text above",
        help="Then every word is known, until you type one that is not.",
        disabled=not side.text.strip() or len(side.text) > MOST_KNOWN or side.text == state.get("known"),
        on_click=state.set,
        kwargs={"known": side.text},
        key="gf.learn",
    )


def level_columns(side: Side, cut: Cut) -> None:
    """The four cuts as linked columns."""
    found, tokenized = cut
    drawn: list[Column] = [
        level_column(level, side.text, TITLES[level.name], UNITS[level.name]) for level in found
    ]
    drawn.append(token_column("model", tokenized, title=f"Subword: {side.spec.name}"))
    n_tokens = len(tokenized.read)
    token_columns(
        drawn,
        side.text,
        key=side.key_figure("gf.levels"),
        selected=("model", state.selected_token(n_tokens)) if n_tokens else None,
        clickable="model" if side.clickable and side.text == state.get("prompt") else "",
        at_byte=caret_byte() if side.clickable and state.get("token") == LAST_TOKEN else None,
    )


def level_points(cut: Cut) -> list[LevelPoint]:
    """What the figure shows of one text."""
    found, tokenized = cut
    points = [
        LevelPoint(level.name, TITLES[level.name], level.n_vocab, len(level.pieces), level.n_unknown)
        for level in found
    ]
    n_unknown = sum(token.unknown or token.lost for token in tokenized.tokens)
    tokens = LevelPoint("tokens", "Subword tokens", tokenized.n_vocab, tokenized.n_taking, n_unknown)
    return [*points, tokens]


def out_of_vocabulary(cut: Cut, coverage: Coverage) -> str:
    """The out-of-vocabulary problem in one sentence, with this text's numbers."""
    (words, characters, _), tokenized = cut
    if not words.pieces:
        return "No word yet: type something above."
    entries = "1 entry" if words.n_vocab == 1 else f"{words.n_vocab:,} entries"
    table = f"The table of words has {entries}"
    if not words.n_unknown:
        return f"{table}, and every word of this text is one of them. Type a word that is not: it is lost."
    lost = list(dict.fromkeys(p for p, known in zip(words.pieces, words.known, strict=True) if not known))
    named = ", ".join(quoted(word, 24) for word in lost[:SHOWN_UNKNOWN])
    more = f" and {len(lost) - SHOWN_UNKNOWN:,} more" if len(lost) > SHOWN_UNKNOWN else ""
    letters = (
        f"Of the characters {characters.n_unknown:,} of {len(characters.pieces):,} are unknown."
        if characters.n_unknown
        else "Every character is known, but the sequence is "
        f"{three_digits(len(characters.pieces) / len(words.pieces))} times as long."
    )
    return (
        f"{table}, so **{words.n_unknown:,} of {counted(len(words.pieces), 'word')}** of this text (out of "
        f"vocabulary: {named}{more}) would all reach a model as one and the same ⟨unknown⟩. {letters} "
        f"{subword_words(tokenized, coverage)}"
    )


def subword_words(tokenized: Tokenized, coverage: Coverage) -> str:
    """What the model's own pieces lose of the text, and why they lose so little."""
    if loss := loss_words(tokenized):
        return loss
    bytes_too = "" if coverage.missing_bytes is None else ", if need be into bytes"
    return (
        f"The {counted(tokenized.n_taking, 'subword token')} lose nothing: a word that "
        f"{plain(tokenized.name)} does not have is cut into pieces that it has{bytes_too}."
    )


def lesson(cut: Cut, model: Model) -> Lesson:
    """What stands below the figure."""
    (words, characters, data), _ = cut
    now = (
        f"{counted(len(words.pieces), 'word')} ({words.n_unknown:,} unknown), "
        f"{counted(len(characters.pieces), 'character')}, {counted(len(data.pieces), 'byte')}"
    )
    return Lesson(
        mathematics=partial(mathematics, cut),
        code=(cutting.levels, cutting.learned_level, cutting.words, cutting.boundaries, utf8),
        fill={"now": now, "every_text": table_words(model), "another": another_words(model)},
    )


def another_words(model: Model) -> str:
    """What one more word does to the subword column: asked of the tokenizer."""
    n = tokenize_with_model(model, "a another").n_taking - tokenize_with_model(model, "a").n_taking
    why = (
        "the word is frequent enough to have an entry of its own"
        if n == 1
        else f"the table of {plain(model.spec.name)} has no entry for the whole word"
    )
    return f"{counted(n, 'token')} longer: {why}"


def mathematics(cut: Cut) -> str:
    """What a vocabulary costs and what a length costs, with this text's numbers."""
    (words, _, data), tokenized = cut
    n_tokens, n_bytes = tokenized.n_taking, len(data.pieces)
    if not n_tokens:
        return "Type a text: the formulas are filled in with its numbers."
    share = words.n_unknown / max(len(words.pieces), 1)
    return (
        "A table of $V$ entries costs $V \\cdot d_{\\text{model}}$ weights; a sequence of $n$ pieces costs "
        "$n(n+1)/2$ comparisons in every attention head. For this text:\n\n"
        "| cut into | $V$ | $n$ | $n(n+1)/2$ |\n|---|---:|---:|---:|\n"
        + "\n".join(
            f"| {name} | {vocab:,} | {n:,} | {n * (n + 1) // 2:,} |"
            for name, vocab, n in (
                *((TITLES[level.name].lower(), level.n_vocab, len(level.pieces)) for level in cut[0]),
                ("subword tokens", tokenized.n_vocab, n_tokens),
            )
        )
        + "\n\nThe share of words that a table of words does not have (out-of-vocabulary rate):\n\n"
        rf"$$\frac{{\text{{unknown}}}}{{\text{{words}}}} = "
        rf"\frac{{{words.n_unknown}}}{{{len(words.pieces)}}} = {tex(share, 3)}$$"
        "\n\nA subword tokenizer of bytes has at most one token a byte, and as few as its merges allow: here "
        rf" ${n_tokens} \le {n_bytes}$."
    )
