"""Attention: every head at a glance, one head step by step, one number, and what attention costs."""

from __future__ import annotations

from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, show

sides = start_page()
with showing_errors():
    show(choose(), sides)
end_page()
