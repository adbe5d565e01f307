"""The tokens of the prompt as coloured chips: one selection for all pages, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from model_runtime.records import Token
from model_runtime.records.counts import counted
from pages.shared.escape import token_text
from pages.shared.figure import scripts
from viz.style import shorten, token_color, visible

MOST_CHIPS = 160
EDGE_CHIPS = 24  # always shown at both ends of a long prompt

_component = scripts.inline_component(
    "token_chips", '<div class="gf-chips" role="listbox" aria-orientation="horizontal"></div>'
)


def shown_positions(n_tokens: int, selected: int) -> list[range]:
    """Which positions get a chip: all of a short prompt; both ends and what surrounds the selection of a
    long one, so that the page stays light at 1,024 tokens.

    >>> shown_positions(5, 4)
    [range(0, 5)]
    >>> shown_positions(1000, 500)
    [range(0, 24), range(444, 556), range(976, 1000)]
    """
    if n_tokens <= MOST_CHIPS:
        return [range(n_tokens)]
    half = (MOST_CHIPS - 2 * EDGE_CHIPS) // 2
    start = min(max(selected - half, 0), n_tokens - 2 * half)
    pieces = [range(EDGE_CHIPS), range(start, start + 2 * half), range(n_tokens - EDGE_CHIPS, n_tokens)]
    merged: list[range] = []
    for piece in sorted(pieces, key=lambda piece: piece.start):
        if merged and piece.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, piece.stop))
        else:
            merged.append(piece)
    return merged


def chips_of(tokens: Sequence[Token], selected: int) -> list[dict[str, object]]:
    """What the browser draws: a chip a token, and a word for each gap."""
    chips: list[dict[str, object]] = []
    done = 0
    for piece in shown_positions(len(tokens), selected):
        if piece.start > done:
            chips.append({"position": None, "text": f"… {counted(piece.start - done, 'token')} …"})
        chips.extend(_chip(tokens[position], position, len(tokens)) for position in piece)
        done = piece.stop
    return chips


def _chip(token: Token, position: int, n_tokens: int) -> dict[str, object]:
    text = shorten(visible(token_text(token))) or "⟨empty⟩"
    return {
        "position": position,
        "text": text,
        "says": f"{text}, token {position} of 0 to {n_tokens - 1}, id {token.id}",
        "color": token_color(token.id),
    }


def token_chips(
    tokens: Sequence[Token], selected: int, on_pick: Callable[[int, int], None], *, key: str
) -> None:
    """Draw the chips. A click or Enter calls `on_pick(position, n_tokens)` before the rerun it starts."""

    def picked() -> None:
        position = st.session_state[key].picked
        if isinstance(position, int | float):
            on_pick(int(position), len(tokens))

    label = f"Tokens of the prompt, {len(tokens)}. Arrow keys move, Enter selects."
    _component(
        key=key,
        data={"chips": chips_of(tokens, selected), "selected": selected, "label": label},
        on_picked_change=picked,
    )
