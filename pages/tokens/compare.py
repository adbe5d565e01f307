"""Tokenizers: the text on screen, cut by the loaded model's tokenizer and by others."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shared.page import View
from pages.shared.parts import Lesson
from pages.shared.words import counted, quoted
from pages.tokens.side import Side, column, columns


def draw(view: View, sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    for place, side in zip(columns(sides), sides, strict=True):
        with column(place, side):
            tokens = side.model().tokenize(side.text)
            st.markdown(
                f"{counted(len(tokens), 'token')}: " + " ".join(quoted(token.text) for token in tokens)
            )
    return Lesson("How many tokens is `superman`?", "Type it in and see.")
