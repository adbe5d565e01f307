"""Embeddings: a token as a point in space."""

from __future__ import annotations

from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part

PARTS = (
    Part(
        "table",
        "The table",
        "Looking a token up is reading one row of a large table. Which other rows lie near it, and does near "
        "mean similar?",
        "pages.vectors.table",
    ),
    Part(
        "words",
        "Words and sums",
        "How alike are the vectors of two words, and does arithmetic with them make sense?",
        "pages.vectors.words",
    ),
    Part(
        "map",
        "Projection",
        "Hundreds of dimensions drawn in two or three. Who are the neighbours, and how many of them does the "
        "picture lose?",
        "pages.vectors.projection",
    ),
    Part(
        "senses",
        "One word, many meanings",
        "The same word in several sentences begins as the same vector. Follow it through the layers: where "
        "do the meanings part?",
        "pages.vectors.senses",
    ),
)

view = start_page("Vectors", "Embeddings", "Each token is a point in a space of hundreds of dimensions.")
with showing_errors():
    part = choose(PARTS, "space")
    end_part(part.draw(view))
end_page()
