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
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 10.0
_DRAW_SECONDS = 60.0  # a figure that takes longer is given up
_LOOK_SECONDS = 0.1  # between two looks at whether the browser's process lives
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
    "Windows: winget install Google.Chrome. Then restart it. "
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


@dataclass(frozen=True, eq=False)
class _Browser:
    """The browser, its event loop and the loop's thread, which end together."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    kaleido: Any
    died: asyncio.Event  # its process ended, or the process of its page did

    def draw(self, figure: dict[str, Any], options: dict[str, Any]) -> bytes:
        """The picture; raises as soon as the browser is gone, whoever else still waits for it."""
        drawing = asyncio.run_coroutine_threadsafe(self._drawn(figure, options), self.loop)
        return drawing.result(_DRAW_SECONDS + _CLOSE_SECONDS)  # a loop about to end may answer nothing

    async def _drawn(self, figure: dict[str, Any], options: dict[str, Any]) -> bytes:
        drawing = asyncio.ensure_future(self.kaleido.calc_fig(figure, opts=options))
        gone = asyncio.ensure_future(self.died.wait())
        done, _ = await asyncio.wait(
            (drawing, gone), timeout=_DRAW_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        gone.cancel()
        if drawing in done:
            return bytes(drawing.result())
        drawing.cancel()
        raise _BrowserDied

    def close(self) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self.kaleido.close(), self.loop).result(_CLOSE_SECONDS)
        except Exception:
            _LOG.warning("The export browser did not close cleanly.", exc_info=True)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_CLOSE_SECONDS)


class _BrowserDied(Exception):
    """The browser ended, or did not answer, while a picture waited for it."""


class _Renderer:
    """The one browser; replaced when it fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._browser: _Browser | None = None

    def render(self, figure: dict[str, Any], options: dict[str, Any]) -> bytes:
        browser = self._started()
        try:
            return browser.draw(figure, options)
        # Cancelled: by the end of the loop, when another picture met the same failure first.
        except (Exception, CancelledError):
            # The browser may have died (memory, a killed process): once more with a new one.
            _LOG.warning("The export browser failed; starting another.", exc_info=True)
            self.close(browser)
            return self._started().draw(figure, options)

    def _started(self) -> _Browser:
        with self._lock:
            if self._browser is None:
                path = find_browser()
                if path is None:
                    raise NoRenderer(INSTALL_HELP)
                self._browser = _start(path)
            return self._browser

    def close(self, failed: _Browser | None = None) -> None:
        """End the browser; where one `failed`, only that one, which another thread may have replaced."""
        with self._lock:
            browser = self._browser
            if browser is None or failed not in (None, browser):
                return
            self._browser = None
            browser.close()


def _start(path: str) -> _Browser:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="figure-renderer", daemon=True)
    thread.start()
    try:
        opening = asyncio.run_coroutine_threadsafe(_open(path), loop)
        kaleido, died = opening.result(_DRAW_SECONDS)
    except BaseException:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_SECONDS)
        raise
    return _Browser(loop, thread, kaleido, died)


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


async def _open(path: str) -> tuple[Any, asyncio.Event]:
    """The browser, and what is set when it dies: kaleido itself would wait until its time is over."""
    import kaleido

    # mathjax=False: kaleido would otherwise load it from the network.
    browser = kaleido.Kaleido(n=1, mathjax=False, path=path, timeout=_DRAW_SECONDS)
    try:
        await browser.open()
        died = await _watched(browser)
    except BaseException:  # a process that nobody holds would stay
        try:
            await browser.close()
        except Exception:
            _LOG.warning("The export browser did not close cleanly.", exc_info=True)
        raise
    return browser, died


async def _watched(browser: Any) -> asyncio.Event:
    died = asyncio.Event()

    async def crashed(_: object) -> None:
        died.set()

    async def ended() -> None:
        while browser.subprocess.poll() is None:
            await asyncio.sleep(_LOOK_SECONDS)
        died.set()

    for tab in browser.tabs.values():
        tab.subscribe("Inspector.targetCrashed", crashed, repeating=True)
        await tab.send_command("Inspector.enable")
    browser.watched = asyncio.create_task(ended())  # a task that nobody holds may be collected
    return died


_RENDERER = _Renderer()
atexit.register(close)
