"""Tokens: how text is cut into pieces, by this model and by others, and where the pieces come from."""

from __future__ import annotations

from pages.shared.page import end_page, showing_errors, start_page
from pages.shared.parts import Part, choose, end_part
from pages.tokens.side import sides_of

PARTS = (
    Part(
        "compare",
        "Tokenizers",
        "The same text cut by several real tokenizers. Point at a piece and its number lights up; pieces "
        "that the tokenizers cut differently are marked.",
        "pages.tokens.compare",
    ),
    Part(
        "levels",
        "Words, letters, pieces",
        "Three ways to cut one text. Words need a vocabulary without end, letters make sequences without "
        "end; pieces of words lie between.",
        "pages.tokens.levels",
    ),
    Part(
        "built",
        "How a token is built",
        "Byte-pair encoding starts from single bytes and joins neighbours, always the pair that was learned "
        "first. Choose a token and watch it grow.",
        "pages.tokens.built",
    ),
    Part(
        "train",
        "Train one",
        "Learn a tokenizer from the text here: count neighbouring pairs, join the most frequent, repeat; "
        "the vocabulary grows by one and the text gets shorter.",
        "pages.tokens.train",
    ),
    Part(
        "fed",
        "The wrong tokenizer",
        "What the model reads when it is given another tokenizer's numbers: the same numbers, other words.",
        "pages.tokens.fed",
    ),
)

view = start_page(
    "Text to numbers",
    "Tokens",
    "A model reads no letters: a tokenizer cuts the text into pieces and gives the model their numbers.",
)
with showing_errors():
    part = choose(PARTS, "lesson")
    end_part(part.draw(view, sides_of(view, view.runs[0].prompt)))
end_page()
