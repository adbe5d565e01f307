"""Tokens and Attention in Chromium: a click on a head to its picture, and the bytes of every part."""

from __future__ import annotations

import os
import shutil
import statistics
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

from bench.browser import DRAWN, FLAGS, server
from bench.measure import Row
from pages.shared.frame.contents import entry_of
from pages.shared.settings.table import DEFAULT_PROMPT

CLICKS = 15
PAGES = ("tokens", "attention")
LONG_PROMPT = " ".join(f"{n} cats met {n + 1} dogs in street {n}." for n in range(1, 62))  # about 900 tokens
# The middle of a cell of the overview, in pixels of the window.
CELL = """([layer, head]) => {
  const plot = document.querySelector('.gf-figure[data-key="heads"] .js-plotly-plot')
  const { xaxis, yaxis } = plot._fullLayout
  const box = plot.getBoundingClientRect()
  return [box.x + xaxis._offset + xaxis.c2p(head), box.y + yaxis._offset + yaxis.c2p(layer)]
}"""


def watch(key: str, event: str) -> str:
    """A script: milliseconds from the next `event` to the end of the frame in which figure `key` says another
    title, as the promise `window.gfChanged`."""
    return """() => {
  window.gfStart = null
  const start = event => { window.gfStart = event.timeStamp }
  addEventListener("EVENT", start, { capture: true, once: true })
  const plot = document.querySelector('.gf-figure[data-key="KEY"] .js-plotly-plot')
  const before = plot.layout.title.text
  window.gfChanged = new Promise(done => {
    const look = () => {
      if (plot.layout.title.text === before) return
      plot.removeListener("plotly_afterplot", look)
      requestAnimationFrame(() => setTimeout(() => done(performance.now() - window.gfStart)))
    }
    plot.on("plotly_afterplot", look)
  })
}""".replace("EVENT", event).replace("KEY", key)


def visit(browser: Browser, port: int, page: str, **link: object) -> Page:
    tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    tab.goto(f"http://127.0.0.1:{port}/{page}?{urlencode(link)}")
    return tab


def clicked_head(browser: Browser, port: int, name: str, prompt: str) -> Row:
    """Another head of another layer at every click, the pages at rest in between."""
    page = visit(browser, port, "attention", prompt=prompt, layer=0, head=0)
    page.wait_for_function(DRAWN % 2, timeout=120_000)
    page.wait_for_timeout(3_000)
    values = []
    for number in range(CLICKS):
        x, y = page.evaluate(CELL, [8 + number, (number * 4) % 9])
        page.mouse.move(x, y)
        page.wait_for_timeout(600)
        page.evaluate(watch("pattern", "pointerdown"))
        page.mouse.click(x, y)
        values.append(float(page.evaluate("() => window.gfChanged")))
    page.context.close()
    detail = f"{CLICKS} heads; 9 of 10 within {sorted(values)[CLICKS * 9 // 10]:.0f} ms"
    return Row(f"click on a head to its map, {name}", statistics.median(values), "ms", 300, detail)


def largest_message(browser: Browser, port: int, page: str, link: dict[str, object]) -> int:
    """Bytes of the largest message of a first visit: a figure travels in one. (Uncompressed.)"""
    sizes = [0]

    def watch(payload: str | bytes) -> None:
        sizes.append(len(payload))

    tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    tab.on("websocket", lambda socket: socket.on("framereceived", watch))
    tab.goto(f"http://127.0.0.1:{port}/{page}?{urlencode(link)}")
    tab.get_by_text("Where this comes from").first.wait_for(timeout=180_000)  # stands below the figures
    tab.wait_for_timeout(500)
    tab.context.close()
    return max(sizes)


def bytes_of_parts(browser: Browser, port: int, page: str, name: str, prompt: str) -> Row:
    entry = entry_of(page)
    kilobytes = {
        part.key: largest_message(browser, port, page, {"prompt": prompt, entry.setting: part.key}) / 1000
        for part in entry.parts
    }
    detail = ", ".join(f"{part} {value:.0f}" for part, value in kilobytes.items())
    what = f"largest figure of {page.capitalize()} as sent, {name}"
    return Row(what, max(kilobytes.values()), "kB", 500, f"uncompressed, by part: {detail}")


def rows() -> list[Row]:
    path = os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    prompts = {"9 tokens": DEFAULT_PROMPT, "900 tokens": LONG_PROMPT}
    with sync_playwright() as playwright, server("app.py") as port:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        found = [clicked_head(browser, port, name, prompt) for name, prompt in prompts.items()]
        found += [
            bytes_of_parts(browser, port, page, *prompt) for page in PAGES for prompt in prompts.items()
        ]
        browser.close()
    return found
