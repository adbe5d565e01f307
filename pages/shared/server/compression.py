"""Compresses Streamlit's own scripts once each; Streamlit serves them as they are to save CPU at every visit.

Their names hold a hash of their content, so a compressed copy never goes stale and each costs CPU once per
process. Everything else passes through untouched.
"""

from __future__ import annotations

import gzip
import threading

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEVEL = 7  # level 9 takes a quarter longer for 0.1 % less
_SMALLEST = 1_000  # bytes; below, compression gains nothing
_MOST_BYTES = 32 * 1024 * 1024  # of compressed copies; all of Streamlit's scripts together are below 10 MB


def compressed(content: bytes) -> bytes:
    """gzip without a time stamp: equal content gives equal bytes."""
    return gzip.compress(content, _LEVEL, mtime=0)


class CompressOnce:
    """ASGI middleware: keeps a gzip copy of each script and style under Streamlit's `/static/`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._copies: dict[str, tuple[list[tuple[bytes, bytes]], bytes]] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _wanted(scope):
            await self.app(scope, receive, send)
        elif (copy := self._copies.get(scope["path"])) is not None:
            await _answer(send, *copy)
        else:
            await _Collector(self, scope["path"], send).run(self.app, scope, receive)

    def keep(self, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        with self._lock:
            if path not in self._copies and self._n_bytes + len(body) <= _MOST_BYTES:
                self._copies[path] = (headers, body)
                self._n_bytes += len(body)


class _Collector:
    """Gathers one answer, compresses it, sends it, and leaves the copy with the middleware."""

    def __init__(self, owner: CompressOnce, path: str, send: Send) -> None:
        self.owner, self.path, self.send = owner, path, send
        self.start: Message = {}
        self.body = bytearray()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        await app(scope, receive, self.gather)

    async def gather(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        if message["type"] != "http.response.body":
            await self.send(message)
            return
        self.body += message.get("body", b"")
        if not message.get("more_body", False):
            await self.finish()

    async def finish(self) -> None:
        headers = MutableHeaders(raw=list(self.start["headers"]))
        body = bytes(self.body)
        plain = "content-encoding" not in headers and len(body) >= _SMALLEST
        if self.start["status"] == 200 and plain:
            body = compressed(body)
            headers["Content-Encoding"] = "gzip"
            headers["Content-Length"] = str(len(body))
            headers.add_vary_header("Accept-Encoding")
            if "immutable" in headers.get("cache-control", ""):
                self.owner.keep(self.path, headers.raw, body)
            await _answer(self.send, headers.raw, body)
            return
        await self.send(self.start)
        await self.send({"type": "http.response.body", "body": body})


async def _answer(send: Send, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _wanted(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path = scope["path"]
    if "/static/" not in path or not path.endswith((".js", ".css")):
        return False
    headers = Headers(scope=scope)
    # A conditional or partial request gets Streamlit's own answer.
    special = {"range", "if-none-match", "if-modified-since"} & set(headers.keys())
    return "gzip" in headers.get("accept-encoding", "") and not special
