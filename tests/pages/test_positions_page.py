"""The Positions page under AppTest: any prompt, both kinds of positions, a pinned run."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.loading.catalogue import row_of
from model_runtime.positions import length
from pages.positions import length as length_page
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said
from tests.tiny_checkpoints import save
from tests.tiny_models import build_model

POSITIONS = "positions/positions.py"
PROMPT = "hello you, hello me"
FIGURES = {
    "order": ["shuffled", "way", "order-next"],
    "schemes": ["schemes", "waves", "spiral", "slopes"],
    "beyond": ["length"],
}
FIGURES["rope"] = ["turning", "distance-score", "rope-tables"]
FIGURES["change"] = ["twist-as", "twist-edited", "twist-difference", "twist-heads", "twist-next"]
ROTATING_PARTS = ("rope", "change")
ONE_FOR_ALL = ("slopes",)  # of no run


def part(tiny: str, name: str, **link: str) -> AppTest:
    return open_page(tiny, POSITIONS, **{"place": name, "layer": "1", "head": "0", "prompt": PROMPT, **link})


def array_of(sent: dict[str, str]) -> np.ndarray:
    """Numbers as plotly packs them: bytes, a dtype and "rows, columns"."""
    flat = np.frombuffer(base64.b64decode(sent["bdata"]), dtype=f"<{sent['dtype']}")
    return flat.reshape([int(side) for side in sent["shape"].split(",")])


def expected(name: str, model: str = "llama") -> list[str]:
    """A model that rotates shows the learned table of the bundled GPT-2, where there is one."""
    learned = model == "gpt2" or row_of("gpt2-mini") is not None
    if model == "gpt2" and name in ROTATING_PARTS:
        return []
    return [key for key in FIGURES[name] if key != "spiral" or learned]


def told(app: AppTest) -> str:
    return said(app).replace("\\", "")


@pytest.mark.parametrize("model", ["llama", "gpt2"])
@pytest.mark.parametrize("prompt", [PROMPT, HOSTILE, "ab" * 32])
@pytest.mark.parametrize("name", [*FIGURES])
def test_every_part_draws_any_prompt(tiny: str, name: str, prompt: str, model: str) -> None:
    drawn = figures(part(str(Path(tiny).parent / model), name, prompt=prompt))
    assert [*drawn] == expected(name, model)
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
    both = (key for key in FIGURES[name] if {f"{key}-current", f"{key}-pinned"} <= {*drawn})
    for key in (key for key in both if key not in ONE_FOR_ALL):
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
    assert "no other order" in app.info[0].value.replace("\\", "")
    assert not app.error
    next(button for button in app.button if button.label == "Take the worked example").click().run()
    assert [*figures(app)] == FIGURES["order"]


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


def test_schemes_of_a_learned_and_of_a_rotating_model(tiny: str) -> None:
    gpt2 = str(Path(tiny).parent / "gpt2")
    app = part(gpt2, "schemes", reach="1024")
    words = told(app)
    assert "Learned (gpt2)" in words or "Learned" in words
    assert "The whole table of gpt2, 64 positions" in words
    assert "by formula, base 10,000" in words
    assert "Sinusoidal (computed, d = 8): the distance alone decides" in words
    llama = told(part(tiny, "schemes", theta="1000000", alibi="12", slope="11"))
    assert "RoPE (llama, base 1,000,000)" in llama
    assert "a geometric series of 8, and 4 from the series of 16" in llama


def test_a_slope_beyond_the_heads_is_fitted(tiny: str) -> None:
    app = part(tiny, "schemes", alibi="4", slope="100")
    assert app.query_params["slope"] in ("3", ["3"])
    assert "head 3 of 4" in told(app)


def test_a_changed_base_is_what_is_drawn(tiny: str) -> None:
    plain_one = figures(part(tiny, "schemes"))["waves"]["figure"]
    edited = figures(part(tiny, "schemes", edits="base500"))["waves"]["figure"]
    assert plain_one != edited


def test_two_runs_that_rotate_have_one_scale(tiny: str) -> None:
    drawn = figures(part(tiny, "rope", pin=pinned(tiny, prompt="another text")))
    for key, axis in (("turning", "yaxis2"), ("distance-score", "yaxis")):
        one, other = (
            json.loads(drawn[f"{key}-{side}"]["figure"])["layout"] for side in ("current", "pinned")
        )
        assert one[axis]["range"] == other[axis]["range"]


def test_rope_says_what_it_measured(tiny: str) -> None:
    app = part(tiny, "rope", pair="1", turn="7")
    words = told(app)
    assert "Only the distance counts." in words
    assert "Lengths stay." in words
    assert "Two layouts, one rotation." in words
    figure = json.loads(figures(app)["turning"]["figure"])
    assert "at position 7: pair 1 turns by" in figure["layout"]["title"]["text"]


def test_a_model_without_rotation_offers_one_that_has_it(tiny: str) -> None:
    app = part(str(Path(tiny).parent / "gpt2"), "rope")
    assert "does not turn queries and keys" in told(app) or "does not turn" in str(app.info[0].value)
    assert app.button(key="gf.rope.model").label == "Look at the default model"


def test_layers_with_another_base_are_named(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gemma 3 turns sliding layers by 10,000 and full ones by 1,000,000 (its configuration's defaults)."""
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"{tmp_path},{Path(tiny).parent}")
    folder = save(tmp_path / "gemma3", build_model("gemma3"))
    types = build_model("gemma3").config.layer_types
    one, other = (
        [str(at) for at, kind in enumerate(types) if kind.startswith(name)] for name in ("slid", "full")
    )
    words, plain_llama = (
        "".join(caption.value for caption in part(name, "rope").caption) for name in (str(folder), tiny)
    )
    assert "more than one base" in words
    assert f"10,000 in layers {', '.join(one)}; 1,000,000 in layer {', '.join(other)}." in words
    assert "more than one base" not in plain_llama


