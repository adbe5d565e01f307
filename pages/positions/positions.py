"""Positions: why order must be added to attention, the schemes that do it, and what lies beyond them."""

from __future__ import annotations

from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, show

sides = start_page()
with showing_errors():
    show(choose(), sides)
end_page()
