"""BertViz's views in Chromium: drawn without the web, choosing both ways, hostile tokens, long prompts.

`open_page` fails a test for any request to the outside, console error or uncaught exception, in frames too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Frame, Page, expect

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000
HOSTILE = "</script><img src=x onerror=alert(1)> <svg onload=alert(1)> $a$ עברית 👩‍👩‍👧 \u202e"


def opened(page: Page, key: str = "bertviz") -> Frame:
    """The document inside the frame, once it has drawn."""
    place = f'.gf-figure[data-key="{key}"]'
    expect(page.locator(f'{place}[data-drawn="true"]')).to_be_visible(timeout=WAIT)
    handle = page.locator(f"{place} iframe").element_handle()
    assert handle is not None
    frame = handle.content_frame()
    assert frame is not None
    return frame


def link(serve: Serve, **parameters: str) -> str:
    asked = {"part": "bertviz", "layer": "24", "head": "4", **parameters}
    return f"{serve('app.py')}/attention?{urlencode(asked)}"


def wait_for(page: Page, **parameters: str) -> None:
    for name, value in parameters.items():
        page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).get(name) === value",
            arg=[name, value],
            timeout=WAIT,
        )


def test_the_head_view_follows_the_app_and_the_app_the_head_view(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(link(serve), allow=PROBES)
    frame = opened(page)
    assert frame.locator("#attention line").count() == 9 * 9 * 9
    assert frame.locator("#layer").input_value() == "24"
    shown = frame.locator('rect[role="checkbox"][aria-checked="true"]')
    assert [shown.count(), shown.get_attribute("aria-label")] == [1, "Head 4"]
    # The strongest line of the selected token is " Potter"'s, at its probability.
    lines = "lines => lines.map(line => Number(line.getAttribute('stroke-opacity')))"
    strengths = frame.locator('#attention [head-index="4"] line[left-token-index="8"]').evaluate_all(lines)
    assert strengths.index(max(strengths)) == 2
    assert abs(sum(strengths) - 1) < 1e-3
    frame.locator("#left g[role=button]").nth(4).click()
    wait_for(page, token="4")
    expect(frame.locator("#left text.selected")).to_have_text(",")
    frame.locator("#layer").select_option("10")
    wait_for(page, layer="10")
    expect(page.get_by_text("L10 H4.")).to_be_visible(timeout=WAIT)
    page.get_by_label("Head", exact=True).fill("7")
    page.get_by_label("Head", exact=True).press("Enter")
    expect(frame.get_by_role("checkbox", name="Head 7")).to_have_attribute(
        "aria-checked", "true", timeout=WAIT
    )
    expect(frame.get_by_role("checkbox", name="Head 4")).to_have_attribute("aria-checked", "false")


def test_the_model_view_opens_the_chosen_head_and_chooses_one(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(link(serve, bertviz="model"), dark=True, allow=PROBES)
    frame = opened(page)
    assert frame.locator(".attn_background").count() == 30 * 9
    expect(frame.get_by_text("Layer 24, Head 4", exact=True)).to_be_in_viewport()
    assert frame.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(16, 19, 26)"
    frame.get_by_role("button", name="Layer 23, head 1", exact=True).click()
    wait_for(page, layer="23", head="1")
    expect(frame.get_by_text("Layer 23, Head 1", exact=True)).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize("kind", ["head", "model"])
def test_hostile_tokens_are_text_on_a_phone_too(serve: Serve, open_page: OpenPage, kind: str) -> None:
    page = open_page(link(serve, bertviz=kind, prompt=HOSTILE), width=390, height=844, allow=PROBES)
    frame = opened(page)
    assert frame.locator("img, svg svg").count() == 0
    assert frame.locator("svg").count() == 1
    shown = frame.locator("#left text" if kind == "head" else ".detail text.token").all_text_contents()
    assert shown[0] == "</"
    assert "script" in shown
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Of another origin, without a way to this page; nothing but its own scripts may run in it.
    assert frame.evaluate("self.origin") == "null"
    assert page.locator(".gf-figure iframe").get_attribute("sandbox") == "allow-scripts"


def test_a_long_prompt_shows_what_fits_around_the_selection(serve: Serve, open_page: OpenPage) -> None:
    prompt = " ".join(f"fox {number} runs." for number in range(60))
    page = open_page(link(serve, prompt=prompt, token="150"), allow=PROBES)
    frame = opened(page)
    assert frame.locator("#left text").count() == 96
    assert frame.locator("#layer option").count() == 3
    place = frame.locator("#left text.selected").evaluate("text => text.getBoundingClientRect().bottom")
    assert 0 < place <= frame.evaluate("innerHeight"), "scrolled to the selected token"
    expect(page.get_by_text("this view takes at most 150,000, and 96 tokens")).to_be_visible()


def test_the_saved_file_draws_offline(serve: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(link(serve, bertviz="model", layers="near"), allow=PROBES)
    opened(page)
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("button", name="Save as HTML").click()
    assert download.value.suggested_filename.startswith("bertviz-model-view_smollm2-135m-instruct")
    download.value.save_as(tmp_path / "saved.html")
    saved = page.context.new_page()
    asked: list[str] = []
    saved.on("request", lambda request: asked.append(request.url))
    saved.goto((tmp_path / "saved.html").as_uri())
    expect(saved.get_by_text("Layer 24, Head 4", exact=True)).to_be_visible()
    assert saved.locator(".attn_background").count() == 5 * 9
    expect(saved.get_by_text("Prompt: “When Harry Potter")).to_be_visible()
    assert asked == [(tmp_path / "saved.html").as_uri()]
