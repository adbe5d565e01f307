"""One word, many meanings: the same word in several sentences, followed through the layers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.records import Senses
from model_runtime.vectors import senses as arithmetic
from pages.shared.escape import plain, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import explain
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import fitting
from pages.shared.settings.word_lists import SENTENCES
from pages.tokens.side import Side, column, columns, sides_of
from viz.style import three_digits
from viz.vectors.senses import (
    SenseCurves,
    cosines_sentence,
    depth_words,
    embedding_sentence,
    pair_words,
    sense_curves_record,
    sense_path_record,
)
from viz.vectors.senses_figure import sense_curves_figure, sense_paths_figure

QUESTION = (
    "“Mole” is an animal, an amount of substance and a spot on the skin, but one token and so one vector. "
    "Which two of the three will be the least alike halfway through? And how alike are two tokens that "
    "have nothing to do with each other? Guess both cosines, then look at block 24."
)
ANSWER = (
    "In SmolLM2 the animal and the spot on the skin part the most: about 0.7 after block 24. That sounds "
    "like much, but two unrelated tokens of these sentences have about 0.7 as well: in the middle of a "
    "model all vectors point much the same way. A cosine says something only beside such a baseline. Then "
    "change the sentences: a word that stands early has read little, and stays close to its embedding's "
    "path whatever it means."
)
SOURCES = """
- Ethayarajh 2019, [How contextual are contextualized word
  representations?](https://arxiv.org/abs/1909.00512): one word's vectors by layer, and why a baseline is
  needed.
- Peters et al. 2018, [Deep contextualized word representations](https://arxiv.org/abs/1802.05365): the same
  word, other vectors.
- Wiedemann et al. 2019, [Does BERT make any sense?](https://arxiv.org/abs/1909.10430): senses of a word as
  clusters.
"""


@dataclass(frozen=True, eq=False)
class Seen:
    """What one run makes of the word."""

    side: Side
    senses: Senses
    curves: SenseCurves


def draw(view: View, *_: Any) -> Lesson:
    """Draw the part."""
    controls()
    sides = sides_of(view, view.runs[0].prompt)
    places = columns(sides)
    seen: list[tuple[Any, Seen]] = []
    for place, side in zip(places, sides, strict=True):
        with column(place, side):
            inside = st.container()
            with inside:
                try:
                    seen.append((inside, seen_by(side)))
                except GlassformerError as error:
                    explain(error)
    bottom = min((one.curves.bottom for _, one in seen), default=0.0)
    for place, one in seen:
        with place:
            _draw_one(replace(one, curves=replace(one.curves, bottom=bottom)))
    if len(seen) == 2:
        _difference(seen[0][1], seen[1][1])
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics([one for _, one in seen][:1]),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (arithmetic.senses, arithmetic.unrelated_cosines, arithmetic.sense_paths)
        ),
        sources=SOURCES,
    )


def controls() -> None:
    """The word, its sentences, and other words worth trying."""
    left, right = st.columns([3, 7], gap="medium")
    with left:
        st.text_input("The word", **state.bound("word"))
        with st.container(horizontal=True):
            for word in SENTENCES:
                st.button(word, key=f"gf.senses.{word}", on_click=_take, args=(word,))
    with right:
        st.text_area(
            f"Sentences with this word, one a line (2 to {arithmetic.MOST_SENTENCES})",
            height=118,
            **state.bound("sentences"),
        )


def _take(word: str) -> None:
    state.set(word=word, sentences=SENTENCES[word])


def sentences_now() -> list[str]:
    return [line.strip() for line in state.get("sentences").splitlines() if line.strip()]


def run_of_sentence(run: Run, sentence: str) -> Run:
    """`run` with a sentence in place of its prompt, and those of its edits that still fit."""
    run = replace(run, prompt=sentence)
    edits = fitting(run.edits, runtime.model_for(run).spec, len(runtime.tokens_for(run)))
    return replace(run, edits=edits)


def seen_by(side: Side) -> Seen:
    """Trace the sentences and compare the word's vectors.

    Raises:
        GlassformerError: a sentence without the word, too few or too many of them, or one that is too long.
    """
    sentences, word = sentences_now(), state.get("word")
    arithmetic.check_number(len(sentences))
    model = side.model()
    occurrences = [arithmetic.find_word(model, sentence, word) for sentence in sentences]
    runs = [run_of_sentence(side.run, sentence) for sentence in sentences]

    def compare() -> Senses:
        traces = [runtime.trace_for(run, points=arithmetic.POINTS) for run in runs]
        return arithmetic.senses(occurrences, traces)

    name = ("senses", word, tuple((run.prompt, run.edits) for run in runs))
    found = runtime.computed(side.run, name, compute=compare, words="Comparing the sentences")
    return Seen(side, found, sense_curves_record(found, word, depth_now(side)))


def depth_now(side: Side) -> int:
    """The depth that belongs to the selected layer."""
    return min(state.get("layer"), side.model().spec.n_layers - 1) + 1


def _draw_one(one: Seen) -> None:
    st.markdown(_occurrences(one))
    if one.side.name:
        _curves(one)
        _curves_words(one)
        _path(one, apart=False)
        _path(one, apart=True)
        _paths_words(one)
        return
    left, right = st.columns([13, 7], gap="medium")
    with left:
        _curves(one)
    with right:
        _curves_words(one)
    st.subheader("The paths of its vectors", anchor=False)
    whole, parting = st.columns(2, gap="medium")
    with whole:
        _path(one, apart=False)
    with parting:
        _path(one, apart=True)
    _paths_words(one)


def _occurrences(one: Seen) -> str:
    """The sentences by number, with the tokens of the word that are compared."""
    lines = []
    for number, found in enumerate(one.senses.occurrences):
        tokens = " + ".join(quoted(token_text(token), 20) for token in found.tokens)
        which = f", the last of {len(found.tokens)} tokens" if len(found.tokens) > 1 else ""
        times = f"; it stands there {found.n_times} times, the last one counts" if found.n_times > 1 else ""
        lines.append(
            f"{number + 1}. {plain(found.sentence)} (token {found.position}: {tokens}{which}{times})"
        )
    return "\n".join(lines)


def _curves(one: Seen) -> None:
    live_figure(
        sense_curves_figure(one.curves),
        key=one.side.key_figure("sense-curves"),
        provenance=_origin(one),
        clickable=one.side.clickable,
        on_click=_choose_depth if one.side.clickable else None,
    )


def _curves_words(one: Seen) -> None:
    """The cosines at the selected depth beside the baseline, and why they begin where they do."""
    st.markdown(plain(cosines_sentence(one.curves)))
    st.markdown(plain(embedding_sentence(one.curves)))
    if one.curves.n_unrelated:
        st.caption(
            f"Unrelated: {one.curves.n_unrelated:,} pairs of different tokens from two of these sentences, "
            "the word and first tokens left out."
        )


def _choose_depth(click: Click) -> None:
    """A click on a depth chooses the block for all pages. (The embedding belongs to no block.)"""
    if isinstance(click.customdata, int) and click.customdata > 0:
        state.set(layer=click.customdata - 1)


def _path(one: Seen, *, apart: bool) -> None:
    """The paths as they are, or less their mean at each depth."""
    unit: bool = state.get("unit")
    paths = arithmetic.sense_paths(one.senses, unit, apart)
    extra = {"vectors": "scaled to length 1" if unit else "as they are"}
    if apart:
        extra["taken away"] = "their mean at each depth"
    live_figure(
        sense_paths_figure(
            sense_path_record(
                paths.coordinates,
                paths.explained,
                one.senses,
                one.curves.word,
                one.curves.depth,
                unit=unit,
                apart=apart,
            )
        ),
        key=one.side.key_figure("sense-parting" if apart else "sense-paths"),
        provenance=_origin(one, **extra),
        clickable=one.side.clickable,
        on_click=_choose_depth if one.side.clickable else None,
    )


def _paths_words(one: Seen) -> None:
    """How long the vectors are, and whether their growth is drawn."""
    if one.side.clickable:
        st.toggle(
            "Every vector at length 1",
            help="The stream grows from block to block; without this the growth fills the picture.",
            **state.bound("unit"),
        )
    start, end = (three_digits(float(one.senses.lengths[0][depth])) for depth in (0, -1))
    st.caption(
        "First picture: what all sentences have in common moves the most. Second: their mean is taken away "
        "at each depth, so only what parts them is left. In sentence 1 the vector grows from "
        f"{start} at the embedding to {end} after the last block"
        f"{'; drawn are directions only.' if state.get('unit') else ', and that growth is drawn, too.'}"
    )


def _origin(one: Seen, **extra: object) -> Provenance:
    """Where a figure comes from: the sentences stand for the prompt."""
    origin = runtime.provenance_of(one.side.run, layer=one.curves.depth - 1, word=one.curves.word, **extra)
    return replace(origin, prompt=" / ".join(one.curves.sentences))


def _difference(one: Seen, other: Seen) -> None:
    """The cosines of both runs beside each other, each at its selected block and at its last."""
    st.subheader("Difference", anchor=False)
    lines = ["| sentences | place | current | pinned | difference |", "|---|---|--:|--:|--:|"]
    last = ("after the last block", one.curves.n_depths - 1, other.curves.n_depths - 1)
    here = (depth_words(one.curves.depth), one.curves.depth, other.curves.depth)
    for number, pair in enumerate(one.curves.pairs):
        for place, mine, theirs in dict.fromkeys((here, last)):
            a, b = one.curves.cosines[number][mine], other.curves.cosines[number][theirs]
            lines.append(
                f"| {pair_words(pair)} | {place} | {three_digits(a)} | {three_digits(b)} "
                f"| {three_digits(a - b)} |"
            )
    st.markdown("\n".join(lines))
    if one.curves.depth != other.curves.depth:
        st.caption(f"The pinned model has fewer blocks: its value is that {depth_words(other.curves.depth)}.")


def mathematics(seen: Sequence[Seen]) -> str:
    """The cosine with the numbers of the selection, and the baseline."""
    said = r"""
The vector of a word in sentence $a$ after block $l$ is $h_l^{(a)}$, its row of the stream. Two of them are
compared by the cosine of the angle between them, and beside it the mean over unrelated tokens $u, w$ of two
sentences:

$$\cos_l(a, b) = \frac{h_l^{(a)} \cdot h_l^{(b)}}{\lVert h_l^{(a)} \rVert \, \lVert h_l^{(b)} \rVert},
\qquad \text{baseline}_l = \frac{1}{n} \sum_{(u, w)} \cos_l(u, w)$$

At the embedding $h_0$ is a row of a table: equal tokens, equal rows, cosine 1.
"""
    if not seen:
        return said
    one = seen[0]
    at, depth = one.curves.farthest, one.curves.depth
    first, second = one.curves.pairs[at]
    lengths = one.senses.lengths[:, depth]
    cosine = one.curves.cosines[at][depth]
    product = cosine * float(lengths[first]) * float(lengths[second])
    return (
        f"{said}\nSentences {pair_words((first, second))}, {depth_words(depth)}:\n\n"
        rf"$$\frac{{{product:,.4g}}}{{{float(lengths[first]):.4g} \cdot {float(lengths[second]):.4g}}} = "
        f"{cosine:.4f}$$"
    )
