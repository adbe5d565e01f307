"""Every page opens on every kind of run: the default model, two small families, edits, a pinned run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.frame import contents
from pages.shared.settings.table import DEFAULT_MODEL

ROUTER = Path(__file__).resolve().parents[2] / "pages" / "main.py"
HOSTILE = "</script><img src=x onerror=a()> `*_ :material/home: $\u202e\n\t😀"  # 63 bytes


def visit(entry: contents.Entry, **link: str) -> AppTest:
    """The real app opened on one page by a link."""
    app = AppTest.from_file(str(ROUTER), default_timeout=120)
    for key, value in link.items():
        app.query_params[key] = value
    if entry is not contents.PAGES[0]:
        app.run()
        app.switch_page(entry.file)
    return app.run()


def assert_drawn(app: AppTest, entry: contents.Entry, prompt: str = "", experts: bool = False) -> None:
    """A figure; or the designed state that says why there is none: no experts in this model, no other order
    of a prompt of equal tokens."""
    assert not app.exception
    assert not [element.value for element in app.error]
    figures = [element for element in app.get("bidi_component") if "figure" in str(element.proto)]
    if entry.url == "moe" and not experts:
        assert "is a dense model" in app.info[0].value
        assert any(button.key == "gf.moe.switch" for button in app.button)
        assert not figures
    elif entry.url == "positions" and prompt and len(set(prompt)) == 1:
        assert "no other order" in app.info[0].value
        assert any(button.label == "Take the worked example" for button in app.button)
    else:
        assert figures


PAGES = pytest.mark.parametrize("entry", contents.PAGES, ids=lambda entry: entry.url)


@PAGES
def test_on_the_default_model(entry: contents.Entry) -> None:
    app = visit(entry)
    assert_drawn(app, entry)
    assert app.session_state["gf.values"]["model"] == DEFAULT_MODEL
    assert app.title[0].value == entry.title


@PAGES
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_on_a_tiny_model(entry: contents.Entry, tiny: str, model_folder: Path, family: str) -> None:
    assert_drawn(visit(entry, model=str(model_folder / family), prompt="hello"), entry)


@PAGES
@pytest.mark.parametrize("name", ["mixtral-mini", "gpt2-mini"])
def test_on_a_bundled_model(entry: contents.Entry, name: str) -> None:
    app = visit(entry, model=name, prompt="3 + 4 =")
    assert_drawn(app, entry, experts=name == "mixtral-mini")
    assert app.session_state["gf.values"]["model"] == name


@PAGES
@pytest.mark.parametrize("prompt", ["x", HOSTILE, "x" * 64], ids=["one token", "hostile", "full context"])
def test_on_awkward_prompts(entry: contents.Entry, tiny: str, prompt: str) -> None:
    assert_drawn(visit(entry, model=tiny, prompt=prompt), entry, prompt)


@PAGES
def test_with_edits_and_a_pinned_run_of_another_model(
    entry: contents.Entry, tiny: str, model_folder: Path
) -> None:
    pin = json.dumps({"model": str(model_folder / "gpt2"), "prompt": "other words"})
    assert_drawn(visit(entry, model=tiny, prompt="hello", edits="h1.1*0_m0*0.5", pin=pin), entry)


@PAGES
def test_with_settings_out_of_range(entry: contents.Entry, tiny: str) -> None:
    wild = {"layer": "99", "head": "nan", "token": "1e9", "temperature": "inf", "top_p": "-3", "measure": "x"}
    assert_drawn(visit(entry, model=tiny, prompt="hello", candidate="99999999", **wild), entry)


@PAGES
def test_greedy(entry: contents.Entry, tiny: str) -> None:
    assert_drawn(visit(entry, model=tiny, prompt="hello", temperature="0"), entry)