def test_nonsense_pair_and_position_fall_back(tiny: str) -> None:
    app = part(tiny, "rope", pair="99999", turn="99999999")
    assert [*figures(app)] == FIGURES["rope"]


@pytest.mark.parametrize("way", ["base", "offset", "linear", "ntk", "off"])
def test_every_change_of_the_rotation_draws(tiny: str, way: str) -> None:
    app = part(tiny, "change", twist=way)
    assert [*figures(app)] == FIGURES["change"]
    assert "KL divergence" in told(app)


def test_moving_all_positions_changes_no_pattern(tiny: str) -> None:
    for way, still in (("offset", True), ("base", False)):
        drawn = figures(part(tiny, "change", twist=way, twist_by="1000", twist_base="100"))
        title = json.loads(drawn["twist-heads"]["figure"])["layout"]["title"]["text"]
        assert title.startswith("No head moves") == still


def test_two_changed_runs_have_a_difference(tiny: str) -> None:
    """One run turned by base 100, the pinned one has a head off: cells are subtracted."""
    app = part(
        tiny, "change", twist="base", twist_base="100", pin=pinned(tiny, prompt=PROMPT, edits="h0.0*0")
    )
    drawn = figures(app)
    current, pinned_run, found = (
        array_of(json.loads(drawn[f"twist-heads-{name}"]["figure"])["data"][0]["z"])
        for name in ("current", "pinned", "difference")
    )
    np.testing.assert_allclose(found, current - pinned_run, atol=1e-8)
    assert np.abs(found).max() > 1e-6
    assert "twist-map-difference" in drawn
    app = part(tiny, "change", twist="base", twist_base="100", pin=pinned(tiny, prompt="another"))
    assert "different tokens" in told(app)


def test_an_edit_is_kept_for_all_pages_and_taken_back(tiny: str) -> None:
    app = part(tiny, "change", twist="ntk", twist_factor="2", edits="h0.0*0_ntk*8")
    app.button(key="gf.twist.keep").click().run()
    assert app.query_params["edits"] in ("h0.0*0_ntk*2", ["h0.0*0_ntk*2"])
    app.button(key="gf.twist.keep").click().run()
    assert app.query_params["edits"] in ("h0.0*0", ["h0.0*0"])


def test_a_rotating_model_is_read_beyond_its_context(tiny: str) -> None:
    app = part(tiny, "beyond", far="double")
    figure = json.loads(figures(app)["length"]["figure"])
    assert figure["layout"]["title"]["text"].startswith("Beyond 64 tokens the loss ")
    assert {trace["name"] for trace in figure["data"]} == {"as it is", "linear, 2 times", "NTK, 2 times"}
    assert "tokens 128" in figures(app)["length"]["caption"]
    assert "in the last quarter of the context" in told(app)
    assert not [button for button in app.button if button.label.startswith("Read")]


def test_a_learned_table_ends_with_the_real_error_in_words(tiny: str) -> None:
    app = part(str(Path(tiny).parent / "gpt2"), "beyond", far="double")
    assert "learned table of positions with 64 rows" in told(app)
    assert "IndexError: index out of range in self" in told(app)
    figure = json.loads(figures(app)["length"]["figure"])
    assert {trace["name"] for trace in figure["data"]} == {"as it is"}
    assert "tokens 64" in figures(app)["length"]["caption"]


def test_what_takes_long_is_read_on_a_button_and_kept(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length_page, "AT_ONCE", 0.0)
    app = part(tiny, "beyond", story="python")
    assert not figures(app)  # the small model that stands in would be read on a button too
    assert "reads 80 tokens for this picture" in told(app)
    buttons = [button for button in app.button if button.label.startswith("Read, ")]
    assert len(buttons) == 3
    buttons[1].click().run()
    assert not app.exception
    figure = json.loads(figures(app)["length"]["figure"])
    assert {trace["name"] for trace in figure["data"]} == {"linear, 2 times"}
    another = part(tiny, "beyond", story="python", prompt="another visitor")
    assert "length" in figures(another)


def test_a_model_of_longer_context_than_the_text_says_so(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length, "long_text", lambda name: "a short text of 30 characters.")
    app = part(tiny, "beyond", story="scripture")
    assert "nothing lies beyond it here" in told(app)
