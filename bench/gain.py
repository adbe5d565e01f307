"""Stability in Chromium: from letting go of the gain's slider to the changed figure."""

from __future__ import annotations

import statistics

from playwright.sync_api import Browser, Page, sync_playwright

from bench.attention import visit, watch
from bench.browser import DRAWN, FLAGS, server
from bench.measure import Row
from pages.shared.figure.renderer import find_browser
from pages.shared.settings.table import DEFAULT_PROMPT

MOVES = 15
SLIDER = '[data-testid="stSlider"] input[type="range"]'


def moved_gain(browser: Browser, port: int) -> Row:
    """One step of the slider by the arrow key, the page at rest in between."""
    page = visit(browser, port, "stability", stability="order", prompt=DEFAULT_PROMPT)
    page.wait_for_function(DRAWN % 3, timeout=120_000)
    page.wait_for_timeout(3_000)
    values = [moved(page) for _ in range(MOVES)]
    values.sort()
    return Row(
        f"gain slider let go to the changed figure, {len(DEFAULT_PROMPT.split())} words of prompt",
        statistics.median(values),
        "ms",
        200,
        f"median of {MOVES} moves; {values[-2]:.0f} ms for the second slowest",
    )


def moved(page: Page) -> float:
    page.locator(SLIDER).first.focus()
    page.wait_for_timeout(600)
    page.evaluate(watch("order-products", "keyup"))
    page.keyboard.press("ArrowRight")
    return float(page.evaluate("window.gfChanged"))


def rows() -> list[Row]:
    with server("app.py") as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        found = [moved_gain(browser, port)]
        browser.close()
    return found
