"""The next-token page in a real browser: drag, click, append, write, stop, compare, a phone, hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_shell import HOSTILE, PROBES, parameter, wait_for_parameter

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
FIGURE = '.gf-figure[data-key="next-token"]'
PLOT = f"document.querySelector('{FIGURE} .gf-plot')"
WAIT = 60_000


@pytest.fixture
def open_next_token(serve: Serve, open_page: OpenPage) -> OpenPage:
    """The page at a link, once its last figure is drawn and the browser has the logits."""

    def open_link(width: int = 1440, dark: bool = False, **link: str) -> Page:
        link = {"prompt": "The capital of France is", **link}
        page = open_page(
            f"{serve('app.py')}/next-token?{urlencode(link)}", width=width, dark=dark, allow=PROBES
        )
        page.locator('.gf-figure[data-key="temperatures"][data-drawn]').wait_for(timeout=WAIT)
        page.wait_for_function(
            f"document.querySelector('{FIGURE} .gf-words').textContent !== ''", timeout=WAIT
        )
        return page

    return open_link


def title(page: Page) -> str:
    found: str = page.evaluate(f"{PLOT}.layout.title.text")
    return found


def slider(page: Page, label: str):  # type: ignore[no-untyped-def]
    return page.locator(FIGURE).get_by_role("slider", name=label)


def row(page: Page, number: int) -> tuple[float, float]:
    """Where a candidate's row is on the screen."""
    x, y = page.evaluate(
        f"""() => {{
          const plot = {PLOT}, layout = plot._fullLayout, place = plot.getBoundingClientRect()
          return [place.x + layout.xaxis2._offset + 150,
                  place.y + layout.yaxis2._offset + layout.yaxis2.d2p({number})]
        }}"""
    )
    return x, y


def test_the_picture_moves_in_place_during_the_drag_and_the_link_at_release(
    open_next_token: OpenPage,
) -> None:
    page = open_next_token(temperature="0.5", top_p="1")
    page.evaluate(f"window.kept = {PLOT}.querySelector('.main-svg')")
    before = title(page)
    box = slider(page, "Temperature").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.25 * box["width"], middle)
    page.mouse.down()
    titles = set()
    for step in range(8):
        page.mouse.move(box["x"] + (0.25 + 0.07 * step) * box["width"], middle)
        page.wait_for_timeout(150)
        titles.add(title(page))
    assert len(titles) >= 5
    assert parameter(page, "temperature") == "0.5"  # no server was needed
    page.mouse.up()
    page.wait_for_function("new URLSearchParams(location.search).get('temperature') !== '0.5'", timeout=WAIT)
    assert title(page) != before
    assert page.evaluate(f"window.kept === {PLOT}.querySelector('.main-svg')")


def test_arrow_keys_move_a_slider_and_what_is_cut_stays_on_screen(open_next_token: OpenPage) -> None:
    page = open_next_token(temperature="1", top_p="1", top_k="3")
    assert "3 of 49,152 tokens left" in title(page)
    shares = page.evaluate(f"{PLOT}.data.find((trace) => trace.name === 'shares').text")
    assert [text.strip() for text in shares[3:6]] == ["cut by top-k"] * 3
    slider(page, "Top-k").press("ArrowLeft")
    wait_for_parameter(page, "top_k", "2")
    page.wait_for_function(f"{PLOT}.layout.title.text.includes('2 of 49,152')", timeout=WAIT)


def test_no_cell_vanishes_and_the_longest_bar_is_seen_wherever_the_slider_stands(
    open_next_token: OpenPage,
) -> None:
    """Every text that the picture holds stands in it, as often: left, cut, nats, choices, labels, shares."""
    page = open_next_token(temperature="0.8", top_p="0.9")
    for moves in range(8):
        slider(page, "Temperature").focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(250)
        drawn, wanted, longest = page.evaluate(
            f"""() => {{
              const plain = text => text.replace(/<[^>]*>/g, "").trim()
              const traces = {PLOT}.data.filter(({{ name }}) => ["numbers", "shares"].includes(name))
              return [
                [...{PLOT}.querySelectorAll(".scatterlayer text")].map(text => plain(text.textContent)),
                traces.flatMap(({{ text }}) => text).map(plain),
                {PLOT}.data.find(({{ name }}) => name === "final").x[0] / {PLOT}.layout.xaxis2.range[1],
              ]
            }}"""
        )
        assert sorted(filter(None, drawn)) == sorted(filter(None, wanted)), moves
        assert longest > 0.08


def test_a_click_selects_append_goes_on_and_undo_comes_back(open_next_token: OpenPage) -> None:
    page = open_next_token(temperature="1", top_p="1")
    page.mouse.click(*row(page, 1))
    page.wait_for_function("new URLSearchParams(location.search).get('candidate') !== '-1'", timeout=WAIT)
    expect(page.get_by_text("number 2 of 49,152")).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Append to the prompt").click()
    wait_for_parameter(page, "prompt", "The capital of France is the")
    wait_for_parameter(page, "candidate", "-1")
    page.get_by_role("button", name="Undo").click()
    wait_for_parameter(page, "prompt", "The capital of France is")


def test_writing_streams_and_stops_when_asked(open_next_token: OpenPage) -> None:
    page = open_next_token(max_new_tokens="400", temperature="3", top_p="1", seed="5")
    written = page.locator(".gf-written > span")
    page.get_by_role("button", name="Generate").click()
    expect(written.nth(2)).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("ended: asked to stop")).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("tokens/s").first).to_contain_text("first after")
    count = written.count()
    assert 3 <= count < 400
    page.wait_for_timeout(1_500)
    assert written.count() == count


def test_a_link_with_a_pinned_run_draws_both(open_next_token: OpenPage) -> None:
    pin = json.dumps({"prompt": "The capital of France is", "temperature": "3", "top_p": "1"})
    page = open_next_token(pin=pin)
    assert page.evaluate(f"{PLOT}.data.map((trace) => trace.name)")[-3:] == ["pinned", "difference", "points"]
    expect(page.get_by_text("The two runs must differ")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_inside_its_width(open_next_token: OpenPage, dark: bool) -> None:
    page = open_next_token(width=390, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(f"{FIGURE} .gf-plot").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_hostile_prompts_and_tokens_stay_text(open_next_token: OpenPage) -> None:
    page = open_next_token(prompt=HOSTILE, max_new_tokens="5")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_text("ended:")).to_be_visible(timeout=WAIT)
    assert page.title() != "owned"
    assert page.locator("img[src='x']").count() == 0


def test_the_answer_s_numbers_are_what_the_page_shows(open_next_token: OpenPage) -> None:
    prompt = "a fluffy blue creature roamed the verdant forest"
    for link, left in (
        ({"top_p": "0.9"}, "13 of 49,152"),
        ({"top_p": "1", "min_p": "0.1"}, "3 of 49,152"),
    ):
        page = open_next_token(prompt=prompt, temperature="10", order="refkpmyt", **link)
        assert left in title(page)
