"""All mathematics of all parts, set by a real browser: no error of the typesetter, nothing left as TeX."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from pages.shared.frame import contents
from tests.browser.test_shell import PROBES, at_rest

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
# Letters on the page outside of what the typesetter drew, whose hidden twin for screen readers holds TeX.
LEFT = """() => {
  const page = document.querySelector("[data-testid=stMain]").cloneNode(true)
  page.querySelectorAll(".katex").forEach(formula => formula.remove())
  return [...page.querySelectorAll("[data-testid=stMarkdownContainer]")].map(part => part.textContent)
}"""
PARTS = [(entry, part) for entry in contents.PAGES for part in entry.parts or (None,)]


@pytest.mark.parametrize(
    ("entry", "part"), PARTS, ids=[f"{entry.url}-{part.key if part else ''}" for entry, part in PARTS]
)
def test_formulas_are_set(
    serve: Serve, open_page: OpenPage, entry: contents.Entry, part: contents.Part | None
) -> None:
    link = {"model": "mixtral-mini", "prompt": "ROMEO: the king is"}
    if part is not None:
        link[entry.setting] = part.key
    page = open_page(f"{serve('app.py')}/{entry.url}?{urlencode(link)}", allow=PROBES)
    page.get_by_text("Where this comes from", exact=True).wait_for(timeout=60_000)  # the end of the page
    at_rest(page)
    line = page.get_by_text("The mathematics", exact=True)
    if line.count():
        line.click()
        expect(page.locator("[data-testid=stExpander] .katex").first).to_be_attached(timeout=30_000)
        at_rest(page)
    assert page.locator(".katex-error").count() == 0
    left = [text for text in page.evaluate(LEFT) if "$$" in text or "\\" in text]
    assert not left
