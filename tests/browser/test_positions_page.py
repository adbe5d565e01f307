"""Positions in Chromium: another shuffle, the changed rotation, and every part on a phone."""

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
FIRST = {
    "order": "shuffled",
    "schemes": "schemes",
    "rope": "turning",
    "change": "twist-heads",
    "beyond": "length",
}
TITLE = "key => document.querySelector(`[data-key='${key}'] .js-plotly-plot`).layout.title.text"


def visit(serve: Serve, open_page: OpenPage, part: str, **how: object) -> Page:
    server = serve("app.py")
    link = {"place": part, "prompt": "the cat saw the dog", "model": "gpt2-mini" if part == "beyond" else ""}
    return open_page(
        f"{server}/positions?{urlencode({k: v for k, v in link.items() if v})}", allow=PROBES, **how
    )


def test_another_shuffle_is_another_picture_and_another_link(serve: Serve, open_page: OpenPage) -> None:
    page = visit(serve, open_page, "order")
    drawn(page, "order-next")
    before = page.evaluate(TITLE, "order-next")
    page.get_by_role("button", name="Another shuffle").click()
    wait_for(page, shuffle="2")
    page.wait_for_function(f"([key, before]) => ({TITLE})(key) !== before", arg=["order-next", before])


def test_positions_off_can_be_kept_for_every_page(serve: Serve, open_page: OpenPage) -> None:
    page = visit(serve, open_page, "change")
    drawn(page, "twist-heads")
    page.get_by_text("Off", exact=True).click()
    wait_for(page, twist="off")
    page.get_by_role("button", name="Keep this edit on every page").click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('edits')")
    expect(page.get_by_text("edited", exact=False).first).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("part", FIRST)
def test_it_stays_within_a_phone(serve: Serve, open_page: OpenPage, part: str) -> None:
    page = visit(serve, open_page, part, width=390, height=844, dark=True)
    drawn(page, FIRST[part])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
