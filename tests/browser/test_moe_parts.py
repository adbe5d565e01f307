"""Sliders of the load move in the browser, a click on the map of domains chooses, and all fits on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import click, drawn, wait_for
from tests.tiny_models import build_model, tiny_tokenizer

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000


@pytest.fixture(scope="module")
def page_of(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Address of a part with a tiny mixture of experts."""
    folder = tmp_path_factory.mktemp("moe")
    build_model("mixtral").save_pretrained(folder / "mixtral")
    tiny_tokenizer().save_pretrained(folder / "mixtral")
    server = serve("app.py", env={"GLASSFORMER_ALLOW": str(folder)})
    prompt = "the+quick+brown+fox+jumps+over+the+lazy+dog"
    return lambda part: f"{server}/moe?moe={part}&model={Path(folder) / 'mixtral'}&layer=1&prompt={prompt}"


def test_the_load_follows_the_capacity_in_the_browser(
    page_of: Callable[[str], str], open_page: OpenPage
) -> None:
    page = open_page(page_of("load"), allow=PROBES)
    drawn(page, "load")
    figure = page.locator('.gf-figure[data-key="load"]')
    expect(figure.get_by_text("Coefficient of variation").first).to_be_visible(timeout=WAIT)
    slider = figure.get_by_role("slider", name="Capacity factor")
    slider.focus()
    slider.press("Home")  # a quarter of an equal share
    expect(figure.get_by_text("Each expert takes at most 1:").first).to_be_visible(timeout=WAIT)
    wait_for(page, capacity="0.25")


def test_a_click_on_the_map_chooses_layer_and_expert(
    page_of: Callable[[str], str], open_page: OpenPage
) -> None:
    page = open_page(page_of("domains"), allow=PROBES)
    drawn(page, "domains")
    click(page, "domains", "Python", [2, 3])
    wait_for(page, layer="2", expert="3")


@pytest.mark.parametrize(("part", "first"), [("domains", "domains"), ("load", "load"), ("sizes", "sizes")])
def test_parts_stay_within_a_phone(
    page_of: Callable[[str], str], open_page: OpenPage, part: str, first: str
) -> None:
    page = open_page(page_of(part), width=390, height=844, dark=True, allow=PROBES)
    drawn(page, first)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
