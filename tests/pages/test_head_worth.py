"""The sweep that switches every head off, on its page: it fills, stops, goes on, and says what it is of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model_runtime import head_worth, load_model
from model_runtime.run import open_run
from pages.attention import head_worth as page
from pages.shared.escape import plain, token_text
from pages.shared.run.opened import opened
from pages.shared.run.runs import run_of
from pages.shared.settings.table import defaults
from tests.pages.test_home_and_attention import ATTENTION, figures, open_page, pinned, said, single
from viz.attention.worth import effect_record, effect_words
from viz.style import quoted


def captions(app: AppTest) -> str:
    return "\n".join(element.value for element in app.caption)


def heads_title(app: AppTest) -> str:
    title: str = json.loads(figures(app)["heads"]["figure"])["layout"]["title"]["text"]
    return title


def half_done(app: AppTest) -> bool:
    """Whether the overview shows the last layer's heads, and not yet the first one's."""
    return "so far" in heads_title(app).lower()


def test_what_heads_are_worth_fills_part_by_part(tiny: str) -> None:
    """Two layers are two parts: one is made in each run of the page, or of the fragment that fills it."""
    app = open_page(tiny, ATTENTION, measure="worth", layer="0", head="1", prompt="worth one")
    assert heads_title(app) == "No head is measured yet"
    run = open_run(load_model(tiny), "worth one")
    token = int(run.trace.next_token_logits().argmax())
    kept = opened(run_of({**defaults(), "model": tiny, "prompt": "worth one"}))
    known = [kept.known(head_worth, token=token, layers=layers) for layers in ((1,), (0,))]
    assert [found is not None for found in known] == [True, False]
    assert any(button.label == "Stop" for button in app.button)
    app.run()
    assert not half_done(app)
    worth = head_worth(run)
    cells = json.loads(figures(app)["heads"]["figure"])["data"][0]
    largest = np.abs(worth.change).max()
    assert cells["zmin"] == pytest.approx(-largest, abs=1e-6)
    text = token_text(run.model.token(worth.token))
    assert f"the likeliest next token, {plain(quoted(text))}, loses" in captions(app)
    row = run.trace.get("pattern", 0, 1)[-1]
    texts = [token_text(token) for token in run.tokens]
    shares = (float(np.exp(worth.before)), float(np.exp(worth.after[0, 1])))
    effect = effect_record(
        row, run.ids, texts, layer=0, head=1, token=worth.token, text=text, before=shares[0], after=shares[1]
    )
    assert plain(effect_words(effect)) in said(app)


def test_the_sweep_stops_and_goes_on_and_waits_where_it_takes_long(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "UNASKED_SECONDS", 0.0)
    app = open_page(tiny, ATTENTION, measure="worth", prompt="worth two")
    assert heads_title(app) == "No head is measured yet"
    app.button(key="gf.worth.go").click().run()
    assert app.button(key="gf.worth.stop").label == "Stop"
    app.button(key="gf.worth.stop").click().run()
    assert app.button(key="gf.worth.go").label == "Go on"
    assert half_done(app)
    app.button(key="gf.worth.go").click().run()
    assert not half_done(app)


def test_the_worth_is_of_the_chosen_candidate(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, measure="worth", prompt="worth three", candidate="66")
    assert single(app, "candidate") == "66", "the link shows the same picture"
    text = token_text(load_model(tiny).token(66))
    assert f"how much the chosen next token, {plain(quoted(text))}" in captions(app)
    app.button(key="gf.worth.likeliest").click().run()
    assert "how much the likeliest next token" in captions(app)
    assert "candidate" not in app.query_params


def test_two_runs_have_their_worth_on_one_scale(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, measure="worth", pin=pinned(tiny, edits="h0.0*0"))
    grids = [json.loads(figures(app)[f"heads-{name}"]["figure"])["data"][0] for name in ("current", "pinned")]
    assert len({grid["zmax"] for grid in grids}) == 1
    assert grids[0]["z"] != grids[1]["z"]
    assert "heads-difference" in figures(app)
