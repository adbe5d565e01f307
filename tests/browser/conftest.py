"""A real server and a real headless Chromium for every browser test.

    def test_something(serve, open_page):
        page = open_page(serve("app.py"), width=390, dark=True)

Every page is watched: a request that leaves this machine, an error on the console, a dialog or an uncaught
exception fails the test that opened it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Error, Page, Route, sync_playwright

from pages.shared.figure.scripts import tables

ROOT = Path(__file__).resolve().parents[2]
collect_ignore_glob = ["apps/*"]  # pages for the tests to visit, not tests
START_SECONDS = 60
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_HERE = {"127.0.0.1", "localhost"}
_SCRIPTS_ORIGIN = "http://scripts.test"

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
Handlers = dict[str, Callable[..., None]]  # by event


def chromium() -> str | None:
    """The Chromium to drive: the system's own, or the one that Playwright installed (None lets it choose)."""
    named = os.environ.get("BROWSER_PATH")
    return named or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    """An empty page of an origin that serves our scripts from disk and reaches nothing else: for functions
    that redraw a figure in the browser, tried without a server."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{_SCRIPTS_ORIGIN}/")
        if not name:
            route.fulfill(body="<!doctype html><title>scripts</title>", content_type="text/html")
        elif name == "tables.js":  # made by the server
            route.fulfill(body=tables(), content_type="text/javascript")
        else:
            route.fulfill(path=ROOT / "assets" / "js" / name, content_type="text/javascript")

    page = browser.new_page()
    page.route("**/*", answer)
    page.goto(f"{_SCRIPTS_ORIGIN}/")
    yield page
    page.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve(app_path, env={}, fresh=False) -> url`: a server of that app, shared by the whole session.

    `app_path` is relative to the repository. `fresh=True` starts another, as after a restart.
    """
    running: dict[object, str] = {}
    processes: list[subprocess.Popen[bytes]] = []
    logs = tmp_path_factory.mktemp("servers")

    def start(app_path: str, env: Mapping[str, str] | None = None, fresh: bool = False) -> str:
        key = (app_path, tuple(sorted((env or {}).items())))
        if fresh or key not in running:
            log = logs / f"{len(processes)}.log"
            process, running[key] = _start(app_path, env or {}, log)
            processes.append(process)
            _wait_until_healthy(process, running[key], log)
        return running[key]

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def resting(browser: Browser) -> Iterator[list[Page]]:
    """The tab that waits for the next test, if there is one: a new one costs Chromium twice the work, as it
    compiles Streamlit and plotly again."""
    tabs: list[Page] = []
    yield tabs
    for page in tabs:
        page.context.close()


@pytest.fixture
def open_page(browser: Browser, resting: list[Page]) -> Iterator[OpenPage]:
    """`open_page(url, width=1440, height=900, dark=False, allow=(), fresh=False) -> Page`, watched until the
    test ends.

    The first page of a test is the resting tab, emptied (`fresh=True`: a new one), others have a browser of
    their own. `allow` lists regular expressions of console messages that the test expects.
    """
    opened: list[tuple[Page, list[str], Handlers]] = []

    def open_one(
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        allow: tuple[str, ...] = (),
        fresh: bool = False,
    ) -> Page:
        page = resting.pop() if resting and not fresh else browser.new_context().new_page()
        problems: list[str] = []
        opened.append((page, problems, _watch(page, problems, allow)))
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.goto(url)
        return page

    yield open_one
    found = []
    for page, problems, handlers in opened:
        found += problems
        for event, handler in handlers.items():
            page.remove_listener(event, handler)
        if resting or not _emptied(page):
            page.context.close()
        else:
            resting.append(page)
    assert not found


def _emptied(page: Page) -> bool:
    """The tab as a new one: nothing stored, allowed, behind it or under the mouse. False: it cannot be."""
    if page.is_closed():
        return False
    for other in page.context.pages:
        if other is not page:
            other.close()
    page.unroute_all()
    try:
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.context.new_cdp_session(page).send("Page.resetNavigationHistory")
    except Error:  # the page crashed, or is one without a store
        return False
    page.context.clear_cookies()
    page.context.clear_permissions()
    return True


def _watch(page: Page, problems: list[str], allow: tuple[str, ...]) -> Handlers:
    def note(problem: str) -> None:
        if not any(re.search(pattern, problem) for pattern in allow):
            problems.append(problem)

    def request(asked: str) -> None:
        parts = urlsplit(asked)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in _HERE:
            note(f"request to the outside: {asked}")

    def dialog(shown: Dialog) -> None:
        note(f"dialog: {shown.message}")
        shown.dismiss()

    handlers: Handlers = {
        "request": lambda asked: request(asked.url),
        "websocket": lambda socket_: request(socket_.url),
        "pageerror": lambda error: note(f"uncaught: {error}"),
        "console": lambda message: note(f"console: {message.text}") if message.type == "error" else None,
        "dialog": dialog,
    }
    for event, handler in handlers.items():
        page.on(event, handler)
    return handlers


def _start(app_path: str, env: Mapping[str, str], log: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / app_path),
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
        "--server.headless",
        "true",
        "--server.fileWatcherType",
        "none",
        "--browser.gatherUsageStats",
        "false",
    ]
    paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH", "")) if path)
    full = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **env}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=full, stdout=output, stderr=subprocess.STDOUT)
    return process, f"http://127.0.0.1:{port}"


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"The server did not start.\n{log.read_text(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
