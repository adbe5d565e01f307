"""The shell in a real browser: the first link to a fresh server, Back, two tabs, hostile prompts, a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from pages.shared.frame import contents

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> :material/home: [l](javascript:0) \u202e"
# On a page below the root, Streamlit's browser side first asks for the server under that page's path.
PROBES = ("404",)
WAIT = 30_000


def parameter(page: Page, key: str) -> str:
    return parse_qs(urlsplit(page.url).query, keep_blank_values=True).get(key, [""])[0]


def wait_for_parameter(page: Page, key: str, value: str) -> None:
    page.wait_for_function(
        "([key, value]) => new URLSearchParams(location.search).get(key) === value",
        arg=[key, value],
        timeout=WAIT,
    )


def box(page: Page):  # type: ignore[no-untyped-def]
    """The prompt's box: the bar's, or the Tokens page's own."""
    return page.get_by_role("textbox", name=re.compile("^(Prompt|Your text)$"))


def drawn(page: Page, title: str) -> None:
    """Wait until the page stands with its sidebar."""
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible(timeout=60_000)
    expect(box(page)).to_be_attached(timeout=60_000)
    page.wait_for_function("new URLSearchParams(location.search).has('pin')", timeout=WAIT)
    at_rest(page)


def at_rest(page: Page) -> None:
    """A run that is still going writes its URL at its end, and that would cut off Back and Forward."""
    page.wait_for_timeout(300)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)


def number(page: Page, label: str):  # type: ignore[no-untyped-def]
    return page.get_by_role("spinbutton", name=label, exact=True)


def choose_layer(page: Page, layer: str) -> None:
    number(page, "Layer").fill(layer)
    number(page, "Layer").press("Enter")
    wait_for_parameter(page, "layer", layer)


def test_the_first_link_to_a_fresh_server_shows_its_page(serve: Serve, open_page: OpenPage) -> None:
    """A page in a sub-folder, seven parameters, a hostile prompt of 2,000 characters, at the first visit."""
    prompt = HOSTILE + "x" * (2_000 - len(HOSTILE))
    link = {
        "prompt": prompt,
        "layer": "7",
        "head": "2",
        "token": "3",
        "edits": "h1.2*0",
        "dtype": "auto",
        "text": "large",
    }
    url = f"{serve('app.py', fresh=True)}/attention?{urlencode(link)}"
    page = open_page(url, allow=PROBES, fresh=True)
    drawn(page, "Attention")
    assert page.get_by_role("dialog").count() == 0
    expect(number(page, "Layer")).to_have_value("7")
    expect(number(page, "Head")).to_have_value("2")
    expect(number(page, "Token")).to_have_value("3")
    assert parameter(page, "prompt") == prompt
    assert box(page).input_value() == prompt
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "22px"


