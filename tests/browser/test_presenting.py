"""One figure on the whole screen, by button and by keys; its controls beside it, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_shell import PROBES, drawn, wait_for_parameter

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
WAIT = 60_000
LINK = "attention?prompt=one+two+three&layer=3&head=8&token=2&part=heads&measure=induction"


def lettering(page: Page, figure: str) -> float:
    """The height in pixels of the smallest letters of a figure's axes, as they are on the screen."""
    return float(
        page.locator(f'.gf-figure[data-key="{figure}"] .ytick text').evaluate_all(
            "all => Math.min(...all.map(one => one.getBoundingClientRect().height))"
        )
    )


def test_keys_show_a_figure_and_step_through_tokens_heads_and_parts(
    serve: Serve, open_page: OpenPage
) -> None:
    page = open_page(f"{serve('app.py')}/{LINK}", width=1280, height=720, allow=PROBES)
    drawn(page, "Attention")
    page.locator('.gf-figure[data-key="pattern"][data-drawn]').wait_for(timeout=WAIT)
    before = lettering(page, "pattern")
    page.locator('.gf-figure[data-key="pattern"] .gf-present').click()
    presented = page.locator(".gf-presented")
    expect(presented).to_have_attribute("data-key", "pattern")
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    page.wait_for_function(
        "before => Math.min(...[...document.querySelectorAll('.gf-presented .ytick text')]"
        ".map(one => one.getBoundingClientRect().height)) > 1.2 * before",
        arg=before,
        timeout=WAIT,
    )
    assert presented.bounding_box()["height"] == 720  # type: ignore[index]
    expect(page.get_by_text("Switch L3 H8 off")).to_be_in_viewport()  # a control of the page, beside it
    page.keyboard.press("ArrowLeft")
    wait_for_parameter(page, "token", "1")
    page.keyboard.press("ArrowDown")
    wait_for_parameter(page, "layer", "4")  # head 8 is the layer's last one
    wait_for_parameter(page, "head", "0")
    page.keyboard.press("1")
    expect(presented).to_have_attribute("data-key", "heads")
    page.keyboard.press("PageDown")
    wait_for_parameter(page, "part", "stages")
    expect(presented).to_have_count(1, timeout=WAIT)
    expect(presented).not_to_have_attribute("data-key", "heads")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(presented).to_have_count(0)
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    page.locator(".gf-figure[data-drawn]").first.wait_for(timeout=WAIT)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("f")
    expect(presented).to_have_count(1)


def test_letters_typed_into_the_prompt_are_no_keys(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/{LINK}", allow=PROBES)
    drawn(page, "Attention")
    page.get_by_role("textbox", name="Prompt").press_sequentially("f?1")
    expect(page.locator(".gf-presented")).to_have_count(0)
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    assert page.get_by_role("textbox", name="Prompt").input_value().count("f?1") == 1


def test_a_phone_shows_it_too_and_nothing_is_wider(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/{LINK}", width=390, height=844, allow=PROBES)
    page.locator('.gf-figure[data-key="pattern"][data-drawn]').wait_for(timeout=WAIT)
    page.locator('.gf-figure[data-key="pattern"] .gf-present').click()
    expect(page.locator(".gf-presented")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Back to the page (Esc)").click()
    expect(page.locator(".gf-presented")).to_have_count(0)
