"""A number and its noun, in sentences of every room."""

from __future__ import annotations


def counted(n: int, thing: str) -> str:
    """A number and its noun.

    >>> counted(1, "token"), counted(1200, "token"), counted(1, "more token")
    ('1 token', '1,200 tokens', '1 more token')
    """
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
