"""Addresses that Streamlit's browser side cannot open: they are sent on to one that it can.

The first page stands at the root, so that its own name in an address leads there. Below a page there is
nothing, and a browser that asks there finds no script: such an address becomes one name, of which the router
says that there is no such page.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.shared.frame.contents import PAGES

_SERVED = (
    "_stcore",
    "glassformer",
    "static",
    "media",
    "component",
    "app",
)  # what the server itself has below


class SendOn:
    """ASGI middleware: `/home` to the root, `/attention/heads` to `/attention-heads`, parameters kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = self._target(scope)
        if target is None:
            await self.app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        answer = RedirectResponse(f"{target}?{query}" if query else target, 302)
        await answer(scope, receive, send)

    @staticmethod
    def _target(scope: Scope) -> str | None:
        """Where to send a browser that opens a page; relative, so that it holds behind a proxy's prefix."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        if not Headers(scope=scope).get("accept", "").startswith("text/html"):
            return None
        names = [name for name in scope["path"].split("/") if name]
        if names == [PAGES[0].url]:
            return "../" if scope["path"].endswith("/") else "./"
        if len(names) < 2 or names[0] in _SERVED:
            return None
        return "../" * (len(names) - 1 + scope["path"].endswith("/")) + quote("-".join(names)[:100])
