"""The shell under AppTest: links, widgets, the selection, pinned runs, errors that keep the last picture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.loading.permitted import offered
from pages.shared.frame import contents, opening
from pages.shared.frame.bar import most_words
from pages.shared.frame.examples import EXAMPLES
from pages.shared.settings.table import DEFAULT_MODEL, MOST_PROMPT_CHARACTERS, SETTINGS
from tests.pages.conftest import Visit, in_the_prompt_box, run_prompt, texts

HOSTILE = "</script><img src=x onerror=alert(1)> `x` *y* [z](javascript:alert(1)) :material/home: $a$ \u202e"


def query(app: AppTest) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value[-1] for key, value in app.query_params.items()}


def test_a_link_opens_exactly_what_it_says(visit: Visit) -> None:
    app = visit(prompt="hello", layer="1", head="0", token="2", edits="h1.1*0")
    assert not app.exception
    assert texts(app) == ["drawn: hello", "selected: 1 0 2 of 5"]
    assert app.number_input(key="gf.widget.layer").value == 1
    assert in_the_prompt_box(app) == "hello"
    assert app.button(key="gf.edit.0").label == "head 1 of layer 1 off ✕"


def test_the_link_holds_every_shared_setting_defaults_too(visit: Visit) -> None:
    app = visit(prompt="hello")
    of_the_page = (None, contents.PAGES[0].url)
    assert {*query(app)} == {row.key for row in SETTINGS.values() if row.page in of_the_page}


@pytest.mark.parametrize("value", ["999", "-5", "nan", "inf", "-inf", "1e400", "x", "", "9" * 5000, "[1]"])
@pytest.mark.parametrize("key", ["layer", "head", "token"])
def test_bad_selections_land_in_the_model(visit: Visit, key: str, value: str) -> None:
    app = visit(prompt="hello", **{key: value})
    assert not app.exception
    assert texts(app)[0] == "drawn: hello"
    layer, head, token = (int(word) for word in texts(app)[1].split()[1:4])
    assert layer in (0, 1)
    assert head in (0, 1)
    assert token in range(5)


def test_a_widget_changes_picture_and_link(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    app.number_input(key="gf.widget.layer").set_value(1).run()
    assert texts(app)[1] == "selected: 1 0 4 of 5"
    assert query(app)["layer"] == "1"


def test_back_takes_the_earlier_link(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    before = query(app)
    app.number_input(key="gf.widget.layer").set_value(1).run()
    wait_until_not_late(app)
    for key, value in before.items():
        app.query_params[key] = value
    app.run()
    assert texts(app)[1] == "selected: 0 0 4 of 5"
    assert app.number_input(key="gf.widget.layer").value == 0


def wait_until_not_late(app: AppTest) -> None:
    """Make our last writes older than the time in which a click may still carry an older URL."""
    written = app.session_state["gf.written"]
    app.session_state["gf.written"] = [(when - 10, link) for when, link in written]


def test_a_click_with_an_older_url_is_no_back(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    before = query(app)
    app.number_input(key="gf.widget.layer").set_value(1).run()
    wait_until_not_late(app)
    for key, value in before.items():  # the browser has not got our URL yet
        app.query_params[key] = value
    app.number_input(key="gf.widget.head").set_value(1).run()
    assert texts(app)[1] == "selected: 1 1 4 of 5"


def test_pages_keep_the_settings_when_the_link_between_them_carries_none(visit: Visit) -> None:
    app = visit(prompt="hello", layer="1", head="1")
    app.query_params.clear()
    app.switch_page("attention/attention.py").run()
    assert texts(app) == ["drawn: hello", "selected: 1 1 4 of 5"]
    assert query(app)["layer"] == "1"


def test_the_prompt_box_holds_the_prompt_on_every_page(visit: Visit) -> None:
    app = visit(prompt="hello", layer="1", head="1")
    for entry in [*contents.PAGES[1:], *contents.PAGES]:
        app.query_params.clear()
        app.switch_page(entry.file).run()
        assert texts(app)[0] == "drawn: hello"
        if not entry.has_prompt_box:
            assert in_the_prompt_box(app) == "hello", entry.title


def test_refused_text_does_not_follow_to_the_next_page(visit: Visit) -> None:
    app = visit(prompt="hello", layer="1", head="1")
    run_prompt(app, "x" * (MOST_PROMPT_CHARACTERS + 1))
    assert [element.value for element in app.warning]
    app.query_params.clear()
    app.switch_page("attention/attention.py").run()
    assert in_the_prompt_box(app) == "hello"
    assert not [element.value for element in app.warning]


def test_a_shorter_prompt_clamps_the_token(visit: Visit) -> None:
    app = visit(prompt="hello", token="4", layer="0", head="0")
    run_prompt(app, "hi")
    assert texts(app) == ["drawn: hi", "selected: 0 0 1 of 2"]
    assert query(app)["token"] == "1"


def test_the_last_token_follows_the_prompt(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    run_prompt(app, "hello there")
    assert texts(app)[1] == "selected: 0 0 10 of 11"
    assert query(app)["token"] == "-1"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "blank"),
        ("  \n ", "blank"),
        ("x" * 65, "65 tokens"),
        ("x" * (MOST_PROMPT_CHARACTERS + 1), f"{MOST_PROMPT_CHARACTERS + 1:,} characters"),
        ("boom", "Nothing is left"),
    ],
)
def test_what_cannot_be_drawn_is_told_and_the_last_picture_stays(
    visit: Visit, prompt: str, words: str
) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    run_prompt(app, prompt)
    assert not app.exception
    messages = [element.value for element in (*app.error, *app.warning)]
    assert any(words in message.replace("\\", "") for message in messages), messages
    assert texts(app) == ["drawn: hello", "selected: 0 0 4 of 5"]
    # A text over the limit is not taken: the browser keeps it in the box, to be shortened.
    assert in_the_prompt_box(app) == ("hello" if len(prompt) > MOST_PROMPT_CHARACTERS else prompt)
    run_prompt(app, "hi")
    assert not app.error
    assert not app.warning
    assert texts(app)[0] == "drawn: hi"


def test_a_sampling_setting_that_fails_is_told_once_and_can_be_undone(visit: Visit) -> None:
    app = visit(prompt="hello")
    app.session_state["gf.values"]["temperature"] = 99.0
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    app.session_state["gf.values"]["temperature"] = 1.0
    app.run()
    assert not app.error
    assert texts(app)[0] == "drawn: hello"


def test_one_button_goes_back_to_the_last_picture(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    run_prompt(app, " ")
    app.button(key="gf.back").click().run()
    assert not app.error
    assert in_the_prompt_box(app) == "hello"
    assert query(app)["prompt"] == "hello"


def test_a_first_link_that_cannot_be_drawn_offers_a_way_on(visit: Visit) -> None:
    app = visit(model="no-such-model", prompt="hello")
    assert not app.exception
    assert "no-such-model" in app.error[0].value.replace("\\", "")
    assert texts(app) == []
    assert app.selectbox(key="gf.widget.model").value == "no-such-model"
    assert app.button(key="gf.afresh")


def test_a_prompt_in_a_link_over_the_limit_is_named_with_both_numbers(visit: Visit) -> None:
    app = visit(prompt="x" * 5_001)
    assert "5,001" in app.warning[0].value
    assert "4,000" in app.warning[0].value


@pytest.mark.parametrize("prompt", ["x", "😀", "\u200b\u200b", "\x00\x1b[31m", "שלום עולם", HOSTILE[:40]])
def test_awkward_prompts_are_drawn(visit: Visit, prompt: str) -> None:
    app = visit(prompt=prompt)
    assert not app.exception
    assert not app.error
    assert texts(app)[0].startswith("drawn: ")


def test_no_markup_of_a_hostile_prompt_reaches_markdown_unescaped(visit: Visit) -> None:
    app = visit(prompt="ok")
    run_prompt(app, HOSTILE[:60])
    app.button(key="gf.pin").click().run()
    run_prompt(app, " ")
    shown = [element.value for element in (*app.markdown, *app.caption, *app.error, *app.warning)]
    outside_code = [re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", words, flags=re.S) for words in shown]
    assert any("script" in words for words in shown)
    assert not any("<img" in words or "</script" in words for words in outside_code)


def test_switching_to_a_smaller_model_clamps_the_selection(visit: Visit, model_folder: Path) -> None:
    app = visit(prompt="hello", layer="1", head="1")
    app.session_state["gf.values"]["layer"] = 29
    app.session_state["gf.values"]["model"] = str(model_folder / "gpt2")
    app.query_params.clear()
    app.run()
    assert texts(app)[1] == "selected: 1 1 4 of 5"
    assert query(app)["layer"] == "1"


def test_an_edit_can_be_removed(visit: Visit) -> None:
    app = visit(prompt="hello", edits="h1.1*0_m0*0")
    app.button(key="gf.edit.0").click().run()
    assert query(app)["edits"] == "m0*0"


def test_a_prompt_too_long_to_measure_opens_on_the_head_of_its_beginning(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_beginning = texts(visit(prompt="abcab"))[1].split()[1:3]
    assert of_the_beginning != ["0", "0"]
    monkeypatch.setattr(opening, "LONGEST_PROMPT", 6)
    assert texts(visit(prompt="abcabcabc"))[1].split()[1:3] == of_the_beginning


def test_a_picture_that_another_page_drew_is_not_promised_where_it_fails_too(visit: Visit) -> None:
    app = visit(prompt="hello")
    app.session_state["gf.last_good"] = replace(app.session_state["gf.last_good"], prompt="boom")
    run_prompt(app, " ")
    assert "blank" in app.warning[0].value
    assert not any("Below is the last picture" in caption.value for caption in app.caption)
    assert app.button(key="gf.afresh")


def test_one_button_removes_all_edits(visit: Visit) -> None:
    app = visit(prompt="hello", edits="m0*0.5_h1.1*0")
    app.button(key="gf.undo").click().run()
    assert query(app)["edits"] == ""
    assert not [button for button in app.button if button.key == "gf.undo"]


def test_one_button_takes_back_edits_and_the_pinned_run(visit: Visit) -> None:
    app = visit(prompt="hello", edits="m0*0.5")
    app.button(key="gf.pin").click().run()
    app.button(key="gf.undo").click().run()
    assert (query(app)["edits"], query(app)["pin"]) == ("", "")
    assert app.button(key="gf.pin")


def test_an_edit_the_model_cannot_take_is_named_and_the_rest_is_drawn(visit: Visit) -> None:
    app = visit(prompt="hello", edits="h29.0*0_m0*0")
    assert not app.exception
    assert "its layers end at 1" in app.button(key="gf.edit.0").label
    assert texts(app)[0] == "drawn: hello"


def test_a_pinned_run_is_drawn_beside_the_current_one(visit: Visit) -> None:
    app = visit(prompt="hello")
    app.button(key="gf.pin").click().run()
    run_prompt(app, "other")
    assert texts(app)[:2] == ["drawn: other", "drawn: hello"]
    assert json.loads(query(app)["pin"])["prompt"] == "hello"
    app.button(key="gf.swap").click().run()
    assert texts(app)[:2] == ["drawn: hello", "drawn: other"]
    app.button(key="gf.unpin").click().run()
    assert texts(app)[0] == "drawn: hello"
    assert len(texts(app)) == 2


def test_a_link_with_a_pinned_run_shows_both(visit: Visit, tiny: str) -> None:
    pin = json.dumps({"model": tiny, "prompt": "there"})
    assert texts(visit(prompt="hello", pin=pin))[:2] == ["drawn: hello", "drawn: there"]


def test_a_pinned_run_that_cannot_be_drawn_is_told_and_left_out(visit: Visit) -> None:
    app = visit(prompt="hello", pin=json.dumps({"model": "nothing", "prompt": "there"}))
    assert "nothing" in app.error[0].value
    assert texts(app)[0] == "drawn: hello"
    assert len(texts(app)) == 2


def test_an_example_sets_its_prompt(visit: Visit) -> None:
    app = visit(prompt="hello")
    app.session_state["gf.values"]["token"] = 2
    app.button(key="gf.example.0").click().run()
    assert not app.exception
    assert query(app)["prompt"] == EXAMPLES[0].prompt
    assert query(app)["model"] == DEFAULT_MODEL  # what it lets one see was found there
    assert query(app)["token"] == "-1"


def test_two_visitors_do_not_share_their_settings(visit: Visit) -> None:
    one = visit(prompt="one")
    two = visit(prompt="two")
    one.run()
    assert texts(one)[0] == "drawn: one"
    assert texts(two)[0] == "drawn: two"


def test_projector_text_changes_the_root_font(visit: Visit) -> None:
    app = visit(prompt="hello", text="large")
    assert any("font-size: 22px" in element.value for element in app.html)


def test_the_self_proof_shows_every_check_with_its_outcome(visit: Visit) -> None:
    app = visit(prompt="hello")
    app.button(key="gf.check").click().run()
    assert not app.exception
    table = app.table[0].value
    assert len(table) >= 6
    assert all(outcome.startswith(("holds", "does not apply")) for outcome in table["Outcome"])
    assert app.session_state["gf.proof"] is False


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"layer": "99999"}, "Layer `99999` does not exist here; `1` is shown."),
        ({"layer": "nan"}, "Layer `nan` cannot be used; `1` is shown."),
        ({"token": "abc"}, "Token `abc` cannot be used; the last one is shown."),
        ({"token": "400"}, "Token `400` does not exist here; `4` is shown."),
        ({"dtype": "float8"}, "Number format `float8` cannot be used; `auto` is shown."),
        ({"layer": ["0", "1"]}, "Layer stands in this link more than once; the last one is used."),
        ({"edits": "zzz;h99.0*0"}, "1 edit in this link is not made: `zzz;h99.0*0` cannot be read."),
        ({"edits": "h99.0*0"}, "Not made: head 0 of layer 99 off, its layers end at 1."),
    ],
)
def test_what_a_link_asks_for_and_does_not_get_is_named_once(
    visit: Visit, link: dict[str, str], words: str
) -> None:
    app = visit(**{"prompt": "hello", "layer": "1", "head": "0", **link})
    assert [element.value for element in app.warning] == [words]
    app.number_input(key="gf.widget.head").set_value(1).run()
    lasting = "edits" in link and "zzz" not in link["edits"]  # as long as the edit stands
    assert bool(app.warning) is lasting


def test_a_good_link_is_taken_without_a_word(visit: Visit) -> None:
    app = visit(
        prompt="hello", layer=" 1", head="0.0", token="-1", temperature="0.80", dtype="AUTO", edits="m0*0"
    )
    assert not app.warning


def test_a_prompt_over_the_limit_after_a_blank_one_gives_one_message(visit: Visit) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    run_prompt(app, "")
    too_long = "x" * 25_000
    run_prompt(app, too_long)
    assert not app.error
    assert len(app.warning) == 1
    assert "25,000 characters" in app.warning[0].value
    assert texts(app)[0] == "drawn: hello"
    assert query(app)["prompt"] == "hello"
    run_prompt(app, " ")
    assert [box.value for box in app.warning] == [
        "The prompt is blank\\.\n\nType a word\\, or choose one of the examples\\."
    ]


def test_bar_and_sidebar_count_as_people_do(visit: Visit) -> None:
    shown = visit(prompt="x").caption
    captions = [caption.value for caption in shown]
    assert "1 token" in captions
    # This model's context; the app's own limit is longer.
    assert any("At most 64" in caption.help for caption in shown if caption.help)
    assert any("2 heads share 1 key/value head " in words for words in captions)


def test_every_check_of_the_proof_is_said_in_words_first() -> None:
    from model_runtime import proof as checks
    from pages.shared.frame import proof

    assert {*proof._WORDS} == {*checks._LAYER_CHECKS, checks._HEAD_CHECK}


@pytest.mark.parametrize("name", ["Mixtral mini", "MIXTRAL-mini"])
def test_a_model_called_by_another_of_its_names_stands_in_the_list_once(visit: Visit, name: str) -> None:
    app = visit(model=name, prompt="hello")
    assert not app.error
    box = app.selectbox(key="gf.widget.model")
    assert box.value == "mixtral-mini"
    assert len(box.options) == len({*box.options}) == len(offered())
    assert app.query_params["model"] in ("mixtral-mini", ["mixtral-mini"])


@pytest.mark.parametrize(("prompt", "words"), [(" ", "blank"), ("x" * 65, "65 tokens")])
def test_what_was_typed_is_told_quietly_and_the_tokens_are_called_the_last_pictures(
    visit: Visit, prompt: str, words: str
) -> None:
    app = visit(prompt="hello", layer="0", head="0")
    last = "The last picture's tokens:"
    assert last not in [one.value for one in app.caption]
    run_prompt(app, prompt)
    assert not app.error
    assert words in app.warning[0].value
    assert last in [one.value for one in app.caption]


def test_the_smaller_limit_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_MAX_PROMPT_TOKENS", "1024")
    assert most_words(8192) == (
        "At most 1,024: this app reads no more of a prompt, though the model's context is 8,192."
    )
    assert most_words(512) == "At most 512: the context of this model."
