"""Figures of one number of a pattern: where a single probability comes from."""
