"""Positions: why order must be added to attention, the schemes that do it, and what lies beyond them."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, draw, end_part
from pages.shared.frame.sides import drawings_of

view = start_page(
    "Order",
    "Positions",
    "Attention adds up what it reads, and a sum has no order. So the order of the tokens must be put in.",
)
with showing_errors():
    part = choose()
    try:
        lesson = draw(part, view, drawings_of(view))
    except PointUnavailable as refusal:
        missing(refusal.what, "Choose another model in the sidebar.")
    else:
        end_part(lesson, part)
end_page()
