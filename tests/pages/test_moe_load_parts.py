"""The parts "domains", "load" and "sizes" under AppTest: tiny MoE models, dense ones, a pinned run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.moe import collapse, domains
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said, single
from tests.tiny_models import build_model, tiny_tokenizer
from tests.unit.model_runtime.moe.test_collapse import written

MOE = "moe/moe.py"
PROMPT = "the quick brown fox jumps over the lazy dog"
FIGURES = {
    "domains": ["domains", "divergence", "typical"],
    "load": ["load", "collapse"],
    "sizes": ["sizes", "memory", "calculator"],
}


@pytest.fixture(scope="module")
def sparse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two mixtures of experts, one with a dense layer in the middle."""
    folder = tmp_path_factory.mktemp("sparse")
    for family in ("mixtral", "qwen2_moe"):
        build_model(family).save_pretrained(folder / family)
        tiny_tokenizer().save_pretrained(folder / family)
    return folder


@pytest.fixture
def sparse(sparse_folder: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the tiny Mixtral, allowed on this server beside the dense ones; and a recording."""
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"{sparse_folder},{model_folder}")
    monkeypatch.setattr(collapse.read_collapse, "__defaults__", (written(tmp_path),))
    return str(sparse_folder / "mixtral")


def part(model: str, name: str, **link: str) -> AppTest:
    return open_page(model, MOE, moe=name, **{"layer": "1", "prompt": PROMPT, **link})


def told(app: AppTest) -> str:
    """What stands there, as a reader sees it: without markdown's backslashes."""
    return said(app).replace("\\", "")


@pytest.mark.parametrize("prompt", ["x", HOSTILE])
@pytest.mark.parametrize("name", [*FIGURES])
def test_every_part_draws_any_prompt(sparse: str, name: str, prompt: str) -> None:
    app = part(sparse, name, prompt=prompt, noise="1", capacity="0.5")
    drawn = figures(app)
    assert [*drawn] == FIGURES[name]
    for message in drawn.values():
        for figure in (message["figure"], message["narrow_figure"] or ""):
            assert "<img" not in figure
            assert "\\u003cimg" not in figure


@pytest.mark.parametrize("name", [*FIGURES])
def test_mathematics_and_code_have_the_numbers(sparse: str, name: str) -> None:
    app = part(sparse, name)
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "$$" in said(app)
    assert "def " in app.code[0].value


@pytest.mark.parametrize("name", [*FIGURES])
def test_two_prompts_of_one_model(sparse: str, name: str) -> None:
    app = part(sparse, name, pin=pinned(sparse, prompt="0 + 0 = 0"))
    drawn = figures(app)
    if name == "domains":
        assert [*drawn] == ["domains-current", "divergence-current", "typical-current", "prompt-divergence"]
        names = [trace["name"] for trace in json.loads(drawn["domains-current"]["figure"])["data"]]
        assert names[-2:] == ["Current run", "Pinned run"]
        assert "dealt out" in told(app)
    if name == "load":
        one, other = (json.loads(drawn[f"load-{run}"]["figure"])["layout"] for run in ("current", "pinned"))
        assert one["xaxis2"]["range"] == other["xaxis2"]["range"]
        assert drawn["load-current"]["browser"] is not None
        assert drawn["load-pinned"]["browser"] is None, "it has no sliders, so the browser must not redraw it"
    if name == "sizes":
        assert [*drawn] == FIGURES["sizes"]


@pytest.mark.parametrize("name", ["domains", "sizes"])
def test_two_models_stand_side_by_side(sparse: str, name: str) -> None:
    other = str(Path(sparse).parent / "qwen2_moe")
    app = part(other, name, pin=pinned(sparse))
    drawn = figures(app)
    if name == "domains":
        assert {"domains-current", "domains-pinned"} <= {*drawn}
        assert "other experts" in "\n".join(info.value for info in app.info)
    if name == "sizes":
        loaded = json.loads(drawn["memory"]["figure"])["data"][2]
        assert loaded["name"] == "loaded"
        assert len(loaded["x"]) == 2


def test_dense_models_have_sizes_and_nothing_else(sparse: str, model_folder: Path) -> None:
    dense = str(model_folder / "llama")
    app = part(dense, "sizes")
    assert [*figures(app)] == FIGURES["sizes"]
    assert "Total = active." in told(app)
    for name in ("domains", "load"):
        app = part(dense, name)
        assert figures(app) == {}
        assert "is a dense model" in "\n".join(info.value for info in app.info)


def test_a_dense_layer_is_replaced_by_the_nearest(sparse: str) -> None:
    app = part(str(Path(sparse).parent / "qwen2_moe"), "load", layer="1")
    assert "Layer 1 is dense" in "\n".join(info.value for info in app.info)
    assert "L0" in figures(app)["load"]["badge"]["text"]


def test_the_load_is_measured_until_a_slider_moves(sparse: str) -> None:
    message = figures(part(sparse, "load"))["load"]
    assert message["badge"]["kind"] == "measured"
    message = figures(part(sparse, "load", noise="0.5"))["load"]
    assert message["badge"]["kind"] == "computed"
    assert "seed 0" in message["badge"]["text"]
    assert "Noise Gaussian, σ 0.5" in message["caption"]
    message = figures(part(sparse, "load", capacity="1"))["load"]
    assert "Capacity factor 1" in message["caption"]
    assert "dropped" in message["alt"]


def test_a_forced_router_has_no_noise(sparse: str) -> None:
    from model_runtime.interventions import ForceExperts
    from pages.shared.settings.edit_codes import format_edits

    edit = format_edits((ForceExperts(layer=1, experts=(0, 1)),))
    message = figures(part(sparse, "load", noise="2", edits=edit))["load"]
    assert [slider["name"] for slider in message["sliders"]] == ["capacity"]
    assert "E0 9, E1 9, E2 0, E3 0" in message["alt"]


def test_the_recording_is_shown_as_one(sparse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse.read_collapse, "__defaults__", (tmp_path / "none.json",))
    app = part(sparse, "load")
    assert "is not here" in "\n".join(info.value for info in app.info).replace("\\", "")
    monkeypatch.setattr(collapse.read_collapse, "__defaults__", (written(tmp_path),))
    app = part(sparse, "load", layer="2")  # the recording has layers 0 and 1
    message = figures(app)["collapse"]
    assert "Recorded a tiny training" in message["caption"]
    assert "L1" in message["badge"]["text"]
    assert "100\u00a0% without it" in told(app)


def test_missing_text_leaves_the_rest(sparse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.shared.run import runtime

    runtime._cache.clear()
    runtime._dear.clear()
    monkeypatch.setattr(domains.read_heldout, "__defaults__", (tmp_path,))
    app = part(sparse, "domains", pin=pinned(sparse, prompt="0 + 0"))
    assert "plays.txt is missing" in "\n".join(info.value for info in app.info).replace("\\", "")
    assert [*figures(app)] == ["prompt-divergence"]


def test_large_models_wait_for_the_button(sparse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.moe import domains as page
    from pages.shared.run import runtime

    runtime._cache.clear()
    runtime._dear.clear()
    monkeypatch.setattr(page, "MOST_AT_ONCE", 10)
    app = part(sparse, "domains")
    assert figures(app) == {}
    next(button for button in app.button if button.label.startswith("Measure on the held-out")).click().run()
    assert [*figures(app)] == FIGURES["domains"]


def test_an_expert_is_chosen_and_kept(sparse: str) -> None:
    app = part(sparse, "domains", expert="2")
    assert "L1: E2 takes" in figures(app)["domains"]["alt"]
    app.selectbox(key="gf.widget.expert").set_value(3).run()
    assert not app.exception
    assert "L1: E3 takes" in figures(app)["domains"]["alt"]
    assert single(app, "expert") == "3"


def test_the_calculator_follows_the_link(sparse: str) -> None:
    message = figures(part(sparse, "sizes", size_n="64", size_k="8", size_ff="100"))["calculator"]
    assert "64 experts, top-8, width 100" in message["alt"]
    message = figures(part(sparse, "sizes", size_n="2", size_k="8"))["calculator"]
    assert "2 experts, top-2" in message["alt"]


@pytest.mark.parametrize("name", ["load", "sizes"])
def test_nonsense_in_the_link_falls_back(sparse: str, name: str) -> None:
    bad = {"noise": "nan", "capacity": "-3", "size_n": "9e99", "size_k": "x", "expert": "1e9"}
    app = part(sparse, name, layer="77", **bad)
    assert [*figures(app)] == FIGURES[name]
