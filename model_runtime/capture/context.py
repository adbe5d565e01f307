"""Which run, if any, the current thread's forward belongs to.

A `ContextVar` set right around one forward, in the thread that runs it, and reset before anything is
yielded: hooks of a model shared by many threads then see only their own request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_runtime.capture.hooks import Run

_ACTIVE: ContextVar[Run | None] = ContextVar("glassformer_run", default=None)
current = _ACTIVE.get


@contextmanager
def active(run: Run) -> Iterator[None]:
    token = _ACTIVE.set(run)
    try:
        yield
    finally:
        _ACTIVE.reset(token)
