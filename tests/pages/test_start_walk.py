"""Start as a walk: every step by its link, bad links, and what a click opens in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.figure import walk as walking
from pages.shared.figure.walk import Walk
from pages.shared.settings.table import DEFAULT_MODEL, DEFAULT_PROMPT
from tests.pages.test_home_and_attention import figures, open_page, pinned, said, single
from tests.tiny_models import build_model, tiny_tokenizer
from viz.drawn import Stop

FAMILIES = ("mixtral", "gpt_neox", "gemma2")  # experts; a parallel block; norms after attention


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        build_model(family).save_pretrained(folder / family)
        tiny_tokenizer().save_pretrained(folder / family)
    return folder


@pytest.fixture
def model(
    request: pytest.FixtureRequest, families: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"{families},{model_folder}")
    name = str(request.param)
    return name if name == DEFAULT_MODEL else str((families if name in FAMILIES else model_folder) / name)


def plan(app: AppTest) -> dict[str, Any]:
    assert not [element.value for element in app.error]
    found: dict[str, Any] = figures(app)["forward-pass"]["walk"]
    return found


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "llama", "gpt2", *FAMILIES], indirect=True)
def test_every_step_has_a_link(model: str) -> None:
    app = open_page(model, prompt=DEFAULT_PROMPT[:40])
    for step in range(7):
        app.query_params["step"] = str(step)
        app.run()
        assert not app.exception
        found = plan(app)
        assert found["at"] == step
        assert single(app, "step") == str(step)
        assert len(found["stops"]) == 6
        assert all(stop["says"].endswith(".") and stop["look"] for stop in found["stops"])


def test_the_default_opens_on_the_whole_picture_and_says_the_measured_numbers() -> None:
    found = plan(open_page(DEFAULT_MODEL, prompt=DEFAULT_PROMPT))
    assert found["at"] == 0
    assert found["invitation"] == "Follow “·Harry” through the model to its guess, in 6 steps."
    assert found["onward"] == "Next: how text becomes tokens →"
    words = [stop["says"].replace("\u00a0", " ") for stop in found["stops"]]
    assert "number 15,688." in words[0]
    assert "“·Potter” rises from" in words[3]
    assert "to 57.9 %." in words[3], "after the last block, the lens is the model's own guess"
    assert "“·Potter” gets 57.9 %" in words[5]


@pytest.mark.parametrize(("step", "taken"), [("999", 6), ("abc", 0), ("-3", 0), ("", 0), ("2.6", 3)])
def test_a_bad_step_is_the_nearest_allowed_one(tiny: str, step: str, taken: int) -> None:
    app = open_page(tiny, step=step)
    assert plan(app)["at"] == taken
    assert single(app, "step") == str(taken)


@pytest.mark.parametrize("token", ["0", "3"])
def test_the_selected_token_is_followed(tiny: str, token: str) -> None:
    found = plan(open_page(tiny, step="3", token=token))
    assert found["invitation"].startswith(f"Follow “{'hello hello'[int(token)]}”")
    assert ("nobody but itself" in found["stops"][2]["says"]) == (token == "0")


def test_the_pinned_run_is_not_walked_through(tiny: str) -> None:
    drawn = figures(open_page(tiny, step="2", pin=pinned(tiny, prompt="bye")))
    assert drawn["forward-pass-current"]["walk"]["at"] == 2
    assert drawn["forward-pass-pinned"]["walk"] is None


@pytest.mark.parametrize("model", ["llama", "gpt2", *FAMILIES], indirect=True)
def test_a_block_opens_in_place_with_the_guess_before_and_after(model: str) -> None:
    app = open_page(model, opened="block", layer="1", prompt="the quick brown fox")
    found = figures(app)
    assert list(found) == ["forward-pass", "block-change"]
    assert "Attention added a vector" in said(app)
    assert "the final guess" in said(app)
    assert any(label.startswith("Open L1 H") and label.endswith("in Attention →") for label in labels(app))
    names = {trace["name"] for trace in json.loads(found["block-change"]["figure"])["data"]}
    assert ("After attention" in names) == (not model.endswith("gpt_neox"))
    assert ("This token asked experts" in said(app)) == model.endswith("mixtral")


def test_a_guess_opens_in_place_with_its_share_worked_out(tiny: str) -> None:
    app = open_page(tiny, opened="guess", guess="97")
    assert "has the score" in said(app)
    assert "of 256." in said(app)
    assert r"\frac{e^{z - z_{\max}}}" in app.latex[0].value
    assert "Open in Next token →" in labels(app)
    app = open_page(tiny, opened="guess", guess="99999999")
    assert not app.exception
    assert single(app, "guess") == "255"


def test_the_control_opens_another_block_and_closes_again(tiny: str) -> None:
    app = open_page(tiny, layer="0")
    assert "block-change" not in figures(app)
    app.segmented_control(key="gf.widget.opened").set_value("block").run()
    assert json.loads(figures(app)["block-change"]["figure"])["layout"]["title"]["text"].startswith(
        "Block 0: "
    )
    app.number_input(key="gf.widget.layeropened").set_value(1).run()
    assert (single(app, "layer"), single(app, "opened")) == ("1", "block")
    assert json.loads(figures(app)["block-change"]["figure"])["layout"]["title"]["text"].startswith(
        "Block 1: "
    )
    app.segmented_control(key="gf.widget.opened").set_value("nothing").run()
    assert "block-change" not in figures(app)


@pytest.mark.parametrize("edits", ["h0.0*0", "m1*0"])
def test_an_edited_model_is_read_as_edited(tiny: str, edits: str) -> None:
    own, edited = (open_page(tiny, opened="block", layer="1", edits=code) for code in ("", edits))
    assert figures(own)["block-change"]["figure"] != figures(edited)["block-change"]["figure"]


def told(report: Any, seen: int = 0) -> list[int | str]:
    """What a walk of two stops makes of a browser's report."""
    found: list[int | str] = []
    walk = Walk(0, "Follow", "On", on_step=found.append, on_onward=lambda: found.append("on"))
    walking.st.session_state["key:walk-seq"] = seen
    walking.reported(walk, report, 2, "key")
    return found


@pytest.mark.parametrize(
    ("report", "taken"),
    [
        ({"seq": 1, "at": 2}, [2]),
        ({"seq": 1, "at": 3}, ["on"]),
        ({"seq": 1, "at": -4}, [0]),
        ({"seq": 2**53, "at": 1}, []),
        ({"seq": 1, "at": "1"}, []),
        ({"seq": 1}, []),
        (None, []),
    ],
)
def test_what_a_browser_reports_is_checked(report: Any, taken: list[int | str]) -> None:
    assert told(report) == taken


def test_a_report_that_a_later_one_overtook_is_not_taken() -> None:
    assert told({"seq": 4, "at": 1}, seen=4) == []


def test_a_figure_without_stops_has_no_walk() -> None:
    walk = Walk(1, "Follow", "On", print, print)
    assert walking.message(walk, (), "key") is None
    assert walking.message(None, [Stop("a", "b.", "c.")], "key") is None
