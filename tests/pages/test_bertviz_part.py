"""BertViz's part of the Attention page under AppTest: both views, any prompt, two runs, missing packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.server import bertviz_route
from viz.attention import bertviz_files
from viz.attention.bertviz import BertvizView

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
HOSTILE = "</script><img src=x onerror=a()> $a$ \u202e\u200b👩 ש\n\tok"  # 54 bytes, so 54 tokens


def open_part(tiny: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    link = {"model": tiny, "prompt": "hello hello", "part": "bertviz", "layer": "1", "head": "0", **link}
    for key, value in link.items():
        app.query_params[key] = value
    app.run()
    app.switch_page("attention/attention.py").run()
    assert not app.exception
    return app


def frames(app: AppTest) -> dict[str, dict[str, Any]]:
    """Key -> what travels to the browser, of every frame on the page."""
    messages = [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]
    return {message["key"]: message for message in messages if "document" in message}


def shown(message: dict[str, Any]) -> BertvizView:
    kept = bertviz_route.DOCUMENTS.get(message["document"])
    assert kept is not None
    view: BertvizView = kept[0]
    return view


@pytest.mark.parametrize("prompt", ["x", "🙂", HOSTILE, "a" * 64])
@pytest.mark.parametrize("kind", ["head", "model"])
def test_both_views_draw_any_prompt(tiny: str, kind: str, prompt: str) -> None:
    app = open_part(tiny, prompt=prompt, bertviz=kind)
    (message,) = frames(app).values()
    view = shown(message)
    assert view.kind == kind
    assert view.span.layers == (0, 1)
    assert len(view.tokens) == min(len(prompt.encode()), 48 if kind == "model" else 96)
    assert (message["layer"], message["head"]) == (1, 0)
    assert len(json.dumps(message)) < 2_500, "the picture itself is not in the message"
    for element in app.markdown:
        assert "<img" not in element.value.replace("\\<img", "")


def test_the_layers_are_chosen_in_the_link(tiny: str) -> None:
    (message,) = frames(open_part(tiny, layers="one")).values()
    assert shown(message).span.layers == (1,)


def test_a_pinned_run_has_a_frame_of_its_own_that_is_looked_at(tiny: str) -> None:
    app = open_part(tiny, pin=json.dumps({"model": tiny, "prompt": "bye"}))
    drawn = frames(app)
    assert [*drawn] == ["bertviz-current", "bertviz-pinned"]
    assert [message["clickable"] for message in drawn.values()] == [True, False]
    assert [len(shown(message).tokens) for message in drawn.values()] == [11, 3]


def test_without_the_packages_the_page_says_what_to_install(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bertviz_files._FILES, "bertviz_d3.js", ("no_such_package", "js/d3.js"))
    app = open_part(tiny)
    assert frames(app) == {}
    (told,) = app.main.info
    assert "no\\_such\\_package" in told.value
    assert "pip install" in told.value


def test_the_lesson_has_mathematics_code_and_sources(tiny: str) -> None:
    app = open_part(tiny)
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.session_state["gf.details.Where this comes from"] = True
    app.run()
    assert not app.exception
    said = "\n".join(element.value for element in app.markdown)
    assert "opacity" in said
    assert "1906.05714" in said
    assert "bertviz.head_view" in app.code[0].value
