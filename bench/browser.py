"""The app in a real headless Chromium: first figure, changed figures, frames of a drag, bytes on the wire."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.measure import Row
from bench.wire import CountingProxy
from model_runtime import load_model
from model_runtime.model import Model

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PROMPTS = (
    "The capital of France is",
    "Once upon a time there was a",
    "Water boils at a temperature of",
    "She opened the door and saw",
    "The three primary colours are red,",
    "In the beginning God created the",
    "My favourite season of the year is",
    "A triangle has three",
    "To be or not to be, that is the",
)

DRAWN = "() => [...document.querySelectorAll('.gf-plot .main-svg')].length >= %d"
# Resolves with the milliseconds from `act` (a real event sent by the test) to the end of the frame in which
# the last of the page's `count` figures had changed.
WATCH = """
count => {
  window.gfStart = null
  const start = event => { window.gfStart ??= event.timeStamp }
  for (const name of ["keydown", "pointerdown"]) addEventListener(name, start, { capture: true, once: true })
  const plots = [...document.querySelectorAll(".gf-figure .js-plotly-plot")].slice(0, count)
  window.gfChanged = Promise.all(plots.map(plot => new Promise(done => {
    const before = JSON.stringify([plot.layout.title, plot.data.map(trace => trace.z ?? trace.x)])
    const look = () => {
      if (JSON.stringify([plot.layout.title, plot.data.map(trace => trace.z ?? trace.x)]) === before) return
      plot.removeListener("plotly_afterplot", look)
      done()
    }
    plot.on("plotly_afterplot", look)
  }))).then(() => new Promise(done => requestAnimationFrame(() => setTimeout(() => {
    done(performance.now() - window.gfStart)
  }))))
}
"""
# The work of each frame of a drag: from the input event to the end of Plotly's drawing.
FRAMES = """
name => {
  window.gfFrames = []
  const frame = document.querySelector(`.gf-figure[data-key="${name}"]`)
  const plot = frame.querySelector(".js-plotly-plot")
  let began = null
  frame.addEventListener("input", () => { began ??= performance.now() }, { capture: true })
  plot.on("plotly_afterplot", () => {
    if (began !== null) window.gfFrames.push(performance.now() - began)
    began = null
  })
}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(app: str, house: Path = ROOT) -> Iterator[int]:
    """A server of `app` in the checkout `house` on a free port, answering when the block begins."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(house / app)]
    command += ["--server.port", str(port), "--server.address", "127.0.0.1"]
    process = subprocess.Popen(
        command,
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("The server did not start; run `streamlit run app.py` to see why.")


def open_page(browser: Browser, url: str, figures: int) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    page.wait_for_function(DRAWN % figures, timeout=120_000)
    return page


def changed(page: Page, figures: int, act: Callable[[], None]) -> float:
    """Milliseconds from the event that `act` sends until all figures show their new picture."""
    page.evaluate(WATCH, figures)
    act()
    return float(page.evaluate("() => window.gfChanged"))


def first_figure(browser: Browser) -> Row:
    """From the start of the server process to a drawn figure in the browser, model converted."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        with server("app.py") as port:
            page = open_page(browser, f"http://127.0.0.1:{port}", 1)
            seconds.append(time.perf_counter() - start)
            page.context.close()
    detail = "median of 3: " + ", ".join(f"{value:.1f}" for value in seconds)
    return Row("process start to first figure", statistics.median(seconds), "s", 5, detail)


def first_page_bytes(browser: Browser, port: int) -> Row:
    proxy = CountingProxy(port)
    page = open_page(browser, proxy.url, 1)
    page.wait_for_timeout(2_000)
    page.context.close()
    proxy.close()
    return Row("bytes of the first page over the wire", proxy.received / 1e6, "MB", 3, "empty cache, Home")


def changed_figures(browser: Browser) -> list[Row]:
    """A key on a plain slider to changed figures, through the server."""
    found = []
    with server("bench/apps/figures_app.py") as port:
        for figures, reach in ((1, 150), (5, 250)):
            page = open_page(browser, f"http://127.0.0.1:{port}/?figures={figures}", figures)
            handle = page.locator('[data-testid="stSlider"] input[type=range]')
            handle.focus()
            values = []
            for _ in range(15):
                values.append(changed(page, figures, lambda page=page: page.keyboard.press("ArrowRight")))
                page.wait_for_timeout(150)
            noun = "figure" if figures == 1 else "figures"
            detail = f"attention patterns; 9 of 10 within {sorted(values)[13]:.0f} ms"
            found.append(
                Row(f"key to {figures} changed {noun}", statistics.median(values), "ms", reach, detail)
            )
            page.context.close()
    return found


def drag_frames(page: Page) -> Row:
    """Frames of the Next token figure while temperature is dragged: all of the vocabulary, in the browser."""
    slider = page.locator('.gf-figure[data-key="next-token"] input[type=range]').first
    page.evaluate(FRAMES, "next-token")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.01 * step), middle)
        page.wait_for_timeout(20)
    page.mouse.up()
    frames = page.evaluate("() => window.gfFrames")
    detail = (
        f"{len(frames)} frames of 60 steps; 9 of 10 within {sorted(frames)[len(frames) * 9 // 10]:.0f} ms"
    )
    return Row("frame while dragging temperature", statistics.median(frames), "ms", 33, detail)


def changed_prompt(page: Page, model: Model) -> Row:
    """A new prompt to the changed figure, less the time of the bare forward on the same prompt."""
    box = page.get_by_label("Prompt", exact=True)
    overheads = []
    for prompt in PROMPTS:
        box.fill(prompt)
        milliseconds = changed(page, 1, lambda: box.press("Enter"))
        model.trace(prompt)
        forward = statistics.median(model.trace(prompt).seconds * 1000 for _ in range(3))
        overheads.append(milliseconds - forward)
        page.wait_for_timeout(1_500)
    return Row(
        "changed prompt to changed figure, less the forward",
        statistics.median(overheads),
        "ms",
        250,
        f"Next token page, {len(PROMPTS)} prompts; slowest {max(overheads):.0f} ms",
    )


def rows() -> list[Row]:
    path = os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        found = [first_figure(browser), *changed_figures(browser)]
        with server("app.py") as port:
            found.append(first_page_bytes(browser, port))
            page = open_page(browser, f"http://127.0.0.1:{port}/next-token", 1)
            page.wait_for_timeout(2_000)
            found.append(drag_frames(page))
            found.append(changed_prompt(page, load_model()))
        browser.close()
    return found
