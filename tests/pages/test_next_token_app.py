"""The next-token page on a tiny model: what it says, its buttons, links, odd prompts, and writing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.records import Token
from model_runtime.sampling.generation import GeneratedToken
from pages.shared.frame.generated_html import rows, written
from tests.pages.conftest import run_prompt

ROOT = Path(__file__).resolve().parents[2]
Page = Callable[..., AppTest]


@pytest.fixture
def page(tiny: str) -> Page:
    """`page(prompt="hi", top_k="3") -> AppTest`: the page opened by a link with these parameters."""

    def open_link(**link: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
        app.query_params["model"] = tiny
        app.run().switch_page("output/next_token.py")  # only a page that the router has named can be opened
        for key, value in {"model": tiny, **link}.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception, app.exception[0].message
        assert [title.value for title in app.title] == ["Next token"]
        return app

    return open_link


def said(app: AppTest) -> str:
    """All running text of the page."""
    return "\n".join([element.value for element in (*app.markdown, *app.caption, *app.error, *app.warning)])


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label.startswith(label))


def parameter(app: AppTest, key: str) -> str:
    value = app.query_params[key]
    return value if isinstance(value, str) else value[-1]


def html(app: AppTest) -> str:
    """What the page shows as HTML of its own: the written tokens."""
    return "\n".join(element.proto.body for element in app.get("html"))


def test_the_candidate_is_judged_and_written_out(page: Page) -> None:
    app = page(prompt="hello", top_k="3", candidate="-1")
    assert "is **kept**" in said(app)
    formulas = [latex.value for latex in app.latex]
    assert len(formulas) == 2
    assert r"p_{\text{model}}" in formulas[0]
    assert r"p_{\text{drawn}}" in formulas[1]
    assert app.selectbox(key="gf.widget.candidate").value == -1


def test_a_cut_candidate_names_the_step_and_the_numbers(page: Page) -> None:
    app = page(prompt="hello", top_k="1", top_p="1", temperature="1")
    candidates = app.selectbox(key="gf.widget.candidate")
    assert candidates.options[0].startswith("the likeliest")
    candidates.select(candidates.options[2]).run()
    assert not app.exception
    assert "is **cut by top\\-k 1**" in said(app)
    assert "This one is number 2" in said(app)
    assert r"\mathbf{0}" in app.latex[1].value


def test_greedy_has_one_token_left(page: Page) -> None:
    app = page(prompt="hello", temperature="0")
    assert "nothing else" in said(app)
    assert "1 of 1 counts" in said(app)


def test_with_every_step_off_there_is_one_fraction(page: Page) -> None:
    app = page(prompt="hello", temperature="0.5")
    button(app, "All steps off").click().run()
    assert parameter(app, "temperature") == "1"
    assert parameter(app, "top_p") == "1"
    assert len(app.latex) == 1


def test_append_and_undo_change_the_prompt_in_the_link(page: Page) -> None:
    app = page(prompt="hello", candidate=str(ord("!") - 33))
    append = button(app, "Append")
    assert not append.disabled
    append.click().run()
    assert parameter(app, "prompt") == "hello!"
    assert parameter(app, "candidate") == "-1"
    button(app, "Undo").click().run()
    assert parameter(app, "prompt") == "hello"
    assert not any(found.label == "Undo" for found in app.button)


def test_half_a_character_cannot_be_appended_and_says_why(page: Page) -> None:
    app = page(prompt="hello", candidate="94")
    assert button(app, "Append").disabled
    assert "part of a character" in said(app)


@pytest.mark.parametrize(
    "prompt",
    [
        "a",
        "😀",
        "שלום עולם",
        "a\u200bb\u202ec",
        "</script><img src=x onerror=alert(1)>",
        "`*_$x$[a](b):material/home:",
    ],
)
def test_odd_prompts_are_drawn(page: Page, prompt: str) -> None:
    app = page(prompt=prompt)
    assert "is **kept**" in said(app)
    assert parameter(app, "prompt") == prompt


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("temperature", "1e400", "100"), ("temperature", "nan", "0.8"), ("top_p", "-3", "0"),
        ("top_k", "inf", "10000000"), ("candidate", "999999", "255"), ("seed", "-1", "0"), ("bars", "0", "8"),
        ("min_p", "x", "0"), ("draws", "9999999", "10000"),
    ],
)  # fmt: skip
def test_values_out_of_range_land_on_the_nearest_allowed(
    page: Page, key: str, value: str, shown: str
) -> None:
    assert parameter(page(prompt="hello", **{key: value}), key) == shown


def test_the_order_of_the_steps_moves(page: Page) -> None:
    app = page(prompt="hello")
    assert parameter(app, "order") == "reftkpmy"
    button(app, "Later").click().run()
    assert parameter(app, "order") == "refktpmy"
    assert "top-k → temperature" in said(app)
    button(app, "Usual order").click().run()
    assert parameter(app, "order") == "reftkpmy"


def test_generate_writes_the_tokens_that_the_seed_gives(page: Page) -> None:
    app = page(prompt="hello", max_new_tokens="5", seed="3")
    button(app, "Generate").click().run()
    first = html(app)
    assert "5 tokens" in said(app)
    assert "ended: max new tokens" in said(app)
    assert first.count("<small>") == 5
    again = page(prompt="hello", max_new_tokens="5", seed="3")
    button(again, "Generate").click().run()
    assert html(again) == first
    other = page(prompt="hello", max_new_tokens="5", seed="4")
    button(other, "Generate").click().run()
    assert html(other) != first


def test_another_control_does_not_start_writing_again(page: Page) -> None:
    app = page(prompt="hello", max_new_tokens="3")
    button(app, "Generate").click().run()
    before = html(app)
    app.number_input(key="gf.widget.draws").set_value(200).run()
    assert html(app) == before
    assert "3 tokens" in said(app)


def test_a_text_of_another_prompt_is_not_shown(page: Page) -> None:
    app = page(prompt="hello", max_new_tokens="3")
    button(app, "Generate").click().run()
    run_prompt(app, "other")
    assert "<small>" not in html(app)


def test_written_text_becomes_the_prompt(page: Page) -> None:
    app = page(prompt="hello", max_new_tokens="3", temperature="0")
    button(app, "Generate").click().run()
    button(app, "Continue from here").click().run()
    assert parameter(app, "prompt").startswith("hello")
    assert len(parameter(app, "prompt")) > len("hello")


def test_more_tokens_than_the_context_holds_are_refused_with_both_numbers(page: Page) -> None:
    app = page(prompt="hello", max_new_tokens="400")
    button(app, "Generate").click().run()
    assert "400" in said(app)
    assert "64" in said(app)


def test_five_temperatures_are_written_once(page: Page) -> None:
    app = page(prompt="hello")
    button(app, "Write 15 tokens").click().run()
    assert html(app).count("<strong>temperature") == 5
    assert button(app.run(), "Write 15 tokens").disabled


def test_a_pinned_run_is_compared(page: Page, tiny: str) -> None:
    pin = f'{{"model":"{tiny}","prompt":"other","temperature":"2"}}'
    app = page(prompt="hello", pin=pin)
    assert "The two runs must differ" in said(app)


def generated(text: str, probability: float = 0.5) -> GeneratedToken:
    return GeneratedToken(Token(1, text, text.encode()), 0, text, probability, 0.4, 1, 1.0, 1.0, 3, 0.1, None)


def test_written_tokens_are_text_whatever_they_contain() -> None:
    shown = written([generated("</b><img src=x onerror=alert(1)>"), generated("\u202e\n"), generated('"')])
    assert "<img" not in shown
    assert "&lt;img" in shown
    assert "\u202e" not in shown
    assert shown.count("<i></i>") == 1
    assert "<script>" not in rows([("<script>", "")])
