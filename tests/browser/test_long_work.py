"""Minutes of work in a real server: a bar and a stop, short work passes by, and it ends with its tab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_home_and_attention import PROBES, OpenPage, Serve, drawn

pytestmark = pytest.mark.browser
MINUTES = "/embeddings?space=map&points=vocabulary&top=5000&method=tsne&axes=3&perplexity="
WORDS = "/embeddings?space=map&points=words&method=tsne"


def at_work(page: Page) -> None:
    expect(page.get_by_test_id("stProgress")).to_contain_text("Placing 5,000 points", timeout=120_000)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()


def test_long_work_is_passed_by_stopped_and_ends_with_its_tab(serve: Serve, open_page: OpenPage) -> None:
    url = serve("app.py")
    page = open_page(f"{url}{MINUTES}500", allow=PROBES)
    at_work(page)
    words = open_page(f"{url}{WORDS}", allow=PROBES)
    drawn(words, "projection-2d")  # it does not wait for the minutes of the first
    at_work(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    again = page.get_by_role("button", name="Do it after all")
    expect(again).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Stopped before it was done: placing 5,000 points by t-SNE.")).to_be_visible()
    again.click()
    at_work(page)
    # One place for such work: a second one gets it only because the first ends when its tab is closed.
    page.close()
    other = open_page(f"{url}{MINUTES}400", allow=PROBES)
    at_work(other)
    other.get_by_text("PCA", exact=True).first.click()  # another control ends it as well
    drawn(other, "projection-3d")
    expect(other.get_by_test_id("stProgress")).to_have_count(0)
