"""A text in pieces, as coloured spans to look at: what stands after a number of merges.

Strangers' text goes in by `textContent` only: a piece is never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from viz.style import shorten, token_color
from viz.tokens.merge_chain import text_of

MOST_PIECES = 1_200  # that are drawn; a screen holds fewer

_HTML = '<div class="gf-pieces" role="img"></div>\n'
_CSS = """
.gf-pieces {
  font-family: var(--st-code-font); font-size: 0.95rem; line-height: 2.1; max-height: 22rem; overflow-y: auto;
  padding: 0.3rem 0.2rem; color: var(--st-text-color); overflow-wrap: anywhere; position: relative;
}
.gf-pieces span {
  unicode-bidi: isolate; direction: ltr; padding: 0.15rem 0.18rem; margin: 0 1px; border-radius: 0.2rem;
  border: 1px solid color-mix(in srgb, var(--st-text-color) 22%, transparent);
}
.gf-pieces span.gf-merged {
  background: color-mix(in srgb, var(--piece) 24%, var(--st-background-color));
  border-bottom: 2px solid var(--piece);
}
.gf-pieces span.gf-new { outline: 2px solid var(--st-text-color); outline-offset: 0; font-weight: 700; }
.gf-pieces span.gf-next { text-decoration: underline dotted 2px; text-underline-offset: 0.25em; }
.gf-pieces em { font-style: normal; opacity: 0.75; font-size: 0.85rem; }
"""
_JS = """
export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".gf-pieces")
  box.setAttribute("aria-label", data.label)
  const parts = data.pieces.flatMap(([text, kinds, color, breaks]) => {
    const span = document.createElement("span")
    span.textContent = text
    span.className = kinds
    if (color) span.style.setProperty("--piece", color)
    return breaks ? [span, document.createElement("br")] : [span, document.createElement("wbr")]
  })
  if (data.rest) {
    const rest = document.createElement("em")
    rest.textContent = data.rest
    parts.push(rest)
  }
  box.replaceChildren(...parts)
}
"""

_component = st.components.v2.component("glassformer_pieces", html=_HTML, css=_CSS, js=_JS)


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
