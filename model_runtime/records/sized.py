"""How much memory a record takes, about: what a memory that is bounded in bytes asks of all that it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass

import numpy as np

_SMALL = 64  # bytes of a number, and around anything larger


class Sized:
    """A record with `nbytes`."""

    @property
    def nbytes(self) -> int:
        """Bytes of all that it holds, about."""
        return bytes_of(self)


def bytes_of(value: object) -> int:
    """Bytes of arrays and texts, and of those in records, tuples and mappings, about.

    >>> bytes_of((np.zeros(100), "a text"))
    998
    """
    if isinstance(value, np.ndarray):
        return value.nbytes + _SMALL
    if isinstance(value, str | bytes):
        return len(value) + _SMALL
    parts: Iterable[object] = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, tuple | list):
        parts = value
    elif is_dataclass(value):
        parts = vars(value).values()
    return _SMALL + sum(map(bytes_of, parts))
