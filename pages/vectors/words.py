"""Words and sums: cosines of a list of words, what the space before a word changes, and analogies."""

from __future__ import annotations

import inspect
from typing import Any

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.vectors import embeddings
from model_runtime.vectors.embeddings import Analogy, WordVector
from pages.shared.escape import counted, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.errors import explain
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.tokens.side import Side, column, columns, sides_of
from pages.vectors.table import norms_of
from viz.style import three_digits
from viz.vectors.embedding_row import ranked_tokens_figure, ranked_tokens_record
from viz.vectors.word_similarity import word_similarity_figure, word_similarity_record

SUMS = ("king - man + woman", "Paris - France + Italy", "walked - walk + go", "bigger - big + small")
QUESTION = (
    "king − man + woman: which row of the whole vocabulary lies nearest to that sum? And to Paris − France + "
    "Italy? Say it before you look at the right list, which leaves nothing out."
)
ANSWER = (
    "In SmolLM2 the first gives “queen”, with “king”, which went in itself, close behind. The second gives "
    "“Paris” again, and “Rome” is not among the first ten. Sums stay near what they are made of, so papers "
    "left the inputs out and rarely said so aloud. The parallel tells more: (king − man) and (queen − woman) "
    "point much the same way, cosine 0.67."
)
SOURCES = """
- Mikolov et al. 2013, [Linguistic regularities in continuous space word representations][regular]; and
  [Efficient estimation](https://arxiv.org/abs/1301.3781): the inputs are left out.
- Linzen 2016, [Issues in evaluating semantic spaces](https://arxiv.org/abs/1606.07736): what is left when
  they are not.
- The figures for GPT-2 small (man and apple 0.1757, fruit and apple 0.3985, man and woman 0.5863) are
  those of a course, for words without a space in front; this page measures the loaded model.

[regular]: https://aclanthology.org/N13-1090/
"""


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


def vectors_of(side: Side) -> tuple[list[WordVector], tuple[str, ...]]:
    """The words' vectors, and the words that came twice.

    Raises:
        PromptError: a list that cannot be used.
    """
    words, twice = embeddings.parse_words(state.get("words"))
    space = bool(state.get("lead"))
    return [embeddings.word_vector(side.model(), word, space) for word in words], twice


def matrix(side: Side) -> None:
    found, twice = vectors_of(side)
    record = word_similarity_record([one.word for one in found], embeddings.similarities(found))
    live_figure(
        word_similarity_figure(record),
        key=side.key_figure("similarity"),
        provenance=side.origin(words="with a space" if state.get("lead") else "without a space"),
    )
    cut = [one for one in found if len(one.tokens) > 1]
    single = len(found) - len(cut)
    st.markdown(
        f"{counted(single, 'word')} of {len(found)} {'is' if single == 1 else 'are'} one token."
        + ("" if not cut else " Averaged over their tokens: " + "; ".join(map(_pieces, cut)) + ".")
    )
    if twice:
        st.caption(f"Written twice, shown once: {', '.join(quoted(word, 24) for word in twice)}.")
    space_words(side, found)


def _pieces(one: WordVector) -> str:
    return f"{quoted(one.word, 24)} = {' + '.join(quoted(token_text(token), 16) for token in one.tokens)}"


def space_words(side: Side, found: list[WordVector]) -> None:
    """What the leading space changes, on the first two words."""
    a, b = found[0].word, found[1].word
    values = {}
    for space in (True, False):
        one, other = (embeddings.word_vector(side.model(), word, space) for word in (a, b))
        values[space] = embeddings.cosine(one.vector, other.vector), len(one.tokens), len(other.tokens)
    (with_, *_), (without, n, m) = values[True], values[False]
    pieces = f"{counted(n, 'token')} and {counted(m, 'token')}"
    st.markdown(
        f"**The space matters.** {quoted(a, 24)} and {quoted(b, 24)}: cosine {three_digits(with_)} with a "
        f"space before them, {three_digits(without)} without ({pieces})."
    )


def analogy_of(side: Side) -> Analogy:
    """a - b + c over the whole vocabulary.

    Raises:
        PromptError: not of that form.
    """
    words, space = embeddings.parse_analogy(state.get("sum")), bool(state.get("lead"))
    norms = norms_of(side)
    return runtime.computed(
        side.run,
        ("analogy", words, space),
        lambda: embeddings.analogy(side.model(), *words, norms, space),
    )


def analogy(side: Side) -> None:
    """Two lists: without the words that went in, and with them."""
    found = analogy_of(side)
    model = side.model()
    own = set(found.with_own.ids) - set(found.without.ids)
    a, b, c = found.words

    def look(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(space="table", row=str(click.customdata))

    places = [st.container(), st.container()] if side.name else list(st.columns(2))
    lists = (("Without the three words", found.without), ("All of the vocabulary", found.with_own))
    for place, (title, ranked) in zip(places, lists, strict=True):
        texts = [token_text(model.token(i)) for i in ranked.ids]
        record = ranked_tokens_record(title, "cosine", ranked.ids, texts, ranked.values, sorted(own))
        with place:
            live_figure(
                ranked_tokens_figure(record, "analogy"),
                key=side.key_figure(f"analogy-{'own' if ranked is found.with_own else 'without'}"),
                provenance=side.origin(sum=f"{a} - {b} + {c}"),
                clickable=side.clickable,
                on_click=look,
            )
    if not found.without.ids:
        return
    best = token_text(model.token(found.without.ids[0]))
    first = token_text(model.token(found.with_own.ids[0]))
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


def draw(view: View, *_: Any) -> Lesson:
    """Draw the part."""
    controls()
    sides = sides_of(view, view.runs[0].prompt)
    _each(sides, matrix)
    st.subheader("Arithmetic with words", anchor=False)
    sum_controls()
    _each(sides, analogy)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: f"{inspect.getsource(embeddings.analogy)}\n\n{inspect.getsource(embeddings.cosine)}",
        sources=SOURCES,
    )


def _each(sides: Any, draw_one: Any) -> None:
    """A column a run; what is wrong with the words is said in its place."""
    for place, side in zip(columns(sides), sides, strict=True):
        with column(place, side):
            try:
                draw_one(side)
            except GlassformerError as error:
                explain(error)
