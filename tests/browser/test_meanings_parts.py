"""The parts "map" and "senses" in Chromium: a click chooses a point or a block, and all fits on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import drawn, wait_for

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000
PLACE = """([key, name, number]) => {
  const plot = document.querySelector(`.gf-figure[data-key="${key}"] .js-plotly-plot`)
  const at = plot._fullData.findIndex(trace => trace.name === name)
  const { xaxis, yaxis } = plot._fullLayout
  const box = plot.getBoundingClientRect()
  const one = plot.calcdata[at][number]
  return [box.x + xaxis._offset + xaxis.c2p(one.x), box.y + yaxis._offset + yaxis.c2p(one.y)]
}"""


def click_point(page: Page, key: str, trace: str, number: int) -> None:
    page.locator(f'.gf-figure[data-key="{key}"]').scroll_into_view_if_needed()
    x, y = page.evaluate(PLACE, [key, trace, number])
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_a_point_is_chosen_and_named(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/embeddings?space=map", allow=PROBES)
    drawn(page, "projection-2d")
    click_point(page, "projection-2d", "numbers", 0)
    wait_for(page, point="30")
    expect(page.get_by_text("Nearest to “one”").first).to_be_visible(timeout=WAIT)


def test_a_depth_chooses_the_block(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/embeddings?space=senses", allow=PROBES)
    drawn(page, "sense-curves")
    click_point(page, "sense-curves", "sentences 1 and 3", 9)
    wait_for(page, layer="8")
    expect(page.get_by_text("After block 8, sentences").first).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize(("part", "figure"), [("map", "projection-2d"), ("senses", "sense-curves")])
def test_parts_stay_within_a_phone(serve: Serve, open_page: OpenPage, part: str, figure: str) -> None:
    url = f"{serve('app.py')}/embeddings?space={part}"
    page = open_page(url, width=390, height=844, dark=True, allow=PROBES)
    drawn(page, figure)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
