"""One word, many meanings: the same word in several sentences, followed through the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from model_runtime.finite import finite
from model_runtime.interventions import Intervention
from model_runtime.records import Senses
from model_runtime.vectors import senses as arithmetic
from model_runtime.vectors.projection import pca, principal_axes, unit_length
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import fitting
from pages.shared.settings.word_lists import SENTENCES
from pages.vectors.found import beside, found_by
from viz.equations import tex, worked
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

_LAST = "gf.senses.last"  # (word, sentences) that were shown last
_WORKED = ("mole", tuple(SENTENCES["mole"].splitlines()))


@dataclass(frozen=True, eq=False)
class Seen:
    """What one run makes of the word."""

    side: Side
    senses: Senses
    curves: SenseCurves


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls()
    word, sentences = word_and_sentences()
    seen = found_by(sides, lambda side: seen_by(side, word, sentences))
    if seen:
        st.session_state[_LAST] = (word, sentences)
    bottom = min((one.curves.bottom for _, one in seen), default=0.0)
    for place, one in seen:
        with place:
            _draw_one(replace(one, curves=replace(one.curves, bottom=bottom)))
    if len(seen) == 2:
        _difference(seen[0][1], seen[1][1])
    return Lesson(
        code=(
            arithmetic.senses,
            arithmetic.stream,
            arithmetic.check_number,
            arithmetic.unrelated_cosines,
            arithmetic.other_positions,
            arithmetic.sense_paths,
            pca,
            principal_axes,
            unit_length,
        ),
        fill={"numbers": _numbers(seen[0][1]) if seen else ""},
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


def word_and_sentences() -> tuple[str, tuple[str, ...]]:
    """The word and those sentences that have it. Where fewer than two have it, what was shown last: a person
    may still be writing. A quiet word says so."""
    word = state.get("word").strip()
    typed = tuple(line.strip() for line in state.get("sentences").splitlines() if line.strip())
    having = tuple(sentence for sentence in typed if arithmetic.has_word(sentence, word))
    if len(having) < 2 and (word, typed) != (kept := st.session_state.get(_LAST, _WORKED)):
        what = f"{quoted(word)} stands in" if word else "No word is given, so it stands in"
        st.info(
            f"{what} {counted(len(having), 'sentence')} above: a comparison takes two or more. Shown is "
            f"{quoted(kept[0])} in {counted(len(kept[1]), 'sentence')}."
        )
        return kept
    if len(having) < len(typed):
        st.info(
            f"{quoted(word)} does not stand in {counted(len(typed) - len(having), 'sentence')}: left out."
        )
    return word, having


def seen_by(side: Side, word: str, sentences: Sequence[str]) -> Seen:
    """Read the sentences and compare the word's vectors.

    Raises:
        GlassformerError: too many sentences, or one that is too long.
        NotFinite: one of their vectors is.
    """
    arithmetic.check_number(len(sentences))
    occurrences = tuple(arithmetic.find_word(side.model, sentence, word) for sentence in sentences)
    edits = tuple(edits_that_fit(side.run, sentence) for sentence in sentences)
    if side.run.unread is not None:  # else the run itself was looked at
        side.run.changed(prompt=sentences[0], edits=()).comparable(edits[0])
    found = side.run.known(arithmetic.senses, occurrences=occurrences, edits=edits)
    if found is None:
        runs = [
            side.run.changed(prompt=sentence, edits=made)
            for sentence, made in zip(sentences, edits, strict=True)
        ]
        found = side.run.measure(
            arithmetic.senses,
            "Comparing the sentences",
            at_hand={"traces": [run.traced(points=arithmetic.POINTS) for run in runs]},
            occurrences=occurrences,
            edits=edits,
        )
    compared = (found.vectors, found.cosines, found.baseline, found.low, found.high)
    for values in compared:
        if values is not None:
            finite(values, "these sentences' vectors")
    depth = side.layer + 1  # the stream after the selected layer
    return Seen(side, found, sense_curves_record(found, word, depth))


def edits_that_fit(run: PageRun, sentence: str) -> tuple[Intervention, ...]:
    """Those of the run's edits that a sentence in place of its prompt can take."""
    return fitting(run.interventions, run.spec, len(run.changed(prompt=sentence, edits=()).tokens))


def _draw_one(one: Seen) -> None:
    st.markdown(_occurrences(one))
    left, right = beside(one.side, [13, 7])
    with left:
        _curves(one)
    with right:
        _curves_words(one)
    if not one.side.name:
        st.subheader("The paths of its vectors", anchor=False)
    for place, apart in zip(beside(one.side, 2), (False, True), strict=True):
        with place:
            _path(one, apart=apart)
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
        sense_paths_figure(sense_path_record(paths, one.senses, one.curves.word, one.curves.depth)),
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


def _origin(one: Seen, **extra: Any) -> Provenance:
    """Where a figure comes from: the sentences stand for the prompt."""
    origin = one.side.run.origin(layer=one.curves.depth - 1, word=one.curves.word, **extra)
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


def _numbers(one: Seen) -> str:
    """The cosine with the numbers of the selection."""
    at, depth = one.curves.farthest, one.curves.depth
    first, second = one.curves.pairs[at]
    lengths = one.senses.lengths[:, depth]
    cosine = one.curves.cosines[at][depth]
    product = cosine * float(lengths[first]) * float(lengths[second])
    parts = product, float(lengths[first]), float(lengths[second])
    line = worked(cosine, lambda dot, a, b: dot / (a * b), *parts, least=4, words=tex)
    dot, a, b = map(line.tex, parts)
    return (
        f"Sentences {pair_words((first, second))}, {depth_words(depth)}:\n\n"
        rf"$$\frac{{{dot}}}{{{a} \cdot {b}}} {line.tex_sign} {tex(cosine)}$$"
    )
