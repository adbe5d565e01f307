"""Stability in Chromium: the gain moves the figures, a click on a layer reaches the sidebar, phones fit."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import drawn, wait_for

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
FIRST = {"order": "order-products", "softmax": "softmax-rows", "sums": "sum-errors"}
TITLE = "() => document.querySelector('[data-key=\"order-products\"] .js-plotly-plot').layout.title.text"

# The mark of a layer's first head in (q k^T) / sqrt(d), in pixels of the window.
LAYER = """layer => {
  const plot = document.querySelector('.gf-figure[data-key="breaking-gains"] .js-plotly-plot')
  const trace = plot.data.find(one => one.name === "(q kᵀ) / √d")
  const { xaxis, yaxis2 } = plot._fullLayout
  const box = plot.getBoundingClientRect()
  return [box.x + xaxis._offset + xaxis.d2p(trace.x[layer]), box.y + yaxis2._offset + yaxis2.d2p(layer)]
}"""


def visit(serve: Serve, open_page: OpenPage, part: str, **how: object) -> Page:
    server = serve("app.py")
    link = {"stability": part, "prompt": "When Harry Potter arrived", "layer": "24", "head": "4"}
    return open_page(f"{server}/stability?{urlencode(link)}", allow=PROBES, **how)


def test_the_overflow_appears_under_the_slider(serve: Serve, open_page: OpenPage) -> None:
    page = visit(serve, open_page, "order")
    drawn(page, "order-products")
    assert page.evaluate(TITLE) == "L24 H4 at gain 1: every order stays within fp16"
    slider = page.locator('[data-testid="stSlider"] input[type="range"]').first
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function(f"() => ({TITLE})().startsWith('L24 H4 at gain 128')")
    assert "overflows in fp16" in page.evaluate(TITLE)
    wait_for(page, gain="128")
    page.keyboard.press("Home")
    page.wait_for_function(f"() => ({TITLE})() === 'L24 H4 at gain 1: every order stays within fp16'")


def test_a_click_on_a_layer_chooses_it_everywhere(serve: Serve, open_page: OpenPage) -> None:
    page = visit(serve, open_page, "order")
    drawn(page, "breaking-gains")
    page.locator('.gf-figure[data-key="breaking-gains"]').scroll_into_view_if_needed()
    x, y = page.evaluate(LAYER, 7)
    page.mouse.move(x, y)
    page.mouse.click(x, y)
    wait_for(page, layer="7")
    expect(page.get_by_label("Layer", exact=True).first).to_have_value("7", timeout=30_000)
    page.wait_for_function(
        "() => document.querySelector('[data-key=\"order-products\"]').innerText.includes('L7 H4')"
    )


@pytest.mark.parametrize("part", FIRST)
def test_it_stays_within_a_phone(serve: Serve, open_page: OpenPage, part: str) -> None:
    page = visit(serve, open_page, part, width=390, height=844, dark=True)
    drawn(page, FIRST[part])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
