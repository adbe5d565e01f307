"""How a token is built: the merges that made the chosen token of its bytes, and where its word stays cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime.records import Token
from model_runtime.tokens import merges
from model_runtime.tokens.encodings import tokenize_with_model
from model_runtime.tokens.merges import MergeChain, merge_chain, n_merges, word_merges
from pages.shared.escape import plain, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.coverage import table_words
from pages.shared.frame.errors import missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.frame.token_chips import token_chips
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.tokens.columns import choose
from viz.tokens.merges import (
    MergeTree,
    merge_tree_figure,
    merge_tree_record,
    sentence,
    steps_table,
    stop_sentence,
    text_of,
)

MOST_WORD_BYTES = 64  # of a word that is drawn whole; in a longer one only the chosen token
MOST_BYTES = 256  # of a token that is drawn


@dataclass(frozen=True, eq=False)
class Built:
    """The chosen token of one side and what is known of its making; `tree` is None where nothing is."""

    token: Token
    position: int
    first: int  # position of the first token of its word
    reason: str  # why the token has no merges; "" where it has
    tree: MergeTree | None
    alone: bool  # the word is longer than what is drawn, so the token is drawn without it


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    first: Built | None = None
    for place, side in zip(places(sides), sides, strict=True):
        with column(place, side, prompt=False):
            built = _draw_one(side)
            first = first or built
    return Lesson(
        answer=_answer(sides[0]),
        mathematics=partial(_mathematics, first),
        code=(merges.replay, merges.MergeStep),
        fill={"every_text": table_words(sides[0].model)},
    )


def _draw_one(side: Side) -> Built | None:
    tokens = tokenize_with_model(side.model, side.text).read
    if not tokens:
        missing("There is no text to cut.", "Type a word in the box above.")
        return None
    position = state.selected_token(len(tokens))
    st.caption("Choose a token:" if side.clickable else "The token at the same place:")
    token_chips(tokens, position, _pick if side.clickable else _keep, key=side.key_figure("built-chips"))
    built = built_at(side, tokens, position)
    if built.tree is None:
        missing(built.reason, "Choose another token above.")
        return built
    if side.name:
        _picture(side, built, len(tokens))
        _words(side, built)
        return built
    figure, words = st.columns([7, 3], gap="medium")
    with figure:
        _picture(side, built, len(tokens))
    with words:
        _words(side, built)
    return built


def _pick(position: int, n_tokens: int) -> None:
    choose({"position": position}, n_tokens)


def _keep(position: int, n_tokens: int) -> None:
    """A pinned run is looked at."""


def built_at(side: Side, tokens: Sequence[Token], position: int) -> Built:
    """The merges of the token at a position, inside its word where that can be drawn."""
    tokenizer, token = side.model.tokenizer, tokens[position]
    with runtime.working("Reading the list of merges"):
        chain = merge_chain(tokenizer, token.id)
        found = None if token.special else word_at(word_merges(tokenizer, side.text), tokens, position)
    if found is not None:
        word, chosen = found
        whole = sum(map(len, word.pieces)) <= MOST_WORD_BYTES
        if whole and (word.steps or len(word.pieces) > 1):
            return Built(token, position, position - chosen, chain.reason, _tree(side, word, chosen), False)
    drawable = chain.steps and len(token.bytes) <= MOST_BYTES
    reason = chain.reason or f"It stands for {len(token.bytes):,} bytes, more than can be drawn."
    tree = _tree(side, chain, 0) if drawable else None
    return Built(token, position, position, "" if tree else reason, tree, found is not None)


def word_at(
    words: Sequence[MergeChain], tokens: Sequence[Token], position: int
) -> tuple[MergeChain, int] | None:
    """The word that holds the token at `position`, and which of its tokens that is.

    None where the words do not come out as these tokens (a special token's name in the text, a character that
    the tokenizer does not have).
    """
    before = sum(not token.special for token in tokens[:position])
    for word in words:
        if before < len(word.result):
            return (word, before) if word.result[before] == tokens[position].bytes else None
        before -= len(word.result)
    return None


def _tree(side: Side, chain: MergeChain, chosen: int) -> MergeTree:
    return merge_tree_record(
        chain.pieces,
        [(step.rank, step.at) for step in chain.steps],
        chosen=chosen,
        n_merges=n_merges(side.model.tokenizer),
    )


def _picture(side: Side, built: Built, n_tokens: int) -> None:
    """The bricks; a click on another token of the word chooses it."""
    assert built.tree is not None

    def clicked(click: Click) -> None:
        if click.number is not None:
            choose({"position": built.first + click.number}, n_tokens)

    clickable = side.clickable and len(built.tree.tokens) > 1
    live_figure(
        merge_tree_figure(built.tree),
        key=side.key_figure("merges"),
        provenance=side.text_origin("computed", token=built.position),
        clickable=clickable,
        on_click=clicked if clickable else None,
    )


def _words(side: Side, built: Built) -> None:
    assert built.tree is not None
    st.markdown(plain(sentence(built.tree)))
    if built.reason:
        st.markdown(plain(built.reason))
    if stop := stop_sentence(built.tree):
        st.markdown(plain(stop))
    if built.alone:
        st.caption("Its word is too long to be drawn whole, so the token stands alone.")
    if steps := steps_table(built.tree):
        st.table(
            {name: [plain(cell) for cell in cells] for name, cells in steps.items()},
            hide_index=True,
            alt=f"The merges that make the token, {len(steps['Step'])} of them, in the order of doing",
        )
    if not all(len(brick.piece) == 1 for brick in built.tree.bricks if brick.rank is None):
        st.caption("This tokenizer starts from whole characters and not from bytes.")


def _answer(side: Side) -> str:
    """Asked of the tokenizer itself."""
    tokenizer = side.model.tokenizer
    if not n_merges(tokenizer):
        return "The loaded model's tokenizer has no list of merges. Choose another model and look."
    first = merges.nth_merge(tokenizer, 0)
    said = (
        f"Merge 1 of {n_merges(tokenizer):,} is {quoted(text_of(first[0]))} + {quoted(text_of(first[1]))}. "
    )
    for text in ("superman", " superman"):
        pieces = [token_text(token) for token in tokenize_with_model(side.model, text).read]
        count = "one token" if len(pieces) == 1 else f"{len(pieces)} tokens"
        said += f"{quoted(text)} comes out as {count}: {' '.join(map(quoted, pieces))}. "
    return f"{said}Type both, and `cat` and `spiderman`, and see where their merges stop."


def _mathematics(built: Built | None) -> str:
    general = r"""
A word is a row of pieces $p_1 \dots p_n$, single bytes at first. The tokenizer has a list of pairs, each with
its rank $r$, the place in which it was learned. At every step the neighbours of least rank are joined,

$$i^\ast = \arg\min_i \; r(p_i, p_{i+1}), \qquad p_{i^\ast} \leftarrow p_{i^\ast} p_{i^\ast+1},$$

the leftmost of equals, until no pair of neighbours is in the list ($r = \infty$ for all).
A token of $n$ bytes takes $n - 1$ merges.
"""
    own = built.tree.own() if built and built.tree else ()
    if not own or built is None or built.tree is None:
        return general
    n_bytes = len(built.tree.tokens[built.tree.chosen])
    ranks = ",\\ ".join(f"{(brick.rank or 0) + 1:,}".replace(",", "{,}") for brick in own)
    return (
        f"{general}\nHere: {plain(text_of(built.token.bytes))} has {n_bytes} bytes and {len(own)} merges, "
        f"with ranks in the order of doing\n\n$$r = {ranks}.$$\n\n"
        "They need not rise: a merge makes new neighbours, and these may be a pair of an earlier rank."
    )
