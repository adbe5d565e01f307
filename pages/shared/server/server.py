"""The server's own addresses, for `app.py`: our scripts, plotly's, and what figures fetch; and compression.

    app = st.App("pages/main.py", routes=server.routes(), middleware=server.middleware())

Nothing here is fetched from outside, and nothing names a user: data and exports are reached only through the
hash of their own content.
"""

from __future__ import annotations

import json
import logging
from functools import cache, partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.shared.figure import export, scripts
from pages.shared.server import bertviz_route
from pages.shared.server.addresses import SendOn
from pages.shared.server.compression import CompressOnce, compressed
from pages.shared.server.lane import Busy, Lane
from pages.shared.server.messages import MessageDoor
from pages.shared.server.shelf import BROWSER_DATA, EXPORTS

_FOREVER = "public, max-age=31536000, immutable"
_LOG = logging.getLogger("glassformer")
# The browser draws one picture at a time, in half a second; files of data are made without it, in less.
_PICTURES = Lane("pictures", places=2, most=24, each=8, seconds=15)
_DATA = Lane("data", places=2, most=24, each=8, seconds=5)
_TABLE_ROWS = 300  # in the page; the CSV has them all


def routes(extra: Path | None = None) -> list[Route]:
    """Routes for `st.App`: scripts and styles, browser data, data tables, exports.

    `extra` is a further folder of scripts, for an app that brings its own (the tests do).
    """
    if extra is not None and extra not in scripts.EXTRA:
        scripts.EXTRA.append(extra)
    return [
        Route("/glassformer/{version}/{name}", _asset),
        Route("/glassformer/data/at/{key}", _browser_data),
        Route("/glassformer/table/at/{key}", _table),
        Route("/glassformer/export/{kind}/{key}", _export),
        bertviz_route.ROUTE,
    ]


def middleware() -> list[Middleware]:
    """Middleware for `st.App`: what a browser may send; addresses that no page has, sent on; and Streamlit's
    own scripts compressed, each once."""
    return [Middleware(MessageDoor), Middleware(SendOn), Middleware(CompressOnce)]


def warm() -> None:
    """Compress plotly's script once, before the first visitor asks for it. About half a second."""
    _compressed_asset("plotly.min.js")


@cache
def _compressed_asset(name: str) -> bytes:
    return compressed(scripts.assets()[name])


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in scripts.assets():
        return Response("There is no such file here.", 404)
    headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
    body = scripts.assets()[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = await run_in_threadpool(_compressed_asset, name)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=scripts.TYPES[Path(name).suffix], headers=headers)


async def _browser_data(request: Request) -> Response:
    content = BROWSER_DATA.get(request.path_params["key"])
    if content is None:
        return _gone()
    return Response(
        content, media_type="application/json", headers={"Cache-Control": "private, max-age=3600"}
    )


async def _table(request: Request) -> Response:
    exportable = EXPORTS.get(request.path_params["key"])
    if exportable is None:
        return _gone()
    rows = await run_in_threadpool(export.table_rows, exportable.table, _TABLE_ROWS)
    return JSONResponse(json.loads(json.dumps(rows, default=str), parse_constant=str))


async def _export(request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in export.KINDS:
        return Response("There is no such kind of file.", 404)
    exportable = EXPORTS.get(request.path_params["key"])
    if exportable is None:
        return _gone()
    try:
        lane = _DATA if kind in ("csv", "html") else _PICTURES
        content = await lane.run(partial(exportable.render, kind), request)
    except export.NoRenderer as error:
        return Response(str(error), 503)
    except Busy as busy:
        return Response(str(busy), 503, {"Retry-After": str(busy.seconds)})
    except Exception:
        _LOG.exception("A picture could not be drawn")
        return Response("The picture could not be drawn. Try once more; the data (CSV) can be saved.", 500)
    if content is None:
        return Response(status_code=204)  # to nobody
    # The browser saves it under our name; a sandbox keeps an opened HTML file from running as this site.
    headers = {
        "Content-Disposition": f'attachment; filename="{exportable.file_names()[kind]}"',
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=export.KINDS[kind], headers=headers)


def _gone() -> Response:
    return Response("This picture is no longer kept; the page will draw it again.", 410)
