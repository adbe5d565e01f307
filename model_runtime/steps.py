"""Long work in steps: between two of them, whoever waits for it learns how far it is, and may end it.

    for number, layer in enumerate(layers):
        with part(number, len(layers)):
            measure(layer)  # may have parts of its own

Nobody listens unless somebody asked to. A page does while it waits for a measurement (`listening`), and what
its listener raises, since the visitor has gone, ends the work at its next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[float | None], None]  # told how much of the work is done, 0 to 1; None: not known
Share = tuple[float, float]  # the part of the whole work that is under way: where it begins, how large it is

_LISTENER: ContextVar[Listener | None] = ContextVar("glassformer_listener", default=None)
_SHARE: ContextVar[Share | None] = ContextVar("glassformer_share", default=None)
listener = _LISTENER.get


@contextmanager
def listening(told: Listener) -> Iterator[None]:
    """Inside, `told` hears of every step of this thread; the work inside is counted as a whole of its own."""
    before, share = _LISTENER.set(told), _SHARE.set(None)
    try:
        yield
    finally:
        _LISTENER.reset(before)
        _SHARE.reset(share)


def step(done: int = 0, of: int = 0) -> None:
    """A step has ended: `done` `of` so many, where that is known.

    Raises:
        whatever the listener raises, to end the work.
    """
    told = _LISTENER.get()
    if told is not None:
        start, size = _SHARE.get() or (0.0, 1.0)
        told(start + size * done / of if of else None)


def small_step(done: int, of: int) -> None:
    """A step of one piece of work among others (a layer of a forward pass): how far it is counts only where
    it is `part` of a whole, else a bar would begin anew with each piece.

    Raises:
        whatever the listener raises.
    """
    if _SHARE.get() is None:
        step()
    else:
        step(done, of)


@contextmanager
def part(number: int, of: int, size: int = 1) -> Iterator[None]:
    """What runs inside is part `number` (from 0) of `of` parts of the work, or `size` of them from there."""
    start, whole = _SHARE.get() or (0.0, 1.0)
    before = _SHARE.set((start + whole * number / of, whole * size / of))
    try:
        yield
        step(1, 1)
    finally:
        _SHARE.reset(before)
