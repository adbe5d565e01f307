"""Clicks in the parts "lines", "masks" and "groups" choose token, key, head and mask; all fit on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import click, drawn, wait_for

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000
MIDDLE_OF_BAR = """([key, name, number]) => {
  const plot = document.querySelector(`.gf-figure[data-key="${key}"] .js-plotly-plot`)
  const at = plot._fullData.findIndex(trace => trace.name === name)
  const { xaxis: xa, yaxis: ya } = plot._fullLayout._plots[plot._fullData[at].xaxis +
  plot._fullData[at].yaxis]
  const one = plot.calcdata[at][number]
  const box = plot.getBoundingClientRect()
  return [box.x + xa._offset + xa.c2p(one.b + one.s / 2), box.y + ya._offset + ya.c2p(one.p)]
}"""

# Tables that stand out of their box where it does not scroll.
TABLES_OUT_OF_REACH = """[...document.querySelectorAll('[data-testid="stMarkdownContainer"]:has(> table)')]
  .filter(box => box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "auto")
  .map(box => box.textContent.slice(0, 80))"""


def click_bar(page: Page, key: str, trace: str, number: int) -> None:
    page.locator(f'.gf-figure[data-key="{key}"]').scroll_into_view_if_needed()
    x, y = page.evaluate(MIDDLE_OF_BAR, [key, trace, number])
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_lines_choose_reader_key_and_head(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?part=lines&layer=24&head=4", allow=PROBES)
    drawn(page, "lines")
    click_bar(page, "lines", "queries", 6)
    wait_for(page, token="6")
    expect(page.get_by_text("“·knew” reads").first).to_be_visible(timeout=WAIT)
    page.wait_for_timeout(500)
    click_bar(page, "lines", "keys", 3)
    wait_for(page, token="6", key="3")
    page.wait_for_timeout(500)
    click_bar(page, "tops", "heads", 7)
    wait_for(page, head="7")


def test_masks_and_groups_are_chosen_by_click(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?part=masks&layer=24&head=4", allow=PROBES)
    drawn(page, "masks")
    wait_for(page, mask="bidirectional")
    click(page, "masks", "Prefix of 4", [7, 2])
    wait_for(page, mask="prefix")
    page.goto(f"{serve('app.py')}/attention?part=groups&layer=24&head=4")
    drawn(page, "overlap")
    click(page, "overlap", "overlap", [8, 2])
    wait_for(page, head="8")


@pytest.mark.parametrize("part", ["lines", "masks", "groups", "cost"])
def test_parts_stay_within_a_phone(serve: Serve, open_page: OpenPage, part: str) -> None:
    first = {"lines": "lines", "masks": "masks", "groups": "groups", "cost": "work"}[part]
    page = open_page(
        f"{serve('app.py')}/attention?part={part}", width=390, height=844, dark=True, allow=PROBES
    )
    drawn(page, first)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(TABLES_OUT_OF_REACH) == []
