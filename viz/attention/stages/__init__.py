"""Figures of one head step by step, from queries and keys to what it adds."""
