"""A cache bounded in bytes, in which equal requests in flight run once.

Traces are large (260 MB for the default points of the default model at 1,024 tokens) and slow to make, and
a class that opens one link asks for the same trace at the same time. So values are counted by their
`nbytes`, the least recently used go first, and whoever asks for a key that is being computed waits for
that computation instead of starting another. The cache does not know what it holds: traces, logits and
measures alike, keyed by a hashable recipe and never by arrays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast


class HasBytes(Protocol):
    """Anything that knows its own size, as numpy arrays and traces do."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        ...


Value = TypeVar("Value", bound=HasBytes)
PAUSE = 0.2  # seconds between two looks of who waits at whether it is still to wait


@dataclass(frozen=True)
class CacheStats:
    """What a cache did so far (counts of requests) and what it holds now (bytes, entries)."""

    hits: int  # answered from the cache
    misses: int  # computed
    joined: int  # waited for an equal request that was already being computed
    evictions: int  # entries dropped to make room
    too_large: int  # values returned but not kept: larger than the whole budget
    entries: int
    bytes: int
    max_bytes: int


class _Flight:
    """One computation under way: its future result, the thread that works on it, and who waits for it."""

    def __init__(self) -> None:
        self.result: Future[HasBytes] = Future()
        self.thread = threading.get_ident()
        self.waiting = 0  # threads besides that one
        self.done: float | None = None  # how much of it is done, 0 to 1

    def wait(self, look: Callable[[], None] | None) -> HasBytes:
        """The result; `look` is called now and then, and what it raises ends the waiting."""
        while True:
            try:
                return self.result.result(None if look is None else PAUSE)
            except TimeoutError:
                if self.result.done():  # its own error, or it came in the very moment that the wait was over
                    return self.result.result()
                if look is None:
                    raise
                look()


class TraceCache:
    """Least-recently-used cache of values with `nbytes`, safe under threads.

    Args:
        max_bytes: the most bytes kept at a time; 0 keeps nothing but still lets equal requests share a run.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, got {max_bytes}")
        self.max_bytes = max_bytes
        self._lock = threading.Lock()  # held for bookkeeping only, never while something is computed
        self._kept: OrderedDict[Hashable, tuple[HasBytes, int]] = OrderedDict()  # oldest use first
        self._in_flight: dict[Hashable, _Flight] = {}
        self._bytes = 0
        self._hits = self._misses = self._joined = self._evictions = self._too_large = 0

    def get(
        self, key: Hashable, compute: Callable[[], Value], look: Callable[[], None] | None = None
    ) -> Value:
        """Return the value of `key`: kept, being computed by another thread, or computed here.

        Args:
            key: the recipe of the value; equal keys must mean equal values.
            compute: makes the value; called in this thread and only if nobody else is at it.
            look: called every `PAUSE` while another thread is at it; what it raises ends the waiting.

        Raises:
            Whatever `compute` raises, in every thread that waited for it. Errors are not kept: the next
            request tries again.
            RuntimeError: `compute` asked for its own key.
        """
        while True:
            with self._lock:
                if key in self._kept:
                    self._hits += 1
                    self._kept.move_to_end(key)
                    return cast(Value, self._kept[key][0])
                flight = self._in_flight.get(key)
                if flight is None:
                    flight = self._in_flight[key] = _Flight()
                    self._misses += 1
                    break
                if flight.thread == threading.get_ident():
                    raise RuntimeError(f"computing {key!r} asked for itself")
                self._joined += 1
                flight.waiting += 1
            try:
                with self._waits_for(flight):
                    return cast(Value, flight.wait(look))
            except CancelledError:
                continue  # the thread at work was interrupted, not the computation wrong: take over
        return self._compute(key, compute, flight)

    @contextmanager
    def _waits_for(self, flight: _Flight) -> Iterator[None]:
        """Around the waiting of a thread that is counted already: nobody sees it neither come nor wait."""
        try:
            yield
        finally:
            with self._lock:
                flight.waiting -= 1

    def _compute(self, key: Hashable, compute: Callable[[], Value], flight: _Flight) -> Value:
        try:
            value = compute()
            size = int(value.nbytes)
        except Exception as error:
            self._land(key)
            flight.result.set_exception(error)
            raise
        except BaseException:
            # A session that was stopped (Streamlit's rerun and stop, Ctrl-C): that is its own affair, and
            # those who wait must not be stopped with it.
            self._land(key)
            flight.result.cancel()
            raise
        self._land(key, value, size)
        flight.result.set_result(value)
        return value

    def _land(self, key: Hashable, value: HasBytes | None = None, size: int = 0) -> None:
        """End a flight and keep its value, in one step: nobody sees the key neither kept nor in flight."""
        with self._lock:
            del self._in_flight[key]
            if value is None:
                return
            if size > self.max_bytes:
                self._too_large += 1
                return
            self._kept[key] = (value, size)
            self._bytes += size
            while self._bytes > self.max_bytes:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
                self._evictions += 1

    def peek(self, key: Hashable, renew: bool = False) -> HasBytes | None:
        """The value of `key` if it is kept; nothing is computed or waited for, and nothing is counted.

        Args:
            renew: counts as a use: the value will not be the next to go.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and renew:
                self._kept.move_to_end(key)
            return None if kept is None else kept[0]

    def waiting(self, key: Hashable) -> int:
        """How many threads wait for what another one computes under this key."""
        with self._lock:
            flight = self._in_flight.get(key)
            return 0 if flight is None else flight.waiting

    def tell(self, key: Hashable, done: float) -> None:
        """Note how much of what is computed under this key is done, 0 to 1."""
        with self._lock:
            if key in self._in_flight:
                self._in_flight[key].done = done

    def done(self, key: Hashable) -> float | None:
        """What was told of it last; None where nothing was, or where nobody is at it."""
        with self._lock:
            flight = self._in_flight.get(key)
            return None if flight is None else flight.done

    def clear(self) -> None:
        """Forget every kept value. What is being computed goes on and is kept when it is done."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    @property
    def stats(self) -> CacheStats:
        """Counts so far and the present contents, taken at one moment."""
        with self._lock:
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                joined=self._joined,
                evictions=self._evictions,
                too_large=self._too_large,
                entries=len(self._kept),
                bytes=self._bytes,
                max_bytes=self.max_bytes,
            )
