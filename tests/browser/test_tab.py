"""The tab that tests use one after the other: watched, and as empty as a new one for each."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import OpenPage, Serve, _emptied, _watch

pytestmark = pytest.mark.browser
STORED = "() => [localStorage.length, sessionStorage.length, document.cookie.includes('c=1')]"


def test_nothing_of_a_test_is_left_for_the_next(serve: Serve, open_page: OpenPage) -> None:
    url = f"{serve('tests/browser/apps/figures_app.py')}/_stcore/health"
    page = open_page(url)
    page.goto(f"{url}?again")
    page.evaluate("() => { localStorage.a = sessionStorage.b = document.cookie = 'c=1' }")
    page.route("**/*", lambda route: route.fulfill(body="of the last test"))
    page.context.new_page()
    assert page.evaluate(STORED) == [1, 1, True]
    assert _emptied(page)
    page.goto(url)
    assert page.evaluate(STORED) == [0, 0, False]
    assert page.inner_text("body") == "ok"
    assert page.evaluate("history.length") <= 2  # an empty page and this one
    assert page.context.pages == [page]


def test_the_next_test_gets_the_same_tab_unless_it_wants_a_fresh_one(
    resting: list[Page], serve: Serve, open_page: OpenPage
) -> None:
    url = f"{serve('tests/browser/apps/figures_app.py')}/_stcore/health"
    rests = list(resting)
    assert open_page(url, fresh=True) not in rests
    assert not rests or open_page(url) in rests


@pytest.mark.parametrize(
    ("done", "told"),
    [
        ("console.error('wrong')", "console: wrong"),
        ("alert('owned')", "dialog: owned"),
        ("setTimeout(() => { throw new Error('thrown') })", "uncaught: thrown"),
        ("fetch('http://elsewhere.test/').catch(() => 0)", "request to the outside: http://elsewhere.test/"),
    ],
)
def test_what_goes_wrong_is_told(browser: Browser, done: str, told: str) -> None:
    page = browser.new_page()
    problems: list[str] = []
    _watch(page, problems, ("ERR_",))
    page.evaluate(f"() => {{ {done} }}")
    for _ in range(100):
        if not problems:
            page.wait_for_timeout(20)
    page.close()
    assert [re.sub("^uncaught: Error: ", "uncaught: ", problem) for problem in problems] == [told]
