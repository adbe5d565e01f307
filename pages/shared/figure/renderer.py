"""One warm headless browser that turns figures into PNG, SVG and PDF, for the whole server.

Kaleido draws with Chrome or Chromium. Starting it takes seconds, drawing with a warm one a fraction of a
second, so there is one process, started at the first wish (or by `warm()` at start-up) and closed at exit.
Its own event loop runs in one thread; requests from any thread queue there and each gets its own answer.
(Kaleido's ready-made server hands answers out in the order of asking threads, which can swap two.)
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import shutil
import threading
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 10.0
_DRAW_SECONDS = 60.0  # a figure that takes longer is given up
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
)

INSTALL_HELP = (
    "PNG, SVG and PDF need Chrome or Chromium on the computer that runs Glassformer. "
    "Debian or Ubuntu: sudo apt install chromium. Mac: brew install --cask google-chrome. "
    "Windows: winget install Google.Chrome. Elsewhere set BROWSER_PATH to the program. Then restart. "
    "The interactive page, the data and the camera work without it."
)


class NoRenderer(RuntimeError):
    """There is no browser to draw with on this server; the message says what to install."""


def find_browser() -> str | None:
    """Path of the Chrome or Chromium to draw with: BROWSER_PATH if set, else the first one found."""
    named = os.environ.get("BROWSER_PATH")
    if named is not None:
        return named if Path(named).is_file() else None
    return _search()


def _search() -> str | None:
    found = (shutil.which(name) for name in _NAMES)
    return next((path for path in found if path), None) or next(
        (place for place in _PLACES if Path(place).is_file()), None
    )


def render(figure: dict[str, Any], kind: str, *, width: int, height: int, scale: float = 1) -> bytes:
    """The figure (plotly's JSON as a dict) as the bytes of a "png", "svg" or "pdf". Safe from any thread."""
    return _RENDERER.render(figure, {"format": kind, "width": width, "height": height, "scale": scale})


def warm() -> None:
    """Start the browser and draw once, so that the first visitor's export is quick. Without one: nothing."""
    if find_browser() is not None:
        render({"data": [], "layout": {}}, "svg", width=100, height=100)


def close() -> None:
    """End the browser process; the next `render` starts another."""
    _RENDERER.close()


class _Renderer:
    """The browser, its event loop and the loop's thread: all three, or none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kaleido: Any = None
        self._thread: threading.Thread | None = None

    def render(self, figure: dict[str, Any], options: dict[str, Any]) -> bytes:
        try:
            return self._draw(figure, options)
        except NoRenderer:
            raise
        except Exception:
            # The browser may have died (memory, a killed process): once more with a new one.
            _LOG.warning("The export browser failed; starting another.", exc_info=True)
            self.close()
            return self._draw(figure, options)

    def _draw(self, figure: dict[str, Any], options: dict[str, Any]) -> bytes:
        loop, kaleido = self._started()
        drawing = asyncio.run_coroutine_threadsafe(kaleido.calc_fig(figure, opts=options), loop)
        return drawing.result(_DRAW_SECONDS)

    def _started(self) -> tuple[asyncio.AbstractEventLoop, Any]:
        with self._lock:
            if self._loop is None:
                path = find_browser()
                if path is None:
                    raise NoRenderer(INSTALL_HELP)
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name="figure-renderer", daemon=True
                )
                self._thread.start()
                try:
                    self._kaleido = asyncio.run_coroutine_threadsafe(_open(path), self._loop).result(
                        _DRAW_SECONDS
                    )
                except BaseException:
                    self._end_loop()
                    raise
            return self._loop, self._kaleido

    def close(self) -> None:
        with self._lock:
            if self._loop is None:
                return
            try:
                asyncio.run_coroutine_threadsafe(self._kaleido.close(), self._loop).result(_CLOSE_SECONDS)
            except Exception:
                _LOG.warning("The export browser did not close cleanly.", exc_info=True)
            finally:
                self._end_loop()

    def _end_loop(self) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        self._loop = self._thread = self._kaleido = None


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _cancel(left: set[asyncio.Task[Any]]) -> None:
    """Ends what still waits: a browser that was killed leaves its watchers behind."""
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _open(path: str) -> Any:
    import kaleido

    # mathjax=False: kaleido would otherwise load it from the network.
    browser = kaleido.Kaleido(n=1, mathjax=False, path=path, timeout=_DRAW_SECONDS)
    await browser.open()
    return browser


_RENDERER = _Renderer()
atexit.register(close)
