"""The wrong tokenizer: the same numbers mean other words to this model, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.finite import finite
from model_runtime.records.distributions import log_softmax
from model_runtime.tokens import foreign
from model_runtime.tokens.encodings import TOKENIZERS, encoding_token, tokenize_with
from model_runtime.tokens.foreign import ForeignReading, read_foreign
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import explain
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.equations import tex
from viz.style import share, three_digits
from viz.tokens.foreign import MOST_ROWS, Swaps, swaps_figure, swaps_record
from viz.tokens.foreign_surprise import Surprises, reading_of, surprises_figure, surprises_record


@dataclass(frozen=True, eq=False)
class Fed:
    """One side's reading, with what is drawn of it."""

    side: Side
    reading: ForeignReading
    swaps: Swaps
    surprises: Surprises

    @property
    def same(self) -> bool:
        """Whether both tokenizers make the same numbers, with the same meaning, of this text."""
        return self.reading.ids == self.reading.own_ids and self.swaps.n_same == len(self.swaps.rows)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    st.segmented_control(
        "Numbers from the tokenizer of",
        [*TOKENIZERS],
        format_func=TOKENIZERS.__getitem__,
        required=True,
        **state.bound("fed"),
    )
    all_fed = [fed_of(side) for side in sides]
    drawn = [fed for fed in all_fed if isinstance(fed, Fed)]
    for place, side, fed in zip(places(sides), sides, all_fed, strict=True):
        with column(place, side, prompt=False):
            if isinstance(fed, Fed):
                _draw_one(fed, drawn)
            else:
                explain(fed)
    first = all_fed[0]
    return Lesson(
        answer=_answer(first),
        mathematics=partial(_mathematics, first),
        code=(
            foreign.read_foreign,
            foreign.surprises_and_next,
            foreign.likeliest_next,
            foreign.refusal_of,
            finite,
            log_softmax,
        ),
    )


def fed_of(side: Side) -> Fed | GlassformerError:
    """The reading of a side, or why there is none."""
    key = state.get("fed")
    try:
        reading = side.run.measure(
            read_foreign,
            f"Running {side.spec.name} over another tokenizer's numbers",
            tokenized=tokenize_with(key, side.text),
        )
        pieces = [token_text(encoding_token(key, token_id)) for token_id in reading.ids]
    except GlassformerError as error:
        return error
    model = side.model
    read = [None if token is None else token_text(token) for token in reading.read]
    own = [token_text(model.token(token_id)) for token_id in reading.own_ids]
    swaps = swaps_record(
        pieces,
        reading.ids,
        read,
        tokenizer=reading.name,
        model=side.spec.name,
        d_vocab=side.spec.d_vocab,
    )
    surprises = surprises_record(
        reading_of("from its own numbers", own, reading.own_surprise),
        reading_of(f"from those of {reading.name}", read, reading.foreign_surprise),
        d_vocab=side.spec.d_vocab,
    )
    return Fed(side, reading, swaps, surprises)


def _draw_one(fed: Fed, all_drawn: Sequence[Fed]) -> None:
    st.markdown(_said(fed))
    if fed.side.name:
        _alignment(fed)
        _surprise(fed, all_drawn)
        _next(fed)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _alignment(fed)
    with right:
        _surprise(fed, all_drawn)
    _next(fed)


def _said(fed: Fed) -> str:
    """The finding in one paragraph of markdown."""
    model, name = plain(fed.side.spec.name), plain(fed.reading.name)
    if fed.same:
        return (
            f"**Nothing goes wrong here:** the tokenizers of {model} and {name} make the same numbers of "
            "this text, and they mean the same pieces. Choose another tokenizer."
        )
    said = f"The numbers of {name} are rows of {model}'s table all the same, but of other pieces."
    own, other = fed.surprises.own.mean, fed.surprises.foreign.mean
    if own is not None and other is not None:
        said += (
            f" From its own numbers the text surprises the model by **{three_digits(own)} nats a token**, "
            f"from these by **{three_digits(other)}**; a blind guess among "
            f"{fed.surprises.d_vocab:,} entries has {three_digits(fed.surprises.blind)}."
        )
    return said


