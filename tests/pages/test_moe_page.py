"""The page of experts under AppTest: every family, any prompt, edits, a pinned run, dense models."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.frame import contents
from tests.pages.test_attention_parts import told
from tests.pages.test_home_and_attention import HOSTILE, figures, pinned, said, single
from tests.pages.test_pages import visit
from tests.tiny_models import build_model, tiny_tokenizer

MOE = contents.entry_of("moe")
FAMILIES = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")
FIGURES = {
    "routing": ["routed-text", "route-map", "token-path", "router-bars"],
    "experts": ["expert-shares", "expert-cosines", "without-expert", "expert-effects"],
}
PROMPT = "the quick brown fox"


@pytest.fixture(scope="session")
def moe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random mixtures of experts of every family."""
    folder = tmp_path_factory.mktemp("moe")
    for family in FAMILIES:
        build_model(family).save_pretrained(folder / family)
        tiny_tokenizer().save_pretrained(folder / family)
    return folder


@pytest.fixture
def moe(moe_folder: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, allowed on this server, and that of the dense models."""
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"{moe_folder},{model_folder}")
    return moe_folder


def part(folder: Path, name: str, family: str = "mixtral", **link: str) -> AppTest:
    return visit(MOE, model=str(folder / family), moe=name, **{"prompt": PROMPT, **link})


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption).replace("\\", "")


def fine(app: AppTest) -> dict[str, Any]:
    assert not app.exception
    assert not [element.value for element in app.error]
    return figures(app)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", [*FIGURES])
def test_every_family_draws_every_part(moe: Path, name: str, family: str) -> None:
    app = part(moe, name, family)
    assert [*fine(app)] == FIGURES[name]
    if name == "experts":
        assert "add up to what this layer added" in captions(app)


@pytest.mark.parametrize("prompt", ["x", HOSTILE, "a " * 60])
@pytest.mark.parametrize("name", [*FIGURES])
def test_any_prompt(moe: Path, name: str, prompt: str) -> None:
    app = part(moe, name, prompt=prompt)
    for message in fine(app).values():
        for figure in (message["figure"], message["narrow_figure"] or ""):
            assert "<img" not in figure
            assert "\\u003cimg" not in figure


@pytest.mark.parametrize("name", [*FIGURES])
def test_nonsense_in_the_link(moe: Path, name: str) -> None:
    wild = {"layer": "99", "token": "1e9", "expert": "77", "without": "x", "forced": "9.9.-1.nan.1e99"}
    assert [*fine(part(moe, name, **wild))] == FIGURES[name]


def test_each_family_says_its_rule(moe: Path) -> None:
    words = {
        "mixtral": "divided by their sum",
        "qwen2_moe": "one more expert, shared",
        "olmoe": "add up to less than 1",
        "gpt_oss": "the softmax is taken over those alone; each score has a learned bias",
    }
    for family, rule in words.items():
        app = part(moe, "routing", family)
        assert rule in captions(app)
        assert "agree with those the model used" in captions(app)


def test_a_dense_layer_of_a_mixed_model_shows_the_nearest_with_experts(moe: Path) -> None:
    app = part(moe, "routing", "qwen2_moe", layer="1")
    assert "Layer 1 is dense" in app.info[0].value
    assert "dense" in fine(app)["route-map"]["alt"].lower()
    assert "L0" in fine(app)["router-bars"]["badge"]["text"]


def test_the_edit_can_be_kept_for_all_pages_and_taken_back(moe: Path) -> None:
    app = part(moe, "experts", layer="1", expert="2")
    assert "With expert 2 of layer 1 off" in said(app)
    app.toggle(key="gf.moe.keep").set_value(True).run()
    fine(app)
    assert single(app, "edits") == "x1.2*0"
    assert app.toggle(key="gf.moe.keep").value is True
    app.toggle(key="gf.moe.keep").set_value(False).run()
    assert single(app, "edits") == ""


def test_keeping_the_first_choice_off_keeps_it_chosen(moe: Path) -> None:
    """The run without its first choice still says which expert the router asked first."""
    app = part(moe, "experts", layer="1")
    app.toggle(key="gf.moe.keep").set_value(True).run()
    assert app.toggle(key="gf.moe.keep").value is True
    fine(app)


def test_three_ways_to_do_without(moe: Path) -> None:
    app = part(moe, "experts", layer="1", expert="2", without="scaled")
    assert "off, the others scaled up" in told(app)
    app = part(moe, "experts", layer="1", without="forced", forced="0.3")
    assert "Layer 1 routed to experts 0, 3" in told(app)
    app.multiselect(key="gf.moe.forced").set_value([0]).run()
    fine(app)
    assert single(app, "forced") == "0"
    assert "choose 2. Until then" in captions(app)
    app.multiselect(key="gf.moe.forced").set_value([0, 1]).run()
    assert "routed to experts 0, 1" in told(app)


@pytest.mark.parametrize("edit", ["f0.1.2=-1:1", "f0.1.2=1e6:-1e6", "f0.1"])
def test_forced_weights_that_are_no_routing_are_named_and_not_made(moe: Path, edit: str) -> None:
    app = part(moe, "routing", edits=edit)
    assert [*fine(app)] == FIGURES["routing"]
    told_of = [box.value for box in app.warning]
    assert len(told_of) == 1
    assert told_of[0].startswith("Not made: layer 0 routed to expert")


@pytest.mark.parametrize("edit", ["x0.1*-1_x0.2*-1_x0.3*-1_x0.0*-1", "f0.1.2=2:-1", "f0.1.2=1e6:1"])
@pytest.mark.parametrize("name", [*FIGURES])
def test_weights_below_0_and_above_1_are_drawn(moe: Path, name: str, edit: str) -> None:
    assert [*fine(part(moe, name, edits=edit))] == FIGURES[name]


def test_an_edit_changes_the_text_and_says_where(moe: Path) -> None:
    found = [
        caption.value
        for way in ("cut", "forced")
        for caption in part(moe, "experts", layer="0", without=way).caption
        if "always the likeliest" in caption.value
    ]
    assert len(found) == 2
    assert any("part at" in words for words in found)


@pytest.mark.parametrize("name", [*FIGURES])
def test_two_prompts_side_by_side_on_one_scale(moe: Path, name: str) -> None:
    drawn = fine(part(moe, name, pin=pinned(str(moe / "mixtral"), prompt="the lazy dog")))
    assert {*drawn} == {f"{key}-{side}" for key in FIGURES[name] for side in ("current", "pinned")}
    for key, axis in (("router-bars", "yaxis"), ("expert-shares", "xaxis"), ("without-expert", "xaxis")):
        if key in FIGURES[name]:
            one, other = (json.loads(drawn[f"{key}-{s}"]["figure"]) for s in ("current", "pinned"))
            assert one["layout"][axis]["range"] == other["layout"][axis]["range"]


def test_the_same_tokens_with_an_edit_say_how_often_they_agree(moe: Path) -> None:
    app = part(moe, "routing", edits="f0.0.1", pin=pinned(str(moe / "mixtral"), prompt=PROMPT))
    assert "Both runs ask the same expert first in" in said(app)


def test_another_family_pinned(moe: Path) -> None:
    for name in FIGURES:
        fine(part(moe, name, pin=pinned(str(moe / "gpt_oss"), prompt="the lazy dog")))


def test_a_dense_run_beside_is_left_out_and_said(moe: Path, model_folder: Path) -> None:
    app = part(moe, "routing", pin=pinned(str(model_folder / "llama"), prompt="hello"))
    assert [*fine(app)] == FIGURES["routing"]
    assert "The pinned run" in app.info[0].value


@pytest.mark.parametrize("name", [*FIGURES])
def test_mathematics_and_code(moe: Path, name: str) -> None:
    app = part(moe, name, "qwen2_moe")
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "$$" in said(app)
    assert "def " in app.code[0].value


def test_a_dense_model_offers_the_bundled_mixture(moe: Path, model_folder: Path) -> None:
    app = visit(MOE, model=str(model_folder / "llama"), prompt="hello")
    assert "is a dense model" in app.info[0].value
    button = app.button(key="gf.moe.switch")
    assert button.disabled == ("not in this installation" in captions(app))


def test_every_expert_off_in_turn_finds_the_one_that_is_missed_most(moe: Path) -> None:
    app = part(moe, "experts")
    grid = json.loads(fine(app)["expert-effects"]["figure"])
    assert grid["layout"]["title"]["text"].startswith("Most: L")
    assert "The next token's distribution moves furthest without E" in told(app)


def test_a_long_measurement_waits_for_its_button(moe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.moe import effects, without

    monkeypatch.setattr(effects, "QUICK_WORK", 0)
    monkeypatch.setattr(without, "QUICK_PARAMETERS", 0)
    app = part(moe, "experts")
    assert "expert-effects" not in fine(app)
    assert "always the likeliest" not in captions(app)
    app.button(key="gf.moe.measure").click().run()
    app.button(key="gf.moe.write").click().run()
    assert "expert-effects" in fine(app)
    assert "always the likeliest" in captions(app)
    monkeypatch.setattr(effects, "MOST_FORWARDS", 2)
    assert "At most 2 are made" in captions(part(moe, "experts"))


def test_the_button_loads_the_bundled_mixture(
    moe: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.moe import dense

    bundled = str(moe / "mixtral")
    monkeypatch.setattr(dense, "BUNDLED_MOE", bundled)
    monkeypatch.setattr(dense, "row_of", lambda model: SimpleNamespace(name="Mixtral mini"))
    app = visit(MOE, model=str(model_folder / "llama"), prompt="hello", layer="1")
    assert app.button(key="gf.moe.switch").label == "Switch to Mixtral mini"
    app.button(key="gf.moe.switch").click().run()
    assert [*fine(app)] == FIGURES["routing"]
    assert single(app, "model") == bundled
    assert single(app, "prompt") == "hello"
