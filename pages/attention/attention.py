"""Attention: every head at a glance, one head step by step, one number, and what attention costs."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part
from pages.shared.frame.sides import drawings_of

PARTS = (
    Part(
        "heads",
        "All heads",
        "Each cell of the grid is one head; its colour says how it reads this prompt. Choose one: in its map "
        "each row is a token, and the stronger a cell's colour, the more that token reads the one above it.",
        "pages.attention.heads",
    ),
    Part(
        "stages",
        "Step by step",
        "One head from queries and keys to what it adds to the stream. Choose a token in any picture and "
        "follow it through all of them.",
        "pages.attention.stages",
    ),
    Part(
        "number",
        "One number",
        "Where does a single probability come from? Choose a query and a key, and every factor is on screen.",
        "pages.attention.number",
    ),
    Part(
        "lines",
        "Who reads whom",
        "Choose a token on the left: the thicker a line, the more it reads the token on the right.",
        "pages.attention.lines",
    ),
    Part(
        "masks",
        "Masks",
        "A mask says what may be read. The same queries and keys under four masks: what would this head have "
        "read if it could look ahead, or only a few tokens back?",
        "pages.attention.masks",
    ),
    Part(
        "groups",
        "Shared keys",
        "Query heads that share one key and value head (grouped-query attention), and the memory it saves.",
        "pages.attention.groups",
    ),
    Part(
        "cost",
        "Cost",
        "Every token is compared with every token before it: twice the text, four times the comparisons. "
        "Measured on this machine.",
        "pages.attention.cost",
    ),
    Part(
        "bertviz",
        "BertViz",
        "The well-known views of BertViz (Vig 2019), drawn from the same measured patterns.",
        "pages.attention.bertviz",
    ),
)

view = start_page(
    "Attention",
    "Attention",
    "Each head of each layer decides which earlier tokens to read, and carries what it reads to later ones.",
)
with showing_errors():
    part = choose(PARTS, "part")
    try:
        lesson = part.draw(view, drawings_of(view))
    except PointUnavailable as refusal:
        missing(refusal.what, "Choose another model in the sidebar.")
    else:
        end_part(lesson)
end_page()
