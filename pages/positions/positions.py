"""Positions: why order must be added to attention, the schemes that do it, and what lies beyond them."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, draw, end_part

sides = start_page()
with showing_errors():
    part = choose()
    try:
        lesson = draw(part, sides)
    except PointUnavailable as refusal:
        missing(refusal.what, "Choose another model in the sidebar.")
    else:
        end_part(lesson, part)
end_page()
