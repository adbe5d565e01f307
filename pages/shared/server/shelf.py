"""What the server keeps for the browser to fetch: bounded in bytes, oldest use out first.

A figure's message to the browser stays small: the arrays behind its sliders, its data table and its exports
lie here under a hash of their content and are fetched when wanted. The hash is the only way in, so nobody
can list or guess what others are looking at. What was pushed out comes back at the page's next run.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

_MEGABYTE = 1024 * 1024


class Shelf:
    """A thread-safe store, key -> value, holding at most `max_bytes` (by the sizes it was told)."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._items: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: str, value: Any, n_bytes: int) -> None:
        """Keep `value`; a value larger than the whole shelf is kept alone, until the next one comes."""
        with self._lock:
            if key in self._items:
                self._bytes -= self._items.pop(key)[1]
            self._items[key] = (value, n_bytes)
            self._bytes += n_bytes
            while self._bytes > self.max_bytes and len(self._items) > 1:
                _, (_, freed) = self._items.popitem(last=False)
                self._bytes -= freed

    def get(self, key: str) -> Any | None:
        """The value, now the most recently used; None if it was pushed out or never here."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    @property
    def n_bytes(self) -> int:
        return self._bytes


BROWSER_DATA = Shelf(64 * _MEGABYTE)
EXPORTS = Shelf(128 * _MEGABYTE)
