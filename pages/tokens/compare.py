"""Tokenizers: the text cut by the loaded model's tokenizer and by others, and what each cut costs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from model_runtime.errors import TokenizerNotFound
from model_runtime.records import Tokenized
from model_runtime.tokens.encodings import TOKENIZERS, agreement, tokenize_with, tokenize_with_model
from pages.shared.escape import plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.coverage import loss_words
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, places
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN
from pages.tokens import compare_words
from pages.tokens.columns import token_columns
from pages.tokens.languages import SENTENCES
from pages.tokens.live_text import caret_byte
from viz.drawn import Drawn
from viz.style import three_digits
from viz.tokens.columns import token_column
from viz.tokens.counts import token_counts_figure, token_counts_record
from viz.tokens.languages import Languages, languages_figure, languages_record

MODEL = "model"


def cut(side: Side, key: str, text: str) -> Tokenized:
    """`text` as one of the tokenizers on offer cuts it; "model" is the loaded model's.

    Raises:
        GlassformerError: the text cannot be cut, or the tokenizer's files are not installed.
    """
    return tokenize_with_model(side.model, text) if key == MODEL else tokenize_with(key, text)


def title(side: Side, key: str) -> str:
    """What a tokenizer is called here."""
    return f"{side.spec.name} (loaded)" if key == MODEL else TOKENIZERS[key]


def name(side: Side, key: str) -> str:
    """The same, where the loaded model needs no mark."""
    return side.spec.name if key == MODEL else TOKENIZERS[key]


def available(keys: Sequence[str]) -> tuple[str, ...]:
    """The chosen tokenizers without those whose files are not installed, which are named on the page."""
    found = []
    with runtime.working("Loading the tokenizers"):
        for key in keys:
            try:
                if key != MODEL:
                    tokenize_with(key, "")
                found.append(key)
            except TokenizerNotFound as error:
                st.caption(plain(f"{error.what} {error.remedy}"))
    return tuple(found) or (MODEL,)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    current = sides[0]
    titles = {key: title(current, key) for key in (MODEL, *TOKENIZERS)}
    st.pills(
        "Tokenizers",
        [MODEL, *TOKENIZERS],
        selection_mode="multi",
        wrap=True,
        format_func=titles.__getitem__,
        **state.bound("tokenizers"),
    )
    keys = available(state.get("tokenizers"))
    cuts = [[cut(side, key, side.text) for key in keys] for side in sides]
    for side, tokenized in zip(sides, cuts, strict=True):
        if side is not current:
            st.subheader(side.name, anchor=False)
        if side is not current and _equal(tokenized, cuts[0]):
            st.caption("Same text, same tokenizers: cut as above.")
        else:
            linked_columns(side, keys, tokenized)
        if MODEL in keys and (loss := loss_words(tokenized[keys.index(MODEL)])):
            st.markdown(loss)
        if MODEL in keys and (side is current or side.model is not current.model):
            for words in side.model.tokens.at_odds:
                st.caption(f"**{plain(side.spec.name)}:** {plain(words)}")
    counts(sides, keys, cuts)
    languages(sides, keys)
    return compare_words.lesson(current, keys, cuts[0])


def _equal(one: Sequence[Tokenized], other: Sequence[Tokenized]) -> bool:
    return all(a.text == b.text and a.tokens == b.tokens for a, b in zip(one, other, strict=True))


def linked_columns(side: Side, keys: Sequence[str], tokenized: Sequence[Tokenized]) -> None:
    """The text in coloured pieces, a column a tokenizer; a click in the model's column is the app's token."""
    agreed = agreement(tokenized) if len(tokenized) > 1 else (None,) * len(tokenized)
    drawn = [
        token_column(key, one, same, title(side, key))
        for key, one, same in zip(keys, tokenized, agreed, strict=True)
    ]
    n_tokens = len(tokenized[keys.index(MODEL)].read) if MODEL in keys else 0
    chosen = (MODEL, state.selected_token(n_tokens)) if n_tokens else None
    token_columns(
        drawn,
        side.text,
        key=side.key_figure("gf.columns"),
        selected=chosen,
        clickable=MODEL if side.clickable and side.text == state.get("prompt") else "",
        at_byte=caret_byte() if side.clickable and state.get("token") == LAST_TOKEN else None,
    )


def counts(sides: Sequence[Side], keys: Sequence[str], cuts: Sequence[Sequence[Tokenized]]) -> None:
    """Tokens per tokenizer; every token is in the figure's data table."""
    end = max(one.n_taking for tokenized in cuts for one in tokenized)
    for place, side, tokenized in zip(places(sides), sides, cuts, strict=True):
        with place:
            if side.name:
                st.caption(f"**{side.name}**")
            record = token_counts_record(tokenized, [name(side, key) for key in keys], end)
            live_figure(
                token_counts_figure(record),
                key=side.key_figure("token-counts"),
                provenance=side.text_origin(),
            )


def languages(sides: Sequence[Side], keys: Sequence[str]) -> None:
    """What one sentence costs in eight languages, with these tokenizers."""
    st.subheader("The same sentence in eight languages", anchor=False)
    figure, words = st.columns([7, 3], gap="medium")
    with figure:
        for side in sides:
            if side is not sides[0] and (MODEL not in keys or side.model is sides[0].model):
                continue  # only the model's tokenizer can differ
            counted = {name(side, key): language_counts(side, key) for key in keys}
            record = languages_record(SENTENCES, counted)
            if side.name:
                st.caption(f"**{side.name}**")
            live_figure(
                _drawn_languages(record),
                key=side.key_figure("languages"),
                provenance=replace(
                    side.text_origin(text="article 1 of the Declaration of Human Rights"), prompt=None
                ),
            )
            if side is sides[0]:
                first = record
    with words:
        st.markdown(_language_words(first))


@functools.lru_cache(maxsize=32)
def _drawn_languages(record: Languages) -> Drawn:
    """Built once for each choice of tokenizers: nothing typed changes it."""
    return languages_figure(record)


def language_counts(side: Side, key: str) -> tuple[int, ...]:
    """Tokens of the sentence in each language."""
    if key == MODEL:
        return tuple(_counted(cut(side, key, sentence)) for sentence in SENTENCES.values())
    return _public_counts(key)


@functools.cache
def _public_counts(key: str) -> tuple[int, ...]:
    return tuple(_counted(tokenize_with(key, sentence)) for sentence in SENTENCES.values())


def _counted(tokenized: Tokenized) -> int:
    return tokenized.n_taking


def _language_words(record: Languages) -> str:
    panel = record.panels[0]
    dearest, n, times = max(
        zip(record.names, panel.counts, panel.times, strict=True), key=lambda language: language[2]
    )
    return (
        f"In {plain(panel.title)} the sentence is {panel.counts[0]} tokens in {record.names[0]} and {n} in "
        f"{dearest}: **{three_digits(times)} times** as many. Whoever writes {dearest} pays that many "
        f"times the price, waits that much longer, and has room for that much less text in the same "
        "context.\n\n"
        "Why? Merges are learned from text, and frequent pairs go first. A script that was rare in that text "
        "got few merges, so its words stay in small pieces or single bytes. Cyrillic, Arabic and Devanagari "
        "letters start with two or three bytes each, where a Latin letter has one. A larger vocabulary, "
        "learned from more languages, narrows the gap."
    )
