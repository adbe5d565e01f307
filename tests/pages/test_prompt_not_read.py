"""A prompt that cannot be read: parts that need only the model are drawn whole, the others say what to do."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.frame import contents
from pages.shared.frame.page import LAST_GOOD
from pages.shared.settings.table import DEFAULT_MODEL, defaults, write_pin
from tests.pages.conftest import run_prompt
from tests.pages.every_part import MAIN

OF_THE_MODEL = [(entry, part) for entry in contents.PAGES for part in entry.parts if part.needs == "model"]
OF_THE_RUN = [
    (entry, part)
    for entry in contents.PAGES
    for part in entry.parts
    if part.needs == "run" and entry.url != "tokens"  # whose box takes any text
]
LONG = "a " * 1_100
READ_HERE = "nothing but this"
# Settings with which a part needs no token of the prompt.
LINKS = {"table": {"row": "12"}, "map": {"points": "vocabulary", "top": "100", "method": "pca"}}
# Figures with something of the prompt in them, where it is read.
WITH_PROMPT = {"quant-next", "domains"}


def names(rows: list[tuple[contents.Entry, contents.Part]]) -> list[str]:
    return [f"{entry.url}-{part.key}" for entry, part in rows]


def opened(entry: contents.Entry, part: contents.Part, prompt: str, model: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=300)
    # The head and layer that nobody chose are those that do most on the prompt.
    chosen = {"layer": "1", "head": "0", **LINKS.get(part.key, {}), **link}
    settings = {"model": model, "prompt": prompt, entry.setting: part.key, **chosen}
    for key, value in settings.items():
        app.query_params[key] = value
    app.run()
    app.switch_page(entry.file).run()
    assert not app.exception, app.exception
    return app


def messages(app: AppTest) -> dict[str, dict[str, object]]:
    """What travels to the browser of each figure, by its key."""
    sent = [json.loads(element.proto.json or "{}") for element in app.main.get("bidi_component")]
    return {message["key"]: message for message in sent if "figure" in message}


def said(app: AppTest) -> str:
    return " ".join(info.value for info in app.info).replace("\\", "")


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "mixtral-mini"])
@pytest.mark.parametrize(("entry", "part"), OF_THE_MODEL, ids=names(OF_THE_MODEL))
def test_a_part_of_the_model_is_drawn_without_the_prompt(
    entry: contents.Entry, part: contents.Part, model: str
) -> None:
    read = messages(opened(entry, part, READ_HERE, model))
    for prompt, why in ((" ", "The prompt is blank."), (LONG, "The prompt has 1,101 tokens;")):
        app = opened(entry, part, prompt, model)
        assert not app.error, app.error[0].value
        assert why in said(app)
        assert "This part needs only the model: the prompt is not read." in said(app)
        assert LAST_GOOD not in app.session_state
        drawn = messages(app)
        assert {*drawn} == {*read} - {"quant-next"}
        if part.key == "domains" and model == DEFAULT_MODEL:
            assert any("This model has no experts" in str(info.proto) for info in app.info)
            continue
        assert drawn
        for name in {*drawn} - WITH_PROMPT:
            assert drawn[name]["figure"] == read[name]["figure"], name
        for name, message in drawn.items():
            assert "a a a" not in str(message["caption"]), name


@pytest.mark.parametrize("prompt", [" ", LONG], ids=["blank", "long"])
@pytest.mark.parametrize(("entry", "part"), OF_THE_RUN, ids=names(OF_THE_RUN))
def test_a_part_of_the_run_says_what_to_do_and_keeps_the_choice_of_parts(
    entry: contents.Entry, part: contents.Part, prompt: str
) -> None:
    app = opened(entry, part, prompt, "mixtral-mini")
    told = app.warning[0].value.replace("\\", "")
    if prompt == " ":
        assert told == "The prompt is blank.\n\nType a word, or choose one of the examples."
    else:
        assert told.startswith(
            "The prompt has 1,101 tokens; this model reads at most 512.\n\nShorten it by 589"
        )
    choice = app.segmented_control(key=f"gf.widget.{entry.setting}")
    assert [option.content for option in choice.proto.options] == [one.title for one in entry.parts]
    assert not messages(app)


def test_from_a_part_that_needs_the_prompt_to_one_that_does_not_and_back() -> None:
    """Without a picture that worked before, and then with one."""
    entry = contents.entry_of("embeddings")
    words = next(part for part in entry.parts if part.key == "words")
    order = contents.entry_of("positions")
    app = opened(order, order.parts[0], " ", "mixtral-mini")
    assert app.warning
    app.segmented_control(key="gf.widget.place").set_value("schemes").run()
    assert not app.error
    assert "schemes" in messages(app)
    run_prompt(app, "hello you")
    assert not app.error
    assert "not read" not in said(app)
    assert app.session_state[LAST_GOOD].prompt == "hello you"
    run_prompt(app, " ")
    assert not app.error
    assert "not read" in said(app)
    app.segmented_control(key="gf.widget.place").set_value("order").run()
    assert app.warning  # the last picture that worked, under the reason
    assert messages(app)
    assert "hello·you" in " ".join(caption.value for caption in app.caption)
    assert opened(entry, words, " ", "mixtral-mini", sum="no sum").warning  # what is wrong besides is told


def test_what_stands_for_the_prompt_is_missing_quietly() -> None:
    entry = contents.entry_of("embeddings")
    for part, link, words in (
        (entry.parts[0], {"row": ""}, "No token is selected, because the prompt is not read."),
        (entry.parts[2], {"points": "prompt"}, "These points are the prompt's tokens"),
    ):
        app = opened(entry, part, " ", "mixtral-mini", **link)
        assert not app.error
        assert words in said(app)
        assert not messages(app)


def test_a_pinned_prompt_that_cannot_be_read_is_no_matter_either() -> None:
    entry = contents.entry_of("number-formats")
    weights = next(part for part in entry.parts if part.key == "weights")
    pin = write_pin({**defaults(), "model": "gpt2-mini", "prompt": " "})
    for prompt in ("hello", " "):
        app = opened(entry, weights, prompt, "mixtral-mini", pin=pin)
        assert not app.error
        assert [*messages(app)] == [
            f"{name}-{side}" for side in ("current", "pinned") for name in ("weight-sizes", "round-trip")
        ]
