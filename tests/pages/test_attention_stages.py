"""The Attention page's parts "stages" and "number" under AppTest, on a tiny Llama and a tiny GPT-2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_home_and_attention import ATTENTION, HOSTILE, figures, open_page, pinned, said, single

STAGES = ["stages", "stages-scale"]
NUMBER = ["number-map", "number-terms", "number-row"]


@pytest.mark.parametrize("prompt", ["hello hello", "x", HOSTILE])
@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_both_parts_draw_any_prompt(tiny: str, model: str, prompt: str) -> None:
    folder = str(Path(tiny).parent / model)
    app = open_page(folder, ATTENTION, prompt=prompt, part="stages")
    assert [*figures(app)] == STAGES
    assert "scaled\\_dot\\_product\\_attention\\: largest difference" in said(app)
    assert "results added up" in said(app)
    app.segmented_control(key="gf.widget.part").set_value("number").run()
    assert not app.exception
    assert [*figures(app)] == NUMBER
    assert "**4. Softmax.**" in said(app)
    assert "The pattern that this layer used" in said(app)


def title(app: AppTest, key: str) -> str:
    return json.loads(figures(app)[key]["figure"])["layout"]["title"]["text"]


def test_the_boxes_choose_query_and_key_for_the_app(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, part="stages", layer="1", head="0")
    app.selectbox(key="gf.widget.token.query").set_value(3).run()
    app.selectbox(key="gf.widget.key").set_value(0).run()
    assert (single(app, "token"), single(app, "key")) == ("3", "0")
    assert title(app, "stages").startswith("<b>“l”</b> reads <b>“h”</b>: ")
    app.segmented_control(key="gf.widget.part").set_value("number").run()
    assert title(app, "number-terms").startswith("q of “l” · k of “h” = ")


def test_a_key_of_the_future_is_explained(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, part="number", token="1", key="4")
    assert "it stands after the query" in said(app)
    assert "e^{-\\infty" in said(app)


def two_runs(tiny: str, part: str, **run: Any) -> AppTest:
    return open_page(tiny, ATTENTION, part=part, layer="1", head="1", pin=pinned(tiny, **run))


def test_two_runs_stand_side_by_side_on_shared_scales_with_their_difference(tiny: str) -> None:
    app = two_runs(tiny, "stages", edits="h0.0*0")
    drawn = figures(app)
    assert {"stages-current", "stages-pinned", "stages-difference"} <= drawn.keys()
    mine, other = (json.loads(drawn[f"stages-{name}"]["figure"])["data"] for name in ("current", "pinned"))
    assert [trace.get("zmax") for trace in mine] == [trace.get("zmax") for trace in other]
    assert mine[0]["z"] != other[0]["z"]
    assert (drawn["stages-current"]["clickable"], drawn["stages-pinned"]["clickable"]) == (True, False)
    assert {"number-terms-current", "number-terms-pinned"} <= figures(two_runs(tiny, "number")).keys()


def test_other_tokens_have_no_difference(tiny: str) -> None:
    app = two_runs(tiny, "stages", prompt="bye")
    assert "stages-difference" not in figures(app)
    assert "there is no difference to draw" in said(app)


def test_a_head_that_is_off_adds_nothing(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, part="stages", layer="1", head="0", edits="h1.0*0")
    assert "the head adds nothing to the stream" in said(app)


def test_the_closed_lines_have_the_numbers_and_the_code(tiny: str) -> None:
    for part, code in (("stages", "def attention_head"), ("number", "def attention_pattern")):
        app = open_page(tiny, ATTENTION, part=part)
        for line in ("The mathematics", "The code"):
            app.session_state[f"gf.details.{line}"] = True
        app.run()
        assert not app.exception
        assert "underbrace" in said(app) if part == "stages" else "V_i" in said(app)
        assert any(code in block.value for block in app.code)
