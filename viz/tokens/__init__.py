"""Figures of text cut into tokens."""
