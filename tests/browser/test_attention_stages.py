"""Stages and number in Chromium: a hover lights up the same tokens everywhere, a click chooses."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import POINT_OF, PROBES, OpenPage, Serve, click, drawn, wait_for

pytestmark = pytest.mark.browser

BANDS = """() => [...document.querySelectorAll('.gf-figure[data-key="stages"] .gf-band')].map(node =>
  [node.offsetLeft, node.offsetTop, node.offsetWidth, node.offsetHeight])"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def open_part(serve: Serve, open_page: OpenPage, part: str, **window: object) -> Page:
    return open_page(f"{serve('app.py')}/attention?layer=24&head=4&part={part}", allow=PROBES, **window)


def test_one_selection_in_all_matrices(serve: Serve, open_page: OpenPage) -> None:
    page = open_part(serve, open_page, "stages")
    drawn(page, "stages")
    x, y = page.evaluate(POINT_OF, ["stages", "dot products", [5, 2]])
    page.mouse.move(x, y)
    page.wait_for_function("document.querySelectorAll('.gf-band').length > 0")
    # The query's row in q, dots, scaled, mask, softmax, z, result; the key's in k, v and four columns.
    bands = page.evaluate(BANDS)
    assert len(bands) == 13
    assert all(width > 0 and height > 0 for _, _, width, height in bands)
    click(page, "stages", "dot products", [5, 2])
    wait_for(page, token="5", key="2")
    expect(page.get_by_text("“·everyone” reads “When”").first).to_be_visible(timeout=60_000)
    click(page, "stages", "mask, hidden", [5, 7])
    wait_for(page, token="5", key="7")
    page.mouse.move(5, 5)
    expect(page.locator(".gf-band")).to_have_count(0)


def test_the_scale_is_taken_off_step_by_step(serve: Serve, open_page: OpenPage) -> None:
    page = open_part(serve, open_page, "stages", width=390)
    drawn(page, "stages-scale")
    figure = page.locator('.gf-figure[data-key="stages-scale"]')
    expect(figure.locator(".gf-words")).to_contain_text("Divided by 8 (√64), as this model does")
    figure.get_by_label("Step").fill("12")
    expect(figure.locator(".gf-words")).to_contain_text("Not divided")
    assert page.evaluate(OVERFLOW) == 0


def test_a_bar_chooses_the_key_of_the_equation(serve: Serve, open_page: OpenPage) -> None:
    page = open_part(serve, open_page, "number", dark=True)
    drawn(page, "number-row")
    click(page, "number-row", "other keys", 0)
    wait_for(page, key="0")
    expect(page.locator('.gf-figure[data-key="number-row"]')).to_contain_text("7.90")
    assert page.locator(".katex-error").count() == 0
