"""The table: one token's row, its neighbours in the whole vocabulary, and the head's row for it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime.finite import finite
from model_runtime.records import ModelSpec
from model_runtime.vectors.embeddings import (
    Ranked,
    TokenRow,
    embedding_scale,
    embedding_table,
    nearest,
    table_norms,
    token_row,
)
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.run.opened import NotRead
from pages.shared.settings import url_state as state
from pages.vectors.found import beside, found_by
from viz.style import share, shared_range, three_digits
from viz.vectors.table import (
    ranked_tokens_figure,
    ranked_tokens_record,
    row_strip_figure,
    row_strip_record,
)


@dataclass(frozen=True, eq=False)
class LookedUp:
    """One run's row and what lies near it."""

    side: Side
    row: TokenRow

    @property
    def token_id(self) -> int:
        return self.row.token_id

    @property
    def text(self) -> str:
        return self.side.run.text_of(self.token_id)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls(sides[0].spec)
    query = sides[0].query
    rows = found_by(sides, lambda side: look_up(side, query))
    cells, far = tops_of([one.row for _, one in rows])
    for place, one in rows:
        with place:
            strip(one, cells)
            left, right = beside(one.side, 2, gap="small")
            with left:
                neighbours(one, one.row.by_cosine, 1.0)
            with right:
                neighbours(one, one.row.by_distance, far)
            overlap_words(one.row)
            head_words(one, cells)
    return Lesson(
        mathematics=partial(mathematics, rows[0][1]) if rows else "",
        code=(nearest, Ranked, table_norms, finite, embedding_table),
    )


def controls(spec: ModelSpec) -> None:
    """A token by its text or its number; empty: the one selected in the app."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Token, or its id",
            placeholder="the selected token",
            help="A text is cut by the model's tokenizer, as it stands, and its first token is looked up; a "
            "whole number is a row of the table. Empty: the selected token.",
            width=260,
            **state.bound("row"),
        )
        beyond = spec.d_vocab
        for words, value in (("Selected token", ""), (f"Row {beyond:,}", str(beyond))):
            st.button(
                words, key=f"gf.row.{words}", type="tertiary", on_click=state.set, kwargs={"row": value}
            )


def look_up(side: Side, selected: int) -> LookedUp:
    """The row that the box asks for.

    Raises:
        PromptError: a row outside the table.
        NotRead: see `id_of`.
    """
    norms = {"norms": side.run.measure(table_norms, "Measuring all rows")}
    return LookedUp(side, side.run.measure(token_row, at_hand=norms, token_id=id_of(side, selected)))


def id_of(side: Side, selected: int) -> int:
    """The id that the box asks for; that of the token at the position `selected` where it is empty.

    Raises:
        NotRead: the box gives none, and the prompt cannot be read.
    """
    text = state.get("row")
    if not text.strip():
        ids = _ids_of_prompt(side)
        return ids[min(selected, len(ids) - 1)]
    bare = text.strip().replace(",", "").replace("\u2212", "-")
    if re.fullmatch(r"[+-]?\d+", bare):
        return int(bare)
    places = side.model.tokens.encode_with_places(text)
    own = [place.token_id for place in places if not place.added]
    return int(own[0]) if own else _ids_of_prompt(side)[-1]


def _ids_of_prompt(side: Side) -> tuple[int, ...]:
    if side.run.unread is not None:
        raise NotRead(
            "No token is selected, because the prompt is not read.",
            "Type a token or its id above: the table itself needs no prompt.",
        )
    return side.run.ids


def tops_of(rows: Sequence[TokenRow]) -> tuple[float, float]:
    """Ends of the shared scales: of the cells, and of the distances."""
    strips = [values for row in rows for values in (row.values, row.head)]
    cells = shared_range(*strips, symmetric=True)[1]
    far = max((value for row in rows for value in row.by_distance.values), default=1.0)
    return cells, far or 1.0


def strip(one: LookedUp, top: float) -> None:
    live_figure(
        row_strip_figure(row_strip_record(one.text, one.token_id, one.row.values, top)),
        key=one.side.key_figure("row"),
        provenance=one.side.run.origin(as_it_is=True, row=one.token_id),
    )
    spec = one.side.spec
    st.markdown(
        f"The table has {spec.d_vocab:,} rows of {spec.d_model:,} numbers. This row is longer than "
        f"{share(one.row.longer_than)} of them. A one-hot vector times the table gives the same "
        f"{spec.d_model:,} numbers: largest difference {three_digits(one.row.one_hot_difference)}."
    )
    scale = embedding_scale(one.side.model)
    if scale != 1:
        by = three_digits(scale)
        if math.isclose(scale, spec.d_model**0.5, rel_tol=1e-2):  # some models round it to bfloat16
            by += f" (√{spec.d_model}, the root of their number)"
        st.markdown(f"{plain(spec.name)} multiplies what it looks up by {by}.")


def neighbours(one: LookedUp, ranked: Ranked, top: float) -> None:
    """A list; a click goes to the neighbour."""

    def go(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(row=str(click.customdata))

    name = "direction (cosine)" if ranked.by == "cosine" else "distance (Euclid)"
    texts = [one.side.run.text_of(token_id) for token_id in ranked.ids]
    record = ranked_tokens_record(f"Nearest by {name}", ranked.by, ranked.ids, texts, ranked.values, top=top)
    live_figure(
        ranked_tokens_figure(record, f"nearest-tokens-{ranked.by}"),
        key=one.side.key_figure(f"near-{ranked.by}"),
        provenance=one.side.run.origin(as_it_is=True, row=one.token_id),
        clickable=one.side.clickable,
        on_click=go,
    )


def overlap_words(row: TokenRow) -> None:
    both = set(row.by_cosine.ids) & set(row.by_distance.ids)
    n = len(row.by_cosine.ids)
    st.markdown(f"{len(both)} of the {n} are in both lists. Click a neighbour to look at its row.")


def head_words(one: LookedUp, top: float) -> None:
    """Reading and writing: one table, or two."""
    st.subheader("Reading and writing", anchor=False)
    name = plain(one.side.spec.name)
    if one.row.tied:
        st.markdown(
            f"{name} has one table for both (**tied** embeddings): the row that is read where the token "
            "stands is the row that the last vector is multiplied with to get this token's logit."
        )
        return
    st.markdown(
        f"{name} has two tables (**untied**): the head has a row of its own for {quoted(one.text)}. Cosine "
        f"of the two rows: {three_digits(one.row.head_cosine)}."
    )
    live_figure(
        row_strip_figure(row_strip_record(one.text, one.token_id, one.row.head, top, "head")),
        key=one.side.key_figure("head-row"),
        provenance=one.side.run.origin(as_it_is=True, row=one.token_id),
    )


def mathematics(one: LookedUp) -> str:
    values = one.row.values
    first = ", ".join(three_digits(float(value)) for value in values[:3])
    return (
        r"$$e = \mathrm{onehot}(t)^\top E = E_{t,:}, \qquad E \in \mathbb{R}^{"
        f"{one.side.spec.d_vocab} \\times {len(values)}" + r"}$$"
        f"\n\nHere $t = {one.token_id}$ and $e = ({first}, \\dots)$."
        "\n\n"
        r"$$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \lVert b \rVert}, \qquad \lVert a - b \rVert^2 = "
        r"\lVert a \rVert^2 - 2\, a \cdot b + \lVert b \rVert^2$$"
    )
