"""Choosing the next token: every step over the whole vocabulary, and generation with a seed of its own."""
