"""Figures of number formats and of what breaks in them."""
