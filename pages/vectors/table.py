"""The table: one token's row, its neighbours in the whole vocabulary, and the head's row for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.vectors import embeddings
from model_runtime.vectors.embeddings import OutputRow, Ranked, TableNorms
from pages.shared.escape import plain, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.errors import explain
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.tokens.side import Side, column, columns, sides_of
from viz.style import share, shared_range, three_digits
from viz.vectors.embedding_row import (
    ranked_tokens_figure,
    ranked_tokens_record,
    row_strip_figure,
    row_strip_record,
)

QUESTION = (
    "The nearest rows to a word: will they be words of similar meaning, or other spellings of the same word "
    "(capitals, plural, without the space)? Guess for a noun, then for a comma."
)
ANSWER = (
    "For a noun mostly other spellings and forms of the same word: they stand in the same places of the "
    "training text, and the table has to give each its own row. Meaning shows further down. A first name has "
    "other first names; a comma has other signs and small words. Euclid's distance also counts "
    "lengths, so the lists differ."
)
SOURCES = """
- Bengio et al. 2003, [A neural probabilistic language model][bengio]: a learned table of word vectors.
- Mikolov et al. 2013, [Efficient estimation of word representations](https://arxiv.org/abs/1301.3781):
  neighbours by cosine.
- Press and Wolf 2017, [Using the output embedding](https://arxiv.org/abs/1608.05859): one table for reading
  and writing.

[bengio]: https://www.jmlr.org/papers/v3/bengio03a.html
"""
N_NEAREST = 10


@dataclass(frozen=True, eq=False)
class Row:
    """One run's row and what lies near it."""

    side: Side
    token_id: int
    text: str
    values: np.ndarray
    norms: TableNorms
    by_cosine: Ranked
    by_distance: Ranked
    head: OutputRow


def controls(view: View) -> None:
    """A token by its text or its number; empty: the one selected in the app."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Token, or its id",
            placeholder="the selected token",
            help="A text is cut by the model's tokenizer, as it stands, and its first token is looked up; a "
            "whole number is a row of the table. Empty: the token selected in the sidebar.",
            width=260,
            **state.bound("row"),
        )
        beyond = view.model.spec.d_vocab
        for words, value in (("Selected token", ""), (f"Row {beyond:,}", str(beyond))):
            st.button(
                words, key=f"gf.row.{words}", type="tertiary", on_click=state.set, kwargs={"row": value}
            )


def id_of(side: Side, token: int) -> int:
    """The id that the box asks for; the selected token's where it is empty."""
    text, model = state.get("row"), side.model()
    if not text.strip():
        tokens = runtime.tokens_for(side.run)
        return int(tokens[min(token, len(tokens) - 1)].id)
    bare = text.strip().replace(",", "").replace("\u2212", "-")
    if re.fullmatch(r"[+-]?\d+", bare):
        return int(bare)
    places = model.tokens.encode_with_places(text)
    own = [place.token_id for place in places if not place.added]
    return int(own[0]) if own else int(runtime.tokens_for(side.run)[-1].id)


def row_of(side: Side, token: int) -> Row:
    """Look a token up and search its neighbours.

    Raises:
        PromptError: a row outside the table.
    """
    model, token_id = side.model(), id_of(side, token)
    values = embeddings.embedding_row(model, token_id)
    norms = norms_of(side)

    def near(by: str) -> Ranked:
        return runtime.computed(
            side.run,
            ("nearest", token_id, by),
            lambda: embeddings.nearest(model, values, norms, by, N_NEAREST, [token_id]),
        )

    text = token_text(model.token(token_id))
    head = embeddings.output_row(model, token_id)
    return Row(side, token_id, text, values, norms, near("cosine"), near("euclidean"), head)


def norms_of(side: Side) -> TableNorms:
    """Lengths of all rows, kept for all visitors."""
    return runtime.computed(
        side.run, "table_norms", lambda: embeddings.table_norms(side.model()), words="Measuring all rows"
    )


def strip(row: Row, top: float) -> None:
    live_figure(
        row_strip_figure(row_strip_record(row.text, row.token_id, row.values, top)),
        key=row.side.key_figure("row"),
        provenance=row.side.origin(row=row.token_id),
    )
    spec = row.side.model().spec
    longer = row.norms.share_below(row.norms.norms[row.token_id])
    st.markdown(
        f"The table has {spec.d_vocab:,} rows of {spec.d_model:,} numbers. This row is longer than "
        f"{share(longer)} of them. A one-hot vector times the table gives the same "
        f"{spec.d_model:,} numbers: largest difference "
        f"{three_digits(embeddings.one_hot_difference(row.side.model(), row.token_id))}."
    )
    scale = embeddings.embedding_scale(row.side.model())
    if scale != 1:
        st.markdown(f"{plain(spec.name)} multiplies what it looks up by {three_digits(scale)} (√d_model).")


def neighbours(row: Row, ranked: Ranked, top: float) -> None:
    """A list; a click goes to the neighbour."""
    model = row.side.model()

    def go(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(row=str(click.customdata))

    name = "direction (cosine)" if ranked.by == "cosine" else "distance (Euclid)"
    record = ranked_tokens_record(
        f"Nearest by {name}",
        ranked.by,
        ranked.ids,
        [token_text(model.token(i)) for i in ranked.ids],
        ranked.values,
        top=top,
    )
    live_figure(
        ranked_tokens_figure(record),
        key=row.side.key_figure(f"near-{ranked.by}"),
        provenance=row.side.origin(row=row.token_id),
        clickable=row.side.clickable,
        on_click=go,
    )


def overlap_words(row: Row) -> None:
    both = set(row.by_cosine.ids) & set(row.by_distance.ids)
    n = len(row.by_cosine.ids)
    st.markdown(f"{len(both)} of the {n} are in both lists. Click a neighbour to look at its row.")


def head_words(row: Row, top: float) -> None:
    """Reading and writing: one table, or two."""
    st.subheader("Reading and writing", anchor=False)
    name = plain(row.side.model().spec.name)
    if row.head.tied:
        st.markdown(
            f"{name} has one table for both (**tied** embeddings): the row that is read where the token "
            "stands is the row that the last vector is multiplied with to get this token's logit."
        )
        return
    st.markdown(
        f"{name} has two tables (**untied**): the head has a row of its own for {quoted(row.text)}. Cosine "
        f"of the two rows: {three_digits(row.head.cosine)}."
    )
    live_figure(
        row_strip_figure(row_strip_record(row.text, row.token_id, row.head.row, top, "head")),
        key=row.side.key_figure("head-row"),
        provenance=row.side.origin(row=row.token_id),
    )


def mathematics(row: Row) -> str:
    n, d = row.side.model().spec.d_vocab, len(row.values)
    first = ", ".join(three_digits(float(value)) for value in row.values[:3])
    return (
        r"$$e = \mathrm{onehot}(t)^\top E = E_{t,:}, \qquad E \in \mathbb{R}^{"
        f"{n} \\times {d}" + r"}$$"
        f"\n\nHere $t = {row.token_id}$ and $e = ({first}, \\dots)$."
        "\n\n"
        r"$$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \lVert b \rVert}, \qquad \lVert a - b \rVert^2 = "
        r"\lVert a \rVert^2 - 2\, a \cdot b + \lVert b \rVert^2$$"
    )


def draw(view: View, *_: Any) -> Lesson:
    """Draw the part."""
    controls(view)
    sides = sides_of(view, view.runs[0].prompt)
    rows: list[tuple[Any, Row]] = []
    for place, side in zip(columns(sides), sides, strict=True):
        with column(place, side):
            inside = st.container()
            with inside:
                try:
                    rows.append((inside, row_of(side, view.token)))
                except GlassformerError as error:
                    explain(error)
    tops = tops_of([row for _, row in rows])
    for place, row in rows:
        with place:
            draw_one(row, tops, alone=len(sides) == 1)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(rows[0][1]) if rows else "",
        code=lambda: inspect.getsource(embeddings.nearest),
        sources=SOURCES,
    )


def tops_of(rows: Sequence[Row]) -> tuple[float, float]:
    """Ends of the shared scales: of the cells, and of the distances."""
    strips = [strip for row in rows for strip in (row.values, row.head.row)]
    cells = shared_range(*strips, symmetric=True)[1]
    far = max((value for row in rows for value in row.by_distance.values), default=1.0)
    return cells, far or 1.0


def draw_one(row: Row, tops: tuple[float, float], alone: bool) -> None:
    strip(row, tops[0])
    left, right = st.columns(2) if alone else (st.container(), st.container())
    with left:
        neighbours(row, row.by_cosine, 1.0)
    with right:
        neighbours(row, row.by_distance, tops[1])
    overlap_words(row)
    head_words(row, tops[0])
