"""Home and Attention in Chromium: clicks lead to pages and selections, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000
POINT_OF = """([key, name, number]) => {
  const plot = document.querySelector(`.gf-figure[data-key="${key}"] .js-plotly-plot`)
  const at = plot._fullData.findIndex(trace => trace.name === name)
  const trace = plot._fullData[at]
  const { xaxis: xa, yaxis: ya } = plot._fullLayout._plots[trace.xaxis + trace.yaxis]
  const cd = plot.calcdata[at]
  const box = plot.getBoundingClientRect()
  const [x, y] = Array.isArray(number)
    ? [(cd[0].x[number[1]] + cd[0].x[number[1] + 1]) / 2, (cd[0].y[number[0]] + cd[0].y[number[0] + 1]) / 2]
    : trace.orientation === "h"
      ? [(cd[number].b + cd[number].b + cd[number].s) / 2, cd[number].p]
      : [cd[number].p, cd[number].b + cd[number].s / 10]
  return [box.x + xa._offset + xa.c2p(x), box.y + ya._offset + ya.c2p(y)]
}"""


def drawn(page: Page, key: str) -> None:
    expect(page.locator(f'.gf-figure[data-key="{key}"] .main-svg').first).to_be_visible(timeout=WAIT)
    page.wait_for_function(
        "key => Number(document.querySelector(`.gf-figure[data-key='${key}']`).dataset.drawn) > 0",
        arg=key,
        timeout=WAIT,
    )
    page.wait_for_timeout(400)


def click(page: Page, key: str, trace: str, point: int | list[int]) -> None:
    page.locator(f'.gf-figure[data-key="{key}"]').scroll_into_view_if_needed()
    x, y = page.evaluate(POINT_OF, [key, trace, point])
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def wait_for(page: Page, **parameters: str) -> None:
    for name, value in parameters.items():
        page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value",
            arg=[name, value],
            timeout=WAIT,
        )


def test_home_leads_to_tokens_blocks_and_candidates(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1", allow=PROBES)
    drawn(page, "forward-pass")
    click(page, "forward-pass", "tokens", 2)
    wait_for(page, token="2")
    expect(page.get_by_text("Selected is token 2")).to_be_visible(timeout=WAIT)
    click(page, "forward-pass", "blocks", 12)
    wait_for(page, layer="12", token="2")
    assert urlsplit(page.url).path == "/attention"
    page.go_back()
    drawn(page, "forward-pass")
    click(page, "forward-pass", "next token", 1)
    page.wait_for_url("**/next-token?*", timeout=WAIT)
    assert int(parse_qs(urlsplit(page.url).query)["candidate"][0]) > 0


def test_home_by_keyboard(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1", allow=PROBES)
    drawn(page, "forward-pass")
    page.locator('.gf-figure[data-key="forward-pass"] .gf-stage').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for(page, token="1")


def test_home_on_a_phone_runs_downwards_within_the_screen(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1", width=390, height=844, allow=PROBES)
    drawn(page, "forward-pass")
    running = "document.querySelector('.js-plotly-plot')._fullData.find(t => t.name === 'attention adds')"
    assert page.evaluate(f"{running}.orientation") == "h"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    click(page, "forward-pass", "tokens", 4)
    wait_for(page, token="4")


def test_attention_clicks_choose_head_and_query(serve: Serve, open_page: OpenPage) -> None:
    link = urlencode({"prompt": "When Harry Potter arrived, everyone knew that Harry"})
    page = open_page(f"{serve('app.py')}/attention?{link}", allow=PROBES)
    drawn(page, "heads")
    drawn(page, "pattern")
    # Its induction head, since the link chose none, in the colours that show it.
    wait_for(page, layer="24", head="4", measure="induction")
    click(page, "heads", "heads", [16, 0])
    wait_for(page, layer="16", head="0")
    page.wait_for_timeout(500)
    click(page, "pattern", "pattern", [4, 1])
    wait_for(page, token="4", key="1")
    # The hover label over the clicked cell says who reads whom too.
    sentence = page.get_by_test_id("stMarkdown").filter(has_text="“,” reads")
    expect(sentence).to_be_visible(timeout=WAIT)


def test_a_head_of_the_list_is_chosen_in_its_measure(serve: Serve, open_page: OpenPage) -> None:
    link = urlencode({"prompt": "a fluffy blue creature roamed the verdant forest", "layer": 3, "head": 1})
    page = open_page(f"{serve('app.py')}/attention?{link}", allow=PROBES)
    drawn(page, "pattern")
    page.get_by_text("L16 H0 ·").click()
    wait_for(page, layer="16", head="0", measure="previous")
    expect(page.get_by_text("No token of this prompt comes twice.").first).to_be_visible(timeout=WAIT)


def test_a_head_switched_off_tells_its_effect(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?layer=16&head=0", allow=PROBES)
    drawn(page, "pattern")
    page.get_by_text("Switch L16 H0 off").click()
    wait_for(page, edits="h16.0*0")
    expect(page.get_by_text("Without L16 H0:")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("head 0 of layer 16 off", exact=True)).to_be_visible(timeout=WAIT)


def test_the_grid_s_cursor_begins_at_the_chosen_head(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?model=gpt2-mini&layer=2&head=1&part=heads", allow=PROBES)
    drawn(page, "heads")
    page.locator('.gf-figure[data-key="heads"] .gf-stage').focus()
    page.keyboard.press("ArrowRight")  # the cursor appears
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for(page, layer="2", head="2")
