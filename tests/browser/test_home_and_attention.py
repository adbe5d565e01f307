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


def test_home_opens_tokens_blocks_and_candidates_in_place(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1", allow=PROBES)
    drawn(page, "forward-pass")
    click(page, "forward-pass", "tokens", 2)
    wait_for(page, token="2")
    expect(page.get_by_text("Selected is token 2")).to_be_visible(timeout=WAIT)
    click(page, "forward-pass", "blocks", 12)
    wait_for(page, layer="12", token="2", opened="block")
    drawn(page, "block-change")
    assert urlsplit(page.url).path == "/", "nothing leaves the page without saying so"
    click(page, "forward-pass", "next token", 1)
    wait_for(page, opened="guess")
    guess = parse_qs(urlsplit(page.url).query)["guess"][0]
    expect(page.locator(".katex").first).to_be_visible(timeout=WAIT)
    expect(page.locator(".katex-error")).to_have_count(0)
    page.get_by_role("button", name="Open in Next token →").click()
    page.wait_for_url("**/next-token?*", timeout=WAIT)
    wait_for(page, candidate=guess)


WHERE = """() => {
  const ring = document.querySelector(".gf-walk-ring").getBoundingClientRect()
  const bar = document.querySelector(".gf-walk").getBoundingClientRect()
  return { x: ring.x, y: ring.y, bar: bar.bottom, height: innerHeight, next: bar.right }
}"""


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_the_walk_goes_on_and_back_and_leads_on(
    serve: Serve, open_page: OpenPage, width: int, height: int
) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1", width=width, height=height, allow=PROBES)
    drawn(page, "forward-pass")
    bar = page.locator(".gf-walk")
    onward = bar.locator(".gf-walk-next")
    onward.click()
    places = []
    for step in range(1, 7):
        expect(bar).to_contain_text(f"Step {step} of 6:")
        page.wait_for_timeout(700)  # a step's motion and the scrolling after it
        found = page.evaluate(WHERE)
        places.append((found["x"], found["y"]))
        assert 0 <= found["y"] <= found["height"], "what is lit is in view"
        assert found["bar"] <= found["height"] + 1, "and so is the bar"
        if step < 6:
            onward.click()
    assert len(set(places)) == 6, "the token travels"
    wait_for(page, step="6")
    bar.get_by_role("button", name="← Back").click()
    expect(bar).to_contain_text("Step 5 of 6:")
    wait_for(page, step="5")
    onward.click()
    expect(onward).to_have_text("Next: how text becomes tokens →")
    onward.click()
    page.wait_for_url("**/tokens?*", timeout=WAIT)


def test_the_walk_plays_only_if_asked_and_stops_when_touched(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?layer=3&head=1&step=2", allow=PROBES)
    drawn(page, "forward-pass")
    play = page.locator(".gf-walk-play")
    expect(play).to_have_text("Play")
    play.click()
    expect(play).to_have_text("Stop")
    page.keyboard.press("Shift")
    expect(play).to_have_text("Play")
    page.emulate_media(reduced_motion="reduce")
    expect(play).to_be_hidden()
    assert page.locator(".gf-walk-ring").evaluate("node => getComputedStyle(node).transitionDuration") == "0s"


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
    expect(page.get_by_text("Without L16 H0,")).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("button", name="head 0 of layer 16 off ✕")).to_be_visible(timeout=WAIT)


def test_the_grid_s_cursor_begins_at_the_chosen_head(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?model=gpt2-mini&layer=2&head=1&part=heads", allow=PROBES)
    drawn(page, "heads")
    page.locator('.gf-figure[data-key="heads"] .gf-stage').focus()
    page.keyboard.press("ArrowRight")  # the cursor appears
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for(page, layer="2", head="2")
