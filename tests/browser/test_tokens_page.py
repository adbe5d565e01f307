"""The Tokens page in a real browser: typing, linked lights, keyboard, hostile text, a phone."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_shell import HOSTILE, PROBES, parameter, wait_for_parameter

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
WAIT = 60_000
FLUFFY = "a fluffy blue creature roamed the verdant forest"
DRAWN = '.gf-figure[data-key="languages"][data-drawn]'


@pytest.fixture
def open_tokens(serve: Serve, open_page: OpenPage) -> OpenPage:
    """The page at a link, once its last figure is drawn."""

    def open_link(width: int = 1440, dark: bool = False, wait: str = DRAWN, **link: str) -> Page:
        page = open_page(f"{serve('app.py')}/tokens?{urlencode(link)}", width=width, dark=dark, allow=PROBES)
        page.locator(wait).wait_for(timeout=WAIT)
        return page

    return open_link


def area(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("textbox", name="Your text")


def pieces(page: Page, title: str) -> list[str]:
    box = page.get_by_role("listbox", name=title).first
    return [text.replace("\n", "") for text in box.get_by_role("option").all_text_contents()]


def lit(page: Page, kind: str) -> set[str]:
    found: list[str] = page.locator(f'.gf-pieces [data-lit="{kind}"]').all_text_contents()
    return set(found)


def test_typing_cuts_at_once_and_becomes_the_prompt_when_it_stops(open_tokens: OpenPage) -> None:
    page = open_tokens(prompt=FLUFFY)
    area(page).click()
    area(page).press("Home")
    page.keyboard.type("super", delay=30)
    expect(page.locator(".gf-pieces").first.locator("span").first).to_have_text("super", timeout=WAIT)
    assert parameter(page, "prompt") == FLUFFY  # still being typed
    wait_for_parameter(page, "prompt", f"super{FLUFFY}")
    page.keyboard.type("man ", delay=30)  # the cursor stood still and the box kept the focus
    page.keyboard.press("Control+Enter")
    wait_for_parameter(page, "prompt", f"superman {FLUFFY}")
    assert area(page).input_value() == f"superman {FLUFFY}"
    assert page.evaluate("document.activeElement.selectionEnd") == len("superman ")


def test_text_that_cannot_be_the_prompt_stays_and_says_why(open_tokens: OpenPage) -> None:
    page = open_tokens(prompt="hello")
    long = "word " * 900
    area(page).fill(long)
    expect(page.locator(".gf-live-refusal")).to_contain_text("4,500 characters", timeout=WAIT)
    expect(page.get_by_text("A long text is shown in")).to_be_visible(timeout=WAIT)
    area(page).blur()
    page.get_by_role("button", name="← Earlier").click()
    expect(page.get_by_text("this is number 2,")).to_be_visible(timeout=WAIT)
    assert area(page).input_value() == long
    assert parameter(page, "prompt") == "hello"
    page.get_by_text("Heroes", exact=True).click()
    expect(area(page)).to_have_value("cat superman spiderman", timeout=WAIT)


def test_a_piece_lights_its_id_and_what_the_others_make_of_it(open_tokens: OpenPage) -> None:
    page = open_tokens(prompt=FLUFFY, tokenizers="model.gpt2")
    model, gpt2 = pieces(page, "SmolLM2"), pieces(page, "GPT-2")
    assert "·fluffy\u200b".strip("\u200b") in model
    page.get_by_role("listbox", name="SmolLM2").first.get_by_role("option", name="·roamed").hover()
    assert lit(page, "own") == {"·roamed"}
    assert "".join(text for text in gpt2 if text in lit(page, "other")) == "·roamed"
    expect(page.locator('.gf-ids [data-lit="own"]')).to_have_text(
        page.locator(".gf-ids").first.locator("span").nth(model.index("·roamed")).text_content() or ""
    )
    expect(page.locator(".gf-says")).to_contain_text("GPT-2: cut into 2 tokens")
    page.locator(".gf-ids").nth(1).locator("span").first.hover()
    assert lit(page, "own") == {"a"}


def test_arrows_move_and_enter_chooses_the_apps_token(open_tokens: OpenPage) -> None:
    page = open_tokens(prompt=FLUFFY)
    page.get_by_role("listbox", name="SmolLM2").first.locator('[tabindex="0"]').focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_parameter(page, "token", "1")
    chosen = page.get_by_role("listbox", name="SmolLM2").first.locator('[aria-selected="true"]')
    expect(chosen).to_have_text("·fluffy")
    expect(page.locator(".gf-says")).to_contain_text("Token 1 of SmolLM2")
    assert page.evaluate("document.activeElement.textContent") == "·fluffy"


@pytest.mark.parametrize("lesson", ["compare", "levels"])
def test_hostile_text_on_a_phone_is_text_and_nothing_is_wider(open_tokens: OpenPage, lesson: str) -> None:
    wait = DRAWN if lesson == "compare" else '.gf-figure[data-key="levels"][data-drawn]'
    page = open_tokens(width=390, dark=True, wait=wait, lesson=lesson, prompt=HOSTILE)
    assert page.locator(".gf-columns img, .gf-columns script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = page.locator(".gf-column").all()
    assert all((box.bounding_box() or {})["width"] <= 390 for box in boxes)
    if lesson == "levels":
        expect(page.locator(".gf-legend")).to_contain_text("unknown")
