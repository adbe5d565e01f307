"""The Positions page under AppTest: any prompt, both kinds of positions, a pinned run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said

POSITIONS = "positions/positions.py"
PROMPT = "hello you, hello me"
FIGURES = {"order": ["shuffled", "way", "order-next"]}


def part(tiny: str, name: str, **link: str) -> AppTest:
    return open_page(tiny, POSITIONS, **{"place": name, "layer": "1", "head": "0", "prompt": PROMPT, **link})


def told(app: AppTest) -> str:
    return said(app).replace("\\", "")


@pytest.mark.parametrize("model", ["llama", "gpt2"])
@pytest.mark.parametrize("prompt", [PROMPT, HOSTILE, "ab" * 32])
@pytest.mark.parametrize("name", [*FIGURES])
def test_every_part_draws_any_prompt(tiny: str, name: str, prompt: str, model: str) -> None:
    drawn = figures(part(str(Path(tiny).parent / model), name, prompt=prompt))
    assert [*drawn] == FIGURES[name]
    for message in drawn.values():
        for figure in (message["figure"], message["narrow_figure"] or ""):
            assert "<img" not in figure
            assert "\\u003cimg" not in figure
        assert message["badge"]["kind"] in ("measured", "computed", "illustration")


@pytest.mark.parametrize("name", [*FIGURES])
def test_a_pinned_run_stands_beside_it_on_one_scale(tiny: str, name: str) -> None:
    gpt2 = str(Path(tiny).parent / "gpt2")
    app = part(gpt2, name, pin=pinned(tiny, prompt="another text"))
    drawn = figures(app)
    for key in FIGURES[name]:
        sides = (drawn[f"{key}-{side}"]["figure"] for side in ("current", "pinned"))
        one, other = (json.loads(figure)["layout"] for figure in sides)
        if key == "order-next":
            assert one["xaxis"]["range"] == other["xaxis"]["range"]
        if key == "way":
            assert one["yaxis"]["range"] == other["yaxis"]["range"]


@pytest.mark.parametrize("name", [*FIGURES])
def test_mathematics_and_code_have_the_numbers(tiny: str, name: str) -> None:
    app = part(tiny, name)
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "$$" in said(app)
    assert "def " in app.code[0].value


@pytest.mark.parametrize("prompt", ["x", "xy", "xxxxx"])
def test_a_prompt_without_another_order_is_a_sentence(tiny: str, prompt: str) -> None:
    app = part(tiny, "order", prompt=prompt)
    assert not figures(app)
    assert "no other order" in app.error[0].value.replace("\\", "")


def test_another_shuffle_is_in_the_link(tiny: str) -> None:
    app = part(tiny, "order", shuffle="5")
    first = figures(app)["shuffled"]
    assert first["badge"]["text"].endswith("seed 5")
    app.button(key="gf.shuffle").click().run()
    assert app.query_params["shuffle"] in ("6", ["6"])
    assert figures(app)["shuffled"]["figure"] != first["figure"]
    assert "What attention of layer 0 adds to the last token" in told(app)


def test_nonsense_in_the_link_falls_back(tiny: str) -> None:
    app = part(tiny, "nonsense", shuffle="-7")
    assert [*figures(app)] == FIGURES["order"]
    assert app.query_params["shuffle"] in ("0", ["0"])
