"""Home and Attention under AppTest: they draw, follow the selection, and stand bad and hostile links."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime import load_model
from model_runtime.interventions import ScaleHead
from model_runtime.records.distributions import softmax
from pages.attention.head_kinds import example_of
from pages.shared.escape import plain, token_text
from pages.shared.frame import contents, opening
from pages.shared.frame.opening import measures_for
from pages.shared.run.opened import opened
from pages.shared.run.runs import run_of
from pages.shared.settings import table as settings
from pages.shared.settings import url_state
from viz.attention.heads import measure_to_open
from viz.attention.worth import beyond, effect_record, effect_sentence

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
ATTENTION = "attention/attention.py"
HOSTILE = "</script><img src=x onerror=a()> $a$ \u202e\u200b👩 ש\n\tok"  # 54 bytes, so 54 tokens


def open_page(tiny: str, file: str | None = None, **link: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for key, value in {"model": tiny, "prompt": "hello hello", **link}.items():
        app.query_params[key] = value
    app.run()
    if file is not None:
        app.switch_page(file).run()
    assert not app.exception
    return app


def figures(app: AppTest) -> dict[str, dict[str, Any]]:
    """Key -> what travels to the browser, of every live figure on the page."""
    messages = [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]
    return {message["key"]: message for message in messages if "figure" in message}


def said(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


@pytest.mark.parametrize("prompt", ["hello hello", "x", "🙂", HOSTILE, "a" * 64])
@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_both_pages_draw_any_prompt(tiny: str, model: str, prompt: str) -> None:
    folder = str(Path(tiny).parent / model)
    assert [*figures(open_page(folder, prompt=prompt))] == ["forward-pass"]
    app = open_page(folder, ATTENTION, prompt=prompt)
    assert [*figures(app)] == ["heads", "pattern"]


def test_home_follows_the_selected_token(tiny: str) -> None:
    app = open_page(tiny, token="0", layer="1")
    figure = figures(app)["forward-pass"]
    assert "Selected is token 0, “h”" in figure["alt"]
    assert "In the prompt “e” follows: rank" in figure["alt"]
    assert json.loads(figure["narrow_figure"])["data"]


def test_home_says_every_stage_and_links_to_the_pages(tiny: str) -> None:
    app = open_page(tiny, layer="1")
    for name in ("① Tokens", "② Embedding", "③ 2 blocks", "④ Final norm", "⑤ Next token"):
        assert f"**{name}**" in said(app)
    labels = [link.proto.label for link in app.get("page_link")]
    assert "Attention in block 1 →" in labels
    assert "How one is chosen →" in labels


def test_home_with_an_edit_is_the_edited_model(tiny: str) -> None:
    plain = figures(open_page(tiny))["forward-pass"]
    edited = figures(open_page(tiny, edits="h0.0*0"))["forward-pass"]
    assert plain["figure"] != edited["figure"]
    assert "head 0 of layer 0 off" in edited["caption"]


def pinned(model: str, **values: str) -> str:
    return json.dumps({"model": model, "prompt": "hello hello", **values})


def test_home_draws_a_pinned_run_on_the_same_scales(tiny: str) -> None:
    drawn = figures(open_page(tiny, pin=pinned(tiny, prompt="bye")))
    current, other = (
        json.loads(drawn[f"forward-pass-{name}"]["figure"])["layout"] for name in ("current", "pinned")
    )
    for axis in ("yaxis2", "yaxis3", "xaxis4"):
        assert current[axis]["range"] == other[axis]["range"]


@pytest.mark.parametrize("measure", ["previous", "first", "induction", "duplicate", "entropy", "distance"])
def test_every_measure_colours_the_overview(tiny: str, measure: str) -> None:
    app = open_page(tiny, ATTENTION)
    app.segmented_control(key="gf.widget.measure").set_value(measure).run()
    assert not app.exception
    assert figures(app)["heads"]["alt"].startswith("2 layers by 2 heads")
    assert app.query_params["measure"] in (measure, [measure])


def test_opens_on_a_head_that_does_something_when_the_link_says_none(tiny: str) -> None:
    app = open_page(tiny, ATTENTION)
    assert "Most: <b>L" in json.loads(figures(app)["heads"]["figure"])["layout"]["title"]["text"]
    layer, head = int(single(app, "layer")), int(single(app, "head"))
    title = json.loads(figures(app)["pattern"]["figure"])["layout"]["title"]["text"]
    assert title.startswith(f"L{layer} H{head}: ")


def single(app: AppTest, key: str) -> str:
    value = app.query_params[key]
    return value if isinstance(value, str) else value[-1]


def test_a_long_prompt_opens_the_default_models_induction_head_unmeasured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "is_long", lambda run: True)
    monkeypatch.setattr(opening, "measures_for", lambda run: pytest.fail("measured before the first picture"))
    run = SimpleNamespace(settings=run_of(settings.defaults()))
    assert opening.head_to_open(run) == (settings.DEFAULT_LAYER, settings.DEFAULT_HEAD)


def test_opens_with_the_measure_of_the_heads_kind_until_one_is_chosen(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="1", head="0")
    first = single(app, "measure")
    run = opened(run_of({**settings.defaults(), "model": tiny, "prompt": "hello hello"}))
    assert first == measure_to_open(measures_for(run), 1, 0)
    app.query_params["head"] = "1"
    app.run()
    assert single(app, "measure") == first, "another head does not colour the overview anew"
    chosen = open_page(tiny, ATTENTION, layer="1", head="0", measure="first")
    assert single(chosen, "measure") == "first"


def test_a_kind_that_cannot_be_told_says_so_and_opens_an_example(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, prompt="abc", measure="induction")
    assert "**Induction** · cannot be told" in said(app)
    assert "No token of this prompt comes twice." in said(app)
    app.button(key="gf.example.kinds.duplicate").click().run()
    assert not app.exception
    assert single(app, "measure") == "duplicate"
    assert single(app, "prompt") == example_of("duplicate").prompt
    assert "**Duplicate token** · cannot be told" not in said(app)


def test_a_head_named_in_the_list_is_chosen_with_its_measure(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, measure="previous", layer="0", head="0")
    key = next(group.key for group in app.pills if str(group.key).startswith("gf.kind."))
    app.pills(key=key).set_value((1, 1)).run()
    assert not app.exception
    assert (single(app, "layer"), single(app, "head")) == ("1", "1")
    assert f"gf.kind.{single(app, 'measure')}" == key


def test_the_chosen_cell_is_outlined_and_leads_to_its_number(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, token="5", key="2", layer="1", head="1")
    shapes = json.loads(figures(app)["pattern"]["figure"])["layout"]["shapes"]
    assert [shape["x0"] for shape in shapes] == [-0.5, 1.5]
    next(b for b in app.button if b.label == "Let the chosen cell go").click().run()
    assert single(app, "key") == "-1"
    assert len(json.loads(figures(app)["pattern"]["figure"])["layout"]["shapes"]) == 1
    next(b for b in app.button if "number come from" in b.label).click().run()
    assert single(app, "part") == "number"
    assert int(single(app, "key")) >= 0


def test_the_button_goes_to_the_strongest_head(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="0", head="0")
    for measure in ("entropy", "first", "distance"):
        app.segmented_control(key="gf.widget.measure").set_value(measure).run()
        button = next(b for b in app.button if "strongest" in b.label)
        if button.disabled:
            continue
        button.click().run()
        title = json.loads(figures(app)["heads"]["figure"])["layout"]["title"]["text"]
        assert title.startswith(f"Most: <b>L{single(app, 'layer')} H{single(app, 'head')}</b>")


def test_switching_a_head_off_is_an_edit_with_its_effect(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="1", head="0")
    assert "Without" not in said(app)
    assert "without" not in figures(app)
    app.toggle[0].set_value(True).run()
    assert single(app, "edits") == "h1.0*0"
    model = load_model(tiny)
    whole = model.trace("hello hello")
    off = model.trace("hello hello", interventions=ScaleHead(1, 0))
    before, after = (softmax(trace.next_token_logits()) for trace in (whole, off))
    token = int(before.argmax())
    bars = json.loads(figures(app)["without"]["figure"])["data"]
    assert [bar["name"] for bar in bars] == ["with L1 H0", "without L1 H0"]
    effect = effect_record(
        whole.get("pattern", 1, 0)[-1],
        [token.id for token in whole.tokens],
        [token_text(token) for token in whole.tokens],
        layer=1,
        head=0,
        token=token,
        text=token_text(model.token(token)),
        before=float(before[token]),
        after=float(after[token]),
    )
    assert f"**{plain(effect_sentence(effect))}** {plain(beyond(effect))}" in said(app)
    assert "With L1 H0" in "".join(element.proto.body for element in app.get("html"))
    assert any("KL divergence" in caption.value for caption in app.caption)
    assert "Switched off: L1 H0." in figures(app)["heads"]["alt"]
    assert "L1 H0 is <b>off</b>" in json.loads(figures(app)["pattern"]["figure"])["layout"]["title"]["text"]
    app.toggle[0].set_value(False).run()
    assert single(app, "edits") == ""
    assert "Without" not in said(app)


def test_the_switch_of_one_head_leaves_other_edits_alone(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="1", head="0", edits="m0*0_h0.1*0")
    app.toggle[0].set_value(True).run()
    assert app.session_state[url_state._VALUES]["edits"][1:] == (ScaleHead(0, 1), ScaleHead(1, 0))


def test_equal_prompts_get_a_difference(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="1", head="1", pin=pinned(tiny, edits="h0.0*0"))
    assert {"pattern-current", "pattern-pinned", "difference", "heads-difference"} <= figures(app).keys()


def test_different_prompts_get_a_reason_instead(tiny: str) -> None:
    app = open_page(tiny, ATTENTION, layer="1", head="1", pin=pinned(tiny, prompt="bye"))
    assert "difference" not in figures(app)
    assert "The two prompts are different tokens (11 and 3)" in said(app)
    for name in ("current", "pinned"):
        heatmap = json.loads(figures(app)[f"pattern-{name}"]["figure"])["data"][0]
        assert (heatmap["zmin"], heatmap["zmax"]) == (0, 1)


@pytest.mark.parametrize("file", [None, ATTENTION])
def test_the_mathematics_and_the_code_are_there(tiny: str, file: str | None) -> None:
    app = open_page(tiny, file, layer="1", head="1", token="3")
    assert [expander.label for expander in app.main.expander][-3:] == [
        "The mathematics",
        "The code",
        "Where this comes from",
    ]
    assert not app.code, "what stands in a closed expander is not sent"
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "def " in app.code[0].value
    assert r"\frac" in said(app)


@pytest.mark.parametrize("file", [None, ATTENTION])
def test_no_prompt_text_becomes_markup(tiny: str, file: str | None) -> None:
    app = open_page(tiny, file, prompt=HOSTILE)
    for message in figures(app).values():
        assert "<img" not in message["figure"]
        assert "\\u003cimg" not in message["figure"]
    for element in app.markdown:
        assert "<img" not in element.value.replace("\\<img", "")


# What is drawn of tokens, weights and sizes: no edit of a run shows in it.
AS_IT_IS = (
    *(("tokens", part) for part in ("compare", "levels", "built", "train", "fed")),
    *(("embeddings", part) for part in ("table", "words", "map")),
    *(("number-formats", part) for part in ("weights", "blocks")),
    ("moe", "sizes"),
)


@pytest.mark.parametrize(("page", "part"), [*AS_IT_IS, ("attention", "heads")])
def test_only_what_an_edit_changes_is_called_edited(tiny: str, page: str, part: str) -> None:
    entry = contents.entry_of(page)
    app = open_page(tiny, entry.file, edits="m0*2", **{entry.setting: part})
    captions = [message["caption"] for message in figures(app).values()]
    assert captions
    for caption in captions:
        assert ("Edited: MLP of layer 0 times 2" in caption) is (page == "attention"), caption
    if part == "fed":
        assert any("first token of each reading has no bar" in one.value for one in app.caption)
