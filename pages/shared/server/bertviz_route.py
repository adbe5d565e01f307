"""Keeps BertViz's documents for the browser to fetch, and hands them out under a policy of their own."""

from __future__ import annotations

import secrets

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pages.shared.server.compression import compressed
from pages.shared.server.shelf import Shelf
from viz.attention.bertviz import BertvizView, linked_page, policy

DOCUMENTS = Shelf(32 * 1024 * 1024)  # key of a view -> (view, path of our scripts)


def put(view: BertvizView, base: str) -> str:
    """Keep a view; the key it can be fetched by."""
    DOCUMENTS.put(view.key, (view, base), view.nbytes)
    return view.key


async def _document(request: Request) -> Response:
    kept = DOCUMENTS.get(request.path_params["key"])
    if kept is None:
        return Response("This picture is no longer kept; the page will draw it again.", 410)
    view, base = kept
    nonce = secrets.token_urlsafe(16)
    page = linked_page(view, base, nonce).encode("utf-8", "replace")
    # Sandboxed by the server too: opened in a tab of its own it is no part of this site either.
    rules = policy(f"'nonce-{nonce}'")
    headers = {
        "Content-Security-Policy": f"sandbox allow-scripts; frame-ancestors 'self'; {rules}",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",  # a nonce is for one answer
        "Vary": "Accept-Encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        page = await run_in_threadpool(compressed, page)
        headers["Content-Encoding"] = "gzip"
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


ROUTE = Route("/glassformer/bertviz/at/{key}", _document)
