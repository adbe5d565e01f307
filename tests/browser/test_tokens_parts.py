"""Parts of the Tokens page in Chromium: a brick chooses its token, merges go step by step, all in place."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import PROBES, WAIT, OpenPage, Serve, click, drawn, wait_for

pytestmark = pytest.mark.browser

PROMPT = "a fluffy blue creature roamed the verdant forest"


def link(serve: Serve, part: str, **parameters: str) -> str:
    query = urlencode({"lesson": part, "prompt": PROMPT, "layer": "3", "head": "1", **parameters})
    return f"{serve('app.py')}/tokens?{query}"


def within_the_screen(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_brick_chooses_its_token(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(link(serve, "built", token="7"), allow=PROBES)
    drawn(page, "merges")
    expect(page.get_by_text("“d” is 1 byte")).to_be_visible(timeout=WAIT)
    click(page, "merges", "rest of the word", 0)  # the space of " ver"
    wait_for(page, token="6")
    expect(page.get_by_text("“·ver” is made of 4 bytes in 3 merges")).to_be_visible(timeout=WAIT)
    expect(page.get_by_label("Token", exact=True)).to_have_value("6", timeout=WAIT)  # the sidebar follows


def test_training_steps_by_keyboard_and_by_click(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(link(serve, "train", merges="0"), width=390, height=844, allow=PROBES)
    drawn(page, "bpe-training")
    assert within_the_screen(page)
    page.locator('[data-testid="stSlider"] input[type=range]').focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, merges="1")
    expect(page.locator(".gf-pieces .gf-new").first).to_have_text("re", timeout=WAIT)
    expect(page.locator(".gf-pieces .gf-new")).to_have_count(3, timeout=WAIT)
    page.get_by_role("button", name="One merge more").click()
    wait_for(page, merges="2")
    expect(page.locator(".gf-pieces .gf-new").first).to_have_text("·f", timeout=WAIT)


def test_the_wrong_tokenizer_fits_a_phone(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(link(serve, "fed", fed="cl100k"), width=390, height=844, dark=True, allow=PROBES)
    drawn(page, "swaps")
    drawn(page, "surprise")
    assert within_the_screen(page)
    expect(page.get_by_text("beyond the table, which ends at 49,151").first).to_be_visible(timeout=WAIT)
