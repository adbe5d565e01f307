"""Work of the server that must not take the threads of everybody else: a few at a time, a few waiting."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.requests import Request
from streamlit.web.server.starlette.starlette_app_utils import decode_xsrf_token_string

_LOOK_SECONDS = 0.5  # between two looks at whether the visitor still waits
_COOKIE = "_streamlit_xsrf"


class Busy(Exception):
    """As many are waiting as may; the message is for the visitor."""

    def __init__(self, waiting: int, seconds: int, whose: str = "other") -> None:
        super().__init__(f"{waiting} {whose} files are being made. Try again in {seconds} seconds.")
        self.seconds = seconds


class Lane:
    """Takes up to `most` jobs, `each` of one visitor, `places` of them at a time in threads of its own.

    All take about `seconds`. A job that has not begun when its visitor has gone is dropped; one that has
    begun keeps its place until it ends, since it keeps its thread.
    """

    def __init__(self, name: str, *, places: int, most: int, each: int, seconds: int) -> None:
        self.most, self.each, self.seconds = most, each, seconds
        self._threads = ThreadPoolExecutor(places, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()  # jobs that wait or run, by visitor

    async def run(self, job: Callable[[], bytes], request: Request) -> bytes | None:
        """What the job gives; None for a visitor who has gone. Raises `Busy`, or what the job raises."""
        visitor = _visitor(request)
        with self._lock:
            if self._asked[visitor] >= self.each:
                raise Busy(self.each, self.seconds, "of your")
            if self._asked.total() >= self.most:
                raise Busy(self.most, self.seconds)
            self._asked[visitor] += 1
        doing = self._threads.submit(job)
        doing.add_done_callback(partial(self._ended, visitor))
        done = asyncio.wrap_future(doing)
        while not (await asyncio.wait((done,), timeout=_LOOK_SECONDS))[0]:
            if await request.is_disconnected() and doing.cancel():  # cannot be, once it has begun
                return None
        return done.result()

    def _ended(self, visitor: str, _: object) -> None:
        with self._lock:
            self._asked[visitor] -= 1
            if not self._asked[visitor]:
                del self._asked[visitor]


def _visitor(request: Request) -> str:
    """Whom a job belongs to: the browser, by the cookie that Streamlit gives it; else its address.

    Many browsers may share an address (a class room, a proxy), so the cookie comes first.
    """
    # The cookie is written anew, with another mask, at each visit; the token in it stays.
    token, _ = decode_xsrf_token_string(request.cookies.get(_COOKIE, ""))
    if token:
        return token.hex()
    return request.client.host if request.client is not None else ""
