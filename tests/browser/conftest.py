"""A real server and a real headless Chromium for every browser test.

    def test_something(serve, open_page):
        page = open_page(serve("app.py"), width=390, dark=True)

Every page is watched: a request that leaves this machine, an error on the console or an uncaught exception
fails the test that opened it.
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
from playwright.sync_api import Browser, Page, Route, sync_playwright

from pages.shared.figure.scripts import tables

ROOT = Path(__file__).resolve().parents[2]
collect_ignore_glob = ["apps/*"]  # pages for the tests to visit, not tests
START_SECONDS = 60
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_HERE = {"127.0.0.1", "localhost"}
_SCRIPTS_ORIGIN = "http://scripts.test"

Serve = Callable[..., str]
OpenPage = Callable[..., Page]


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


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(url, width=1440, height=900, dark=False, allow=()) -> Page`, watched until the test ends.

    `allow` lists regular expressions of console messages that the test expects. What was seen so far is in
    `page.problems`.
    """
    opened: list[tuple[Page, list[str]]] = []

    def open_one(
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        allow: tuple[str, ...] = (),
        **context: object,
    ) -> Page:
        scheme = "dark" if dark else "light"
        tab = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True, **context
        )
        page = tab.new_page()
        problems: list[str] = []
        _watch(page, problems, allow)
        opened.append((page, problems))
        page.goto(url)
        return page

    yield open_one
    found = []
    for page, problems in opened:
        page.context.close()
        found += problems
    assert not found


def _watch(page: Page, problems: list[str], allow: tuple[str, ...]) -> None:
    def note(problem: str) -> None:
        if not any(re.search(pattern, problem) for pattern in allow):
            problems.append(problem)

    def request(asked: str) -> None:
        parts = urlsplit(asked)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname not in _HERE:
            note(f"request to the outside: {asked}")

    page.on("request", lambda asked: request(asked.url))
    page.on("websocket", lambda socket_: request(socket_.url))
    page.on("pageerror", lambda error: note(f"uncaught: {error}"))
    page.on("console", lambda message: note(f"console: {message.text}") if message.type == "error" else None)


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
