"""The page of experts in Chromium: one's own sentence routed, an expert switched off, the text changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import click, drawn, wait_for
from tests.browser.test_shell import at_rest
from tests.tiny_models import build_model, tiny_tokenizer

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
PROBES = ("404",)  # see test_shell
WAIT = 60_000


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Mixtral of 3 layers and 4 experts, saved to a folder."""
    folder = tmp_path_factory.mktemp("moe") / "mixtral"
    build_model("mixtral").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def visit(serve: Serve, open_page: OpenPage, folder: Path, part: str, **how: object) -> Page:
    server = serve("app.py", env={"GLASSFORMER_ALLOW": str(folder)})
    link = {"model": str(folder), "prompt": "the quick brown fox", "moe": part, "layer": "1"}
    return open_page(f"{server}/moe?{urlencode(link)}", allow=PROBES, **how)


def test_clicks_choose_token_layer_and_expert(serve: Serve, open_page: OpenPage, mixtral: Path) -> None:
    page = visit(serve, open_page, mixtral, "routing")
    drawn(page, "router-bars")
    click(page, "routed-text", "tokens", 1)
    wait_for(page, token="1", layer="1")
    page.wait_for_timeout(500)
    click(page, "route-map", "first experts", [2, 0])
    wait_for(page, token="0", layer="2")
    page.wait_for_timeout(500)
    click(page, "token-path", "router probabilities", [0, 3])
    wait_for(page, layer="0", expert="3")


def test_an_expert_is_switched_off_and_the_text_changes(
    serve: Serve, open_page: OpenPage, mixtral: Path
) -> None:
    page = visit(serve, open_page, mixtral, "experts")
    drawn(page, "without-expert")
    page.get_by_text("Ask others", exact=True).click()
    wait_for(page, without="forced")
    expect(page.locator(".gf-caption", has_text="routed to experts").first).to_be_attached(timeout=WAIT)
    texts = page.locator(".gf-rows .gf-written")
    expect(texts).to_have_count(2, timeout=WAIT)
    assert texts.nth(0).inner_text() != texts.nth(1).inner_text()
    at_rest(
        page
    )  # both texts are written in turn: a switch that is drawn anew under the pointer takes no click
    page.get_by_text("Keep this edit on every page").click()
    page.wait_for_function(
        "() => new URLSearchParams(location.search).get('edits').startsWith('f1.')", timeout=WAIT
    )
    expect(page.get_by_text("The edited model:")).to_be_visible(timeout=WAIT)


@pytest.mark.parametrize("part", ["routing", "experts"])
def test_it_stays_within_a_phone(serve: Serve, open_page: OpenPage, mixtral: Path, part: str) -> None:
    page = visit(serve, open_page, mixtral, part, width=390, height=844, dark=True)
    drawn(page, {"routing": "router-bars", "experts": "expert-shares"}[part])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
