"""Words and sums: cosines of a list of words, what the space before a word changes, and analogies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.finite import finite
from model_runtime.vectors import embeddings
from model_runtime.vectors.embeddings import Analogy, WordVector
from pages.shared.escape import counted, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.vectors.found import beside, found_by
from viz.style import three_digits
from viz.vectors.table import ranked_tokens_figure, ranked_tokens_record
from viz.vectors.words import word_similarity_figure, word_similarity_record

SUMS = ("king - man + woman", "Paris - France + Italy", "walked - walk + go", "bigger - big + small")


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part. What is wrong with the words is said in their place."""
    controls()
    found_by(sides, matrix)
    st.subheader("Arithmetic with words", anchor=False)
    sum_controls()
    found_by(sides, analogy)
    return Lesson(
        mathematics=partial(mathematics, sides[0]),
        code=(
            embeddings.analogy,
            Analogy,
            embeddings.word_vector,
            WordVector,
            embeddings.word_tokens,
            embeddings.nearest,
            embeddings.Ranked,
            embeddings.table_norms,
            finite,
            embeddings.embedding_rows,
            embeddings.embedding_table,
            embeddings.cosine,
        ),
    )


def controls() -> None:
    """The words, the space before them."""
    st.text_area(
        f"Words, with commas between them (2 to {embeddings.MOST_WORDS})", height=70, **state.bound("words")
    )
    st.toggle(
        "A space before each word",
        help="As in the middle of a sentence. Without it a word is what stands at the very start of a text: "
        "often another token, or several.",
        **state.bound("lead"),
    )


def matrix(side: Side) -> None:
    """The words' cosines, and which of the words are one token."""
    words, twice = embeddings.parse_words(state.get("words"))
    space = bool(state.get("lead"))
    found = [embeddings.word_vector(side.model, word, space) for word in words]
    record = word_similarity_record(words, embeddings.similarities(found))
    live_figure(
        word_similarity_figure(record),
        key=side.key_figure("similarity"),
        provenance=side.run.origin(as_it_is=True, words="with a space" if space else "without a space"),
    )
    cut = [one for one in found if len(one.tokens) > 1]
    single = len(found) - len(cut)
    st.markdown(
        f"{counted(single, 'word')} of {len(found)} {'is' if single == 1 else 'are'} one token."
        + ("" if not cut else " Averaged over their tokens: " + "; ".join(map(_pieces, cut)) + ".")
    )
    if twice:
        st.caption(f"Written twice, shown once: {', '.join(quoted(word, 24) for word in twice)}.")
    space_words(side, words[0], words[1])


def _pieces(one: WordVector) -> str:
    return f"{quoted(one.word, 24)} = {' + '.join(quoted(token_text(token), 16) for token in one.tokens)}"


def space_words(side: Side, a: str, b: str) -> None:
    """What the leading space changes, on the first two words."""
    (one, other), (bare, bare_other) = (
        [embeddings.word_vector(side.model, word, space) for word in (a, b)] for space in (True, False)
    )
    st.markdown(
        f"**The space matters.** {quoted(a, 24)} and {quoted(b, 24)}: cosine "
        f"{three_digits(embeddings.cosine(one.vector, other.vector))} with a space before them, "
        f"{three_digits(embeddings.cosine(bare.vector, bare_other.vector))} without "
        f"({counted(len(bare.tokens), 'token')} and {counted(len(bare_other.tokens), 'token')})."
    )


def analogy_of(side: Side) -> Analogy:
    """a - b + c over the whole vocabulary.

    Raises:
        PromptError: not of that form.
    """
    a, b, c = embeddings.parse_analogy(state.get("sum"))
    norms = {"norms": side.run.measure(embeddings.table_norms, "Measuring all rows")}
    return side.run.measure(embeddings.analogy, at_hand=norms, a=a, b=b, c=c, space=bool(state.get("lead")))


def analogy(side: Side) -> None:
    """Two lists: without the words that went in, and with them."""
    found = analogy_of(side)
    own = set(found.with_own.ids) - set(found.without.ids)
    a, b, c = found.words

    def look(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(space="table", row=str(click.customdata))

    lists = (("Without the three words", found.without), ("All of the vocabulary", found.with_own))
    for place, (title, ranked) in zip(beside(side, 2, gap="small"), lists, strict=True):
        texts = [side.run.text_of(token_id) for token_id in ranked.ids]
        record = ranked_tokens_record(title, "cosine", ranked.ids, texts, ranked.values, sorted(own))
        which = f"analogy-{'own' if ranked is found.with_own else 'without'}"
        with place:
            live_figure(
                ranked_tokens_figure(record, which),
                key=side.key_figure(which),
                provenance=side.run.origin(as_it_is=True, sum=f"{a} - {b} + {c}"),
                clickable=side.clickable,
                on_click=look,
            )
    if not found.without.ids:
        return
    best, first = (side.run.text_of(ranked.ids[0]) for ranked in (found.without, found.with_own))
    failed = found.with_own.ids[0] in own
    st.markdown(
        f"{quoted(a, 24)} − {quoted(b, 24)} + {quoted(c, 24)} lies nearest to {quoted(first)}"
        + (", which went in itself. " if failed else ". ")
        + f"Of all other tokens {quoted(best)} is the nearest. Parallel: the cosine of ({quoted(a, 24)} − "
        f"{quoted(b, 24)}) and ({quoted(best)} − {quoted(c, 24)}) is {three_digits(found.parallel)}."
    )


def sum_controls() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("a − b + c", width=280, **state.bound("sum"))
        for example in SUMS:
            st.button(
                example.replace("-", "−"),
                key=f"gf.sum.{example}",
                type="tertiary",
                on_click=state.set,
                kwargs={"sum": example},
            )


def mathematics(side: Side) -> str:
    found = analogy_of(side)
    value = three_digits(found.without.values[0]) if found.without.values else ""
    return (
        r"$$d = \underset{t \notin \{a, b, c\}}{\arg\max}\; \cos(e_t,\; e_a - e_b + e_c)$$"
        f"\n\nHere the largest cosine is {value}. A word of several tokens is the mean of its rows."
    )