def _alignment(fed: Fed) -> None:
    live_figure(swaps_figure(fed.swaps), key=fed.side.key_figure("swaps"), provenance=_origin(fed))
    n_rows = len(fed.swaps.rows)
    if n_rows > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {n_rows:,} numbers; the data table has all.")
    if fed.reading.n_outside:
        st.markdown(
            f"{counted(fed.reading.n_outside, 'number')} of {n_rows:,} {_lie(fed)} beyond the table, which "
            f"ends at {fed.swaps.last_id:,}. Given all of them, the model refuses:"
        )
        st.code(fed.reading.error, language=None, wrap_lines=True)
        st.caption("The reading is of the text with these left out.")


def _lie(fed: Fed) -> str:
    return "lies" if fed.reading.n_outside == 1 else "lie"


def _surprise(fed: Fed, all_drawn: Sequence[Fed]) -> None:
    record = fed.surprises.on_axes_of([other.surprises for other in all_drawn])
    live_figure(surprises_figure(record), key=fed.side.key_figure("surprise"), provenance=_origin(fed))
    st.caption(
        "The first token of each reading has no bar: nothing stands before it, so it can be no surprise. "
        "Read by the model without edits."
    )
    if fed.reading.is_cut:
        st.caption(f"At most {fed.reading.n_max:,} tokens are read of each.")


def _next(fed: Fed) -> None:
    """The likeliest next tokens after either reading, side by side."""
    model = fed.side.model
    columns_of = {"After its own numbers": fed.reading.next_own}
    columns_of[f"After those of {fed.reading.name}"] = fed.reading.next_foreign
    depth = max(map(len, columns_of.values()))
    table = {}
    for name, found in columns_of.items():
        cells = [f"{quoted(token_text(model.token(i)), 24)} {share(p)}" for i, p in found]
        table[plain(name)] = [*cells, *["–"] * (depth - len(cells))]
    st.markdown("**What would come next**")
    st.table(table, hide_index=True, alt="The likeliest next tokens after either reading, with probabilities")


def _origin(fed: Fed) -> Provenance:
    extra: dict[str, Any] = {"numbers from": fed.reading.name}
    return fed.side.text_origin("measured", **extra)


def _answer(fed: Fed | GlassformerError) -> str:
    if not isinstance(fed, Fed):
        return "Type a text that can be read first."
    n_rows, same = len(fed.swaps.rows), [row.piece for row in fed.swaps.rows if row.same]
    if fed.same:
        return "Here it finds all of them, since both tables give this text the same numbers."
    said = f"In this text {len(same):,} of {counted(n_rows, 'number')} mean the same piece to both"
    if same:
        said += f": {', '.join(quoted(piece) for piece in same[:6])}"
    return (
        f"{said}. A number is a place in a list, and each tokenizer learned its own list in its own order. "
        "A model knows only its numbers: shuffle them, and a fluent model babbles without any error."
    )


def _mathematics(fed: Fed | GlassformerError) -> str:
    general = r"""
A tokenizer $T$ sends text to ids, $T(x) = (t_1, \dots, t_n)$; the model looks up row $t_i$ of its table
$W_E \in \mathbb{R}^{d_{vocab} \times d_{model}}$ and never sees the text. With another tokenizer $T'$ it
reads $T^{-1}(T'(x))$, which is another text. An id $t \ge d_{vocab}$ has no row. The surprise at position
$i$ is

$$s_i = -\ln p(t_i \mid t_1 \dots t_{i-1}), \qquad \text{a blind guess: } \ln d_{vocab}.$$
"""
    if not isinstance(fed, Fed):
        return general
    said = f"{general}\nHere $\\ln {fed.surprises.d_vocab} = {tex(fed.surprises.blind, 3)}$ nats."
    own, other = fed.surprises.own.mean, fed.surprises.foreign.mean
    if own is not None and other is not None:
        n_own = sum(value is not None for value in fed.surprises.own.surprise)
        n_other = sum(value is not None for value in fed.surprises.foreign.surprise)
        said += (
            f" The mean over ${n_own}$ tokens of its own is ${tex(own, 3)}$, over ${n_other}$ foreign "
            f"ones ${tex(other, 3)}$ nats. The first token has nothing before it and is left out of "
            "both."
        )
    return said
