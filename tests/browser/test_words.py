"""Words of the field explain themselves on hover, on tap, and in a list that keys reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_shell import PROBES, drawn

pytestmark = pytest.mark.browser

Serve = Callable[..., str]
OpenPage = Callable[..., Page]
WAIT = 60_000
# The marked places' texts, and where the first of a word is on the screen.
MARKED = "() => [...(CSS.highlights.get('gf-term') ?? [])].map(String)"
PLACE = """async word => {
  const range = [...CSS.highlights.get('gf-term')].find(one => String(one) === word)
  range.startContainer.parentElement.scrollIntoView({ block: 'center' })
  for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame) // the scroll is told
  const box = range.getClientRects()[0]
  return [box.left + box.width / 2, box.top + box.height / 2]
}"""


def test_a_word_is_explained_where_it_stands_and_in_the_list(serve: Serve, open_page: OpenPage) -> None:
    link = "attention?prompt=the+logit+and+the+sink&part=heads"
    page = open_page(f"{serve('app.py')}/{link}", width=1280, height=720, allow=PROBES)
    drawn(page, "Attention")
    page.wait_for_function(f"({MARKED})().includes('head')", timeout=WAIT)
    tip = page.get_by_role("tooltip")
    page.mouse.move(*page.evaluate(PLACE, "head"))
    expect(tip).to_contain_text("One of several attentions side by side")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.mouse.click(*page.evaluate(PLACE, "head"))
    expect(tip).to_be_visible()
    page.mouse.click(5, 700)
    expect(tip).to_be_hidden()

    opener = page.get_by_role("button", name="Words on this page")
    opener.focus()
    page.keyboard.press("Enter")
    words = page.get_by_role("dialog", name="Words on this page")
    expect(words).to_be_focused()
    expect(words.locator("dt", has_text="head").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(words).to_be_hidden()
    expect(opener).to_be_focused()

    # Marks follow what is drawn anew, and no text of React's was changed.
    page.get_by_role("link", name="Tokens").first.click()
    drawn(page, "Tokens")
    page.wait_for_function(f"({MARKED})().includes('tokenizer')", timeout=WAIT)


def test_first_places_only_and_none_in_a_quote(serve: Serve, open_page: OpenPage) -> None:
    page = open_page(f"{serve('app.py')}/tokens", width=390, height=844, allow=PROBES)
    drawn(page, "Tokens")
    page.wait_for_function(f"({MARKED})().length > 0", timeout=WAIT)
    found = page.evaluate(
        """async texts => {
          const script = document.querySelector('#gf-styles-words').href.replace('.css', '.js')
          const { found } = await import(script)
          const told = text => found(text).map(({ word, start, end }) => [word.term, text.slice(start, end)])
          return texts.map(told)
        }""",
        [
            "A head, heads; “a logit” and Logits.",
            "headline, top-p, top-pick, ahead, a logit lens",
            "“no end, a sink",
        ],
    )
    assert found == [
        [["head", "head"], ["logit", "Logits"]],
        [["top-p", "top-p"], ["logit lens", "logit lens"]],
        [],
    ]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
