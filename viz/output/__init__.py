"""Figures of distributions over the next token, and of choosing from them."""
