"""Work of the server that must not take the threads of everybody else: a few at a time, a few waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request

_LOOK_SECONDS = 0.5  # between two looks at whether the visitor still waits


class Busy(Exception):
    """As many are waiting as may; the message is for the visitor."""

    def __init__(self, waiting: int, seconds: int) -> None:
        super().__init__(f"{waiting} other files are being made. Try again in {seconds} seconds.")
        self.seconds = seconds


class Lane:
    """Takes up to `most` jobs, `places` of them at a time in threads of its own; all take about `seconds`.

    A job that has not begun when its visitor has gone is dropped.
    """

    def __init__(self, name: str, *, places: int, most: int, seconds: int) -> None:
        self.most, self.seconds = most, seconds
        self._threads = ThreadPoolExecutor(places, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._asked = 0

    async def run(self, job: Callable[[], bytes], request: Request) -> bytes | None:
        """What the job gives; None for a visitor who has gone. Raises `Busy`, or what the job raises."""
        with self._lock:
            if self._asked >= self.most:
                raise Busy(self._asked, self.seconds)
            self._asked += 1
        try:
            doing = asyncio.wrap_future(self._threads.submit(job))
            while not (await asyncio.wait((doing,), timeout=_LOOK_SECONDS))[0]:
                if await request.is_disconnected() and doing.cancel():
                    return None
            return doing.result()
        finally:
            with self._lock:
                self._asked -= 1
