"""The table of embeddings in Chromium: a click on a neighbour goes to its row, and all fits on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_home_and_attention import PROBES, OpenPage, Serve, drawn, wait_for
from tests.browser.test_meanings_parts import click_point

pytestmark = pytest.mark.browser
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_a_neighbour_is_looked_up(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/embeddings?row=+dog", allow=PROBES)
    drawn(page, "near-cosine")
    click_point(page, "near-cosine", "cosine", 1)
    page.wait_for_function("() => new URLSearchParams(location.search).get('row') !== ' dog'", timeout=60_000)
    row = page.evaluate("() => new URLSearchParams(location.search).get('row')")
    assert row.isdecimal()
    wait_for(page, row=row)
    expect(page.locator('.gf-figure[data-key="row"]')).to_contain_text(f"{int(row):,}", timeout=60_000)


def test_words_fit_a_phone(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/embeddings?space=words", allow=PROBES, width=390, dark=True)
    drawn(page, "analogy-own")
    assert page.evaluate(OVERFLOW) == 0
