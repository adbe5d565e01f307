"""The parts "lines", "masks", "groups" and "cost" under AppTest: any prompt, a pinned run, the selection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.attention.cost import score_counts
from tests.pages.test_home_and_attention import ATTENTION, HOSTILE, figures, open_page, pinned, said, single

FIGURES = {
    "lines": ["lines", "tops"],
    "masks": ["masks", "mask-measured", "mask-computed", "encoder-decoder"],
    "groups": ["groups", "overlap", "cache"],
    "cost": ["work", "memory"],
}


def part(tiny: str, name: str, **link: str) -> AppTest:
    return open_page(tiny, ATTENTION, part=name, **{"layer": "1", "head": "0", **link})


def told(app: AppTest) -> str:
    """What stands there, as a reader sees it: without markdown's backslashes."""
    return said(app).replace("\\", "")


@pytest.mark.parametrize("prompt", ["hello hello", "x", HOSTILE, "a" * 64])
@pytest.mark.parametrize("name", [*FIGURES])
def test_every_part_draws_any_prompt(tiny: str, name: str, prompt: str) -> None:
    app = part(tiny, name, prompt=prompt)
    expected = [key for key in FIGURES[name] if key != "encoder-decoder" or len(prompt) > 1]
    drawn = figures(app)
    assert [*drawn] == expected
    for message in drawn.values():
        for figure in (message["figure"], message["narrow_figure"] or ""):
            assert "<img" not in figure
            assert "\\u003cimg" not in figure
    for element in app.markdown:
        assert "<img" not in element.value.replace("\\<img", "")


@pytest.mark.parametrize("name", [*FIGURES])
def test_a_gpt2_and_a_pinned_llama_stand_side_by_side_on_one_scale(tiny: str, name: str) -> None:
    gpt2 = str(Path(tiny).parent / "gpt2")
    drawn = figures(part(gpt2, name, prompt="hello you", pin=pinned(tiny)))
    common = {"masks", "encoder-decoder"}
    for key in set(FIGURES[name]) - common:
        one, other = (json.loads(drawn[f"{key}-{side}"]["figure"]) for side in ("current", "pinned"))
        if key in ("work", "memory"):
            assert one["layout"]["yaxis"]["range"] == other["layout"]["yaxis"]["range"]
        if key == "cache":
            assert one["layout"]["xaxis3"]["range"] == other["layout"]["xaxis3"]["range"]
        if key.startswith("mask-") or key == "overlap":
            assert {(figure["data"][0]["zmin"], figure["data"][0]["zmax"]) for figure in (one, other)} == {
                (0, 1)
            }


@pytest.mark.parametrize("name", [*FIGURES])
def test_mathematics_and_code_have_the_numbers(tiny: str, name: str) -> None:
    app = part(tiny, name, token="3")
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "$$" in said(app)
    assert "def " in app.code[0].value


def test_lines_follow_token_head_and_key_and_the_mean(tiny: str) -> None:
    app = part(tiny, "lines", token="5", key="2")
    figure = figures(app)["lines"]
    assert "L1 H0: “·” reads" in figure["alt"]
    app.toggle(key="gf.widget.averaged").set_value(True).run()
    assert "L1, mean of 2 heads: “·” reads" in figures(app)["lines"]["alt"]
    assert "H0" not in figures(app)["lines"]["badge"]["text"]
    assert "(2)" in told(app)


def test_a_run_of_the_same_tokens_has_its_changes_in_words(tiny: str) -> None:
    app = part(tiny, "lines", pin=pinned(tiny, edits="h0.0*0"))
    assert "Current less pinned, the largest changes" in told(app)
    app = part(tiny, "lines", pin=pinned(tiny, prompt="bye"))
    assert "The two prompts are different tokens" in said(app)


def test_masks_open_on_one_that_shows_something_and_say_the_layers_own(tiny: str) -> None:
    app = part(tiny, "masks", token="2")
    assert single(app, "mask") == "bidirectional"
    assert "Layer 1 of this model really uses **a causal mask**" in said(app)
    assert "of its attention to later tokens" in said(app)
    badges = {key: message["badge"]["kind"] for key, message in figures(app).items()}
    assert badges == {
        "masks": "computed",
        "mask-measured": "measured",
        "mask-computed": "computed",
        "encoder-decoder": "illustration",
    }
    app.segmented_control(key="gf.widget.mask").set_value("window").run()
    app.slider(key="gf.widget.window").set_value(2).run()
    assert "further back than 2 tokens" in said(app)
    app.segmented_control(key="gf.widget.mask").set_value("causal").run()
    assert "the two maps are the same map" in said(app)


def test_a_window_longer_than_the_prompt_is_fitted(tiny: str) -> None:
    app = part(tiny, "masks", mask="window", window="5000")
    assert single(app, "window") == "11"


def test_groups_say_who_shares(tiny: str) -> None:
    words = said(part(tiny, "groups", head="1"))
    assert "12,288 × 128 = 1,572,864" in words
    assert "12,288 × 12,288 = 150,994,944" in words
    gpt2 = said(part(str(Path(tiny).parent / "gpt2"), "groups"))
    assert "plain **multi-head attention**" in gpt2


def test_cost_is_calculated_at_once_and_measured_on_the_button(tiny: str) -> None:
    app = part(tiny, "cost", span="4")
    assert f"n(n+1)/2 = **{score_counts(11)}** pairs" in said(app)
    assert f"**{score_counts(11, 4)}**" in said(app)
    assert "n² d = " in said(app)
    button = next(button for button in app.button if button.label.startswith("Measure on this machine"))
    button.click().run(timeout=60)
    assert not app.exception
    drawn = figures(app)
    assert drawn["cost"]["badge"]["kind"] == "measured"
    assert "Attention of one layer: " in said(app)
    assert "reads at most 64 tokens" in "\n".join(caption.value for caption in app.caption)
    again = part(tiny, "cost", prompt="another visitor")
    assert "cost" in figures(again), "a measurement is kept for everybody"
