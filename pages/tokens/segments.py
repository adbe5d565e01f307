"""A text in pieces, as coloured spans to look at: what stands after a number of merges.

Strangers' text goes in by `textContent` only: a piece is never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pages.shared.figure import scripts
from viz.style import shorten, token_color
from viz.tokens.merges import text_of

MOST_PIECES = 1_200  # that are drawn; a screen holds fewer

_component = scripts.inline_component("pieces", '<div class="gf-pieces" role="img"></div>')


@dataclass(frozen=True)
class Piece:
    """One piece of the text. `entry` is its number in the vocabulary, below 256 for a single byte."""

    data: bytes
    entry: int
    new: bool = False  # made by the last merge
    next: bool = False  # taken in by the next one


def pieces_component(pieces: Sequence[Piece], *, key: str) -> None:
    """Draw the pieces; of a long text the first `MOST_PIECES`, and how many more there are."""
    shown = pieces[:MOST_PIECES]
    n_new = sum(piece.new for piece in pieces)
    more = len(pieces) - len(shown)
    _component(
        key=key,
        data={
            "pieces": [_message(piece) for piece in shown],
            "rest": f" … {more:,} more pieces" if more else "",
            "label": f"The text in {len(pieces):,} pieces, {n_new:,} of them made by the last merge: "
            + " ".join(text_of(piece.data) for piece in shown[:60]),
        },
    )


def _message(piece: Piece) -> list[object]:
    merged = piece.entry >= 256
    named = (("gf-merged", merged), ("gf-new", piece.new), ("gf-next", piece.next))
    kinds = " ".join(name for name, holds in named if holds)
    color = token_color(piece.entry) if merged else ""
    return [shorten(text_of(piece.data), 40), kinds, color, piece.data.endswith(b"\n")]
