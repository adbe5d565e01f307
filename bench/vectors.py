"""Embeddings and Positions: the RoPE slider, whose picture moves in the browser, and the changed rotation."""

from __future__ import annotations

import os
import shutil
import statistics
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from bench.browser import DRAWN, FLAGS, FRAMES, server
from bench.measure import Row

STEPS = 60


def rope_drag(page: Page) -> Row:
    """Frames of the turning figure while its position is dragged: arrows and all clocks, no model run."""
    slider = page.locator('.gf-figure[data-key="turning"] input[type=range]').first
    page.evaluate(FRAMES, "turning")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    for step in range(STEPS):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.01 * step), middle)
        page.wait_for_timeout(20)
    page.mouse.up()
    frames = sorted(page.evaluate("() => window.gfFrames"))
    detail = f"{len(frames)} frames of {STEPS} steps; 9 of 10 within {frames[len(frames) * 9 // 10]:.0f} ms"
    return Row("frame while dragging the position of RoPE", statistics.median(frames), "ms", 33, detail)


def rows() -> list[Row]:
    path = os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, server("app.py") as port:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(f"http://127.0.0.1:{port}/positions?{urlencode({'place': 'rope'})}")
        page.wait_for_function(DRAWN % 3, timeout=120_000)
        page.wait_for_timeout(3_000)
        found = [rope_drag(page)]
        browser.close()
    return found
