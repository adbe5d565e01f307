"""The linked columns: one text cut several ways, drawn by one component of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.shared.figure import scripts
from pages.shared.settings import url_state as state
from pages.shared.settings.table import LAST_TOKEN
from viz.tokens.columns import Column, Columns, columns_record, message

_COMPONENT = scripts.component("token_columns")
_CHANGED = "gf.tokens.changed"  # a callback of this run changed what other places of the page show


def token_columns(
    columns: list[Column],
    text: str,
    *,
    key: str,
    selected: tuple[str, int] | None = None,
    clickable: str = "",
    at_byte: int | None = None,
) -> None:
    """Draw columns of one text, linked with one another.

    Args:
        selected: the column and the position of the app's token, among those that the model reads.
        clickable: the column whose clicks choose the app's token.
        at_byte: where somebody is typing; a long text is shown around there.
    """
    turned = f"{key}:stretch"
    memory = st.session_state.get(turned)
    selected = _as_piece(columns, selected)
    asked = memory[1] if memory and memory[0] == text else None
    record = columns_record(columns, text, at_byte=_shown_byte(columns, selected, at_byte), stretch=asked)
    positions = next((column.positions for column in columns if column.key == clickable), ())
    n_tokens = sum(position is not None for position in positions)

    def picked() -> None:
        report = st.session_state[key].picked
        piece = report.get("position") if isinstance(report, Mapping) else None
        if isinstance(piece, int) and 0 <= piece < len(positions):  # what is lost is no token to choose
            choose({"position": positions[piece]}, n_tokens)

    def turn() -> None:
        to = st.session_state[key].turned
        if isinstance(to, int | float):
            st.session_state[turned] = (text, int(to))

    _COMPONENT(
        key=key,
        data={
            "label": "The text, cut into pieces",
            "stamp": text if len(text) < 200 else f"{len(text)} {hash(text)}",
            "columns": message(record),
            "selected": None if selected is None else {"column": selected[0], "position": selected[1]},
            "clickable": clickable,
            "stretch": record.shown,
            "stretches": len(record.stretches),
            "stretch_says": _stretch_words(record),
        },
        on_picked_change=picked,
        on_turned_change=turn,
    )


def _as_piece(columns: list[Column], selected: tuple[str, int] | None) -> tuple[str, int] | None:
    """The column and which of its pieces the selected token is: what is lost is a piece, but no token."""
    for column in columns:
        if selected is not None and column.key == selected[0] and selected[1] in column.positions:
            return column.key, column.positions.index(selected[1])
    return None


def _shown_byte(columns: list[Column], selected: tuple[str, int] | None, at_byte: int | None) -> int | None:
    if at_byte is not None:
        return at_byte
    for column in columns:
        if selected is not None and column.key == selected[0] and selected[1] < len(column.pieces):
            return column.pieces[selected[1]].start
    return 0


def _stretch_words(record: Columns) -> str:
    if len(record.stretches) < 2:
        return ""
    start, end = record.stretches[record.shown]
    return (
        f"A long text is shown in {len(record.stretches):,} stretches; "
        f"this is number {record.shown + 1}, bytes {start:,} to {end:,} of {record.n_bytes:,}. "
        "The counts are of the whole text."
    )


def choose(report: Any, n_tokens: int) -> None:
    """Take a click for the app's token; the last one is kept as "the last". Anything else is no click."""
    position = report.get("position") if isinstance(report, Mapping) else None
    if not isinstance(position, int | float) or not 0 <= position < n_tokens:
        return
    state.set(token=LAST_TOKEN if position == n_tokens - 1 else int(position))
    changed()


def changed() -> None:
    """To be called by a callback inside the live part of the page that changed what bar and sidebar show."""
    st.session_state[_CHANGED] = True


def rerun_if_changed() -> None:
    """Run the whole page again where a callback asked for it: else bar and sidebar stay as they were."""
    if st.session_state.pop(_CHANGED, False):
        st.rerun()