def test_a_hostile_prompt_is_text_and_nothing_runs(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?{urlencode({'prompt': HOSTILE})}", allow=PROBES)
    drawn(page, "From prompt to next token")
    expect(page.locator(".gf-chips button").first).to_have_text("</")
    page.wait_for_timeout(1_000)
    assert page.title() != "owned"
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_the_prompt_box_holds_the_prompt_all_along_the_navigation(serve: Serve, open_page: OpenPage) -> None:
    """Twice, as the box was blank after every second change of page only."""
    page = open_page(f"{serve('app.py')}/?prompt=one+two+three&model=gpt2-mini", allow=PROBES)
    drawn(page, "From prompt to next token")
    for entry in [*contents.PAGES[1:], *contents.PAGES]:
        page.get_by_test_id("stSidebarNavLink").get_by_text(entry.title, exact=True).click()
        drawn(page, entry.title)
        expect(box(page)).to_have_value("one two three")


def test_an_address_without_a_page_says_so_and_lists_the_pages(serve: Serve, open_page: OpenPage) -> None:
    url = serve("app.py")
    page = open_page(f"{url}/atention?prompt=one+two&layer=3&head=1", allow=PROBES)
    expect(page.get_by_role("heading", level=1, name="There is no such page")).to_be_visible(timeout=WAIT)
    expect(page.get_by_test_id("stMain").get_by_test_id("stPageLink")).to_have_count(len(contents.PAGES))
    assert page.get_by_role("dialog").count() == 0
    page.get_by_role("link", name="Attention (did you mean this one?)").click()
    drawn(page, "Attention")
    expect(box(page)).to_have_value("one two")
    expect(number(page, "Layer")).to_have_value("3")
    page.goto(f"{url}/home?prompt=one+two")
    drawn(page, "From prompt to next token")
    assert page.get_by_role("dialog").count() == 0
    expect(box(page)).to_have_value("one two")


def test_back_undoes_one_thing_at_a_time(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?prompt=hello+big+world&layer=5&head=1", allow=PROBES)
    drawn(page, "From prompt to next token")
    page.get_by_role("link", name="Attention", exact=True).first.click()
    drawn(page, "Attention")
    assert parameter(page, "layer") == "5"
    choose_layer(page, "7")
    page.wait_for_timeout(1_500)  # two changes within the time of a drag share an entry
    page.locator(".gf-chips button").first.click()
    wait_for_parameter(page, "token", "0")
    page.wait_for_timeout(1_500)
    at_rest(page)
    page.go_back()
    wait_for_parameter(page, "token", "-1")
    expect(number(page, "Token")).to_have_value("2")
    expect(number(page, "Layer")).to_have_value("7")
    at_rest(page)
    page.go_back()
    wait_for_parameter(page, "layer", "5")
    expect(number(page, "Layer")).to_have_value("5")
    at_rest(page)
    page.go_back()
    drawn(page, "From prompt to next token")
    assert parameter(page, "prompt") == "hello big world"
    page.go_forward()
    drawn(page, "Attention")
    expect(number(page, "Layer")).to_have_value("5")


def test_two_tabs_keep_their_own_settings(serve: Serve, open_page: OpenPage) -> None:
    url = serve("app.py")
    one = open_page(f"{url}/?prompt=one+two&layer=1&head=0")
    drawn(one, "From prompt to next token")
    two = one.context.new_page()
    two.goto(one.url)
    drawn(two, "From prompt to next token")
    choose_layer(two, "9")
    choose_layer(one, "4")
    expect(number(two, "Layer")).to_have_value("9")
    assert parameter(two, "layer") == "9"


def test_chips_are_chosen_by_keyboard(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?prompt=one+two+three&layer=0&head=0")
    drawn(page, "From prompt to next token")
    chips = page.locator(".gf-chips button")
    expect(chips).to_have_count(3)
    chips.nth(2).focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    wait_for_parameter(page, "token", "1")
    expect(chips.nth(1)).to_have_attribute("aria-selected", "true")


def test_the_prompt_box_changes_the_tokens(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?prompt=one&layer=0&head=0")
    drawn(page, "From prompt to next token")
    box(page).fill("one two three")
    box(page).press("Enter")
    expect(page.locator(".gf-chips button")).to_have_count(3, timeout=WAIT)
    box(page).fill("   ")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("The prompt is blank.")).to_be_visible(timeout=WAIT)
    expect(page.locator(".gf-chips button")).to_have_count(3)


def test_what_is_typed_waits_for_its_run_and_is_not_lost(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/attention?prompt=one&layer=0&head=0", allow=PROBES)
    drawn(page, "Attention")
    not_run = page.get_by_text("Typed, not run")
    box(page).fill("one two")
    expect(not_run).to_be_visible()
    page.get_by_text("Masks", exact=True).click()  # the first click after typing does what it says
    wait_for_parameter(page, "part", "masks")
    at_rest(page)
    page.get_by_test_id("stSidebarNavLink").get_by_text("Positions", exact=True).click()
    drawn(page, "Positions")
    expect(box(page)).to_have_value("one two")
    expect(not_run).to_be_visible()
    assert parameter(page, "prompt") == "one"
    at_rest(page)
    box(page).press("End")
    box(page).press("Shift+Enter")
    box(page).press("Enter")
    wait_for_parameter(page, "prompt", "one two\n")
    expect(not_run).to_be_hidden(timeout=WAIT)
    at_rest(page)
    box(page).fill("x" * 4_100)
    box(page).press("Enter")
    expect(
        page.get_by_text("4,100 characters; a prompt has at most 4,000. Shorten it by 100.")
    ).to_be_visible()
    page.go_back()
    wait_for_parameter(page, "prompt", "one")
    expect(box(page)).to_have_value("one", timeout=WAIT)
    page.get_by_role("button", name="Put back what I typed").click()
    expect(box(page)).to_have_value("x" * 4_100)


@pytest.mark.parametrize("path", ["attention", "tokens"])
def test_the_menu_of_a_phone_closes_after_a_choice(serve: Serve, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{serve('app.py')}/{path}?prompt=one+two", width=390, height=844, allow=PROBES)
    expect(box(page)).to_be_visible(timeout=60_000)
    at_rest(page)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").get_by_text("Positions", exact=True).click()
    expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport(timeout=WAIT)
    drawn(page, "Positions")


@pytest.mark.parametrize("path", ["", "attention", "next-token"])
def test_nothing_is_wider_than_a_phone(serve: Serve, open_page: OpenPage, path: str) -> None:
    page = open_page(f"{serve('app.py')}/{path}", width=390, height=844, allow=PROBES)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=60_000)
    page.wait_for_function("new URLSearchParams(location.search).has('pin')", timeout=WAIT)
    page.wait_for_timeout(1_500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    main = page.locator("[data-testid='stMain']")
    assert main.evaluate("element => element.scrollWidth") <= 390
    assert box(page).bounding_box()["y"] < 300


def test_the_self_proof_opens_over_the_page(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?prompt=one+two")
    drawn(page, "From prompt to next token")
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Check the numbers").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Are these numbers the model's own?", timeout=WAIT)
    table = page.get_by_role("dialog").get_by_role("table")
    expect(table).to_be_visible(timeout=60_000)
    expect(table).to_contain_text("holds")
    expect(table).not_to_contain_text("FAILS")


def test_the_bar_says_in_what_the_pinned_run_differs_after_a_slide(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/next-token?prompt=one+two", allow=PROBES)
    drawn(page, "Next token")
    page.get_by_role("button", name="Pin this run").click()
    equal = page.get_by_text("The pinned run equals the current one")
    expect(equal).to_be_visible(timeout=WAIT)
    slider = page.locator(".gf-figure[data-key='next-token'] input[type=range]").first
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text("unlike the current one: temperature 0.8")).to_be_visible(timeout=WAIT)
    expect(page.locator(".gf-figure[data-key='next-token'] .gf-caption")).to_contain_text(
        "Compared with: Measured on SmolLM2-135M-Instruct"
    )
    slider.press("ArrowLeft")
    expect(equal).to_be_visible(timeout=WAIT)


def test_the_focus_of_a_link_between_pages_is_seen(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/?prompt=one+two")
    drawn(page, "From prompt to next token")
    link = page.get_by_test_id("stSidebarNavLink").first
    for _ in range(20):
        page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    assert link.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    assert link.evaluate("element => getComputedStyle(element).outlineWidth") == "2px"
