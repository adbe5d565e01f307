"""Positions: why order must be added to attention, the schemes that do it, and what lies beyond them."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part
from pages.shared.frame.sides import drawings_of

PARTS = (
    Part(
        "order",
        "Why order",
        "The same tokens, shuffled. The stronger a cell's colour, the further this token's vector moved. "
        "Look for the map that stays empty.",
        "pages.positions.order",
    ),
    Part(
        "schemes",
        "Four schemes",
        "Four ways to say where a token stands. Top: the table or bias itself. Middle: which positions "
        "resemble which. Straight stripes along the diagonal mean that only the distance counts.",
        "pages.positions.schemes",
    ),
    Part(
        "rope",
        "RoPE, turning",
        "The real queries and keys of one head, before and after they are turned by their position. Drag the "
        "slider: look at which clocks race and which hardly move.",
        "pages.positions.rotation",
    ),
    Part(
        "change",
        "RoPE, changed",
        "The same model with another rotation, beside the model as it is. Look for which heads notice, and "
        "whether the next token does.",
        "pages.positions.change",
    ),
    Part(
        "beyond",
        "Beyond the length",
        "A model was trained on texts up to a length. Its loss along a longer one, token by token: look at "
        "what happens where the context ends.",
        "pages.positions.beyond",
    ),
)

view = start_page(
    "Order",
    "Positions",
    "Attention adds up what it reads, and a sum has no order. So the order of the tokens must be put in.",
)
with showing_errors():
    part = choose(PARTS, "place")
    try:
        lesson = part.draw(view, drawings_of(view))
    except PointUnavailable as refusal:
        missing(refusal.what, "Choose another model in the sidebar.")
    else:
        end_part(lesson)
end_page()
