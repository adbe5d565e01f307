"""The Tokens page under AppTest: both first parts on any text, drafts, cases, a pinned run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.settings.table import DEFAULT_PROMPT
from pages.tokens.live_text import Draft
from tests.pages.conftest import run_prompt
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, said

TOKENS = "tokens/tokens.py"


def open_tokens(tiny: str, **link: str) -> AppTest:
    return open_page(tiny, TOKENS, **link)


def components(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]


def box(app: AppTest) -> dict[str, Any]:
    return next(data for data in components(app) if "refusal" in data)


def prompt_in_link(app: AppTest) -> str:
    value = app.query_params["prompt"]
    return value if isinstance(value, str) else str(value[-1])


def shown(app: AppTest) -> list[list[dict[str, Any]]]:
    """The columns of each set of linked columns."""
    return [data["columns"] for data in components(app) if "columns" in data]


def type_text(app: AppTest, text: str, done: bool = False) -> AppTest:
    """What the box's report does: a draft in the session, and a run."""
    before = app.session_state["gf.draft"]
    app.session_state["gf.draft"] = Draft(
        text, before.prompt, len(text), len(text), before.version, before.seq + 1, done
    )
    return app.run()


@pytest.mark.parametrize("prompt", ["x", "🙂", HOSTILE, "a" * 64])
@pytest.mark.parametrize("lesson", ["compare", "levels"])
def test_both_parts_draw_any_prompt(tiny: str, lesson: str, prompt: str) -> None:
    app = open_tokens(tiny, lesson=lesson, prompt=prompt)
    expected = {"compare": ["token-counts", "languages"], "levels": ["levels"]}
    assert [*figures(app)] == expected[lesson]
    (columns,) = shown(app)
    assert len(columns) == 4
    n_bytes = len(prompt.encode())
    assert [column["count"] for column in columns if column["key"] in ("model", "bytes")][-1] == n_bytes


def test_the_chosen_tokenizers_are_the_columns_and_never_none(tiny: str) -> None:
    app = open_tokens(tiny, tokenizers="gpt2.o200k", prompt="a fluffy blue creature")
    assert [column["key"] for column in shown(app)[0]] == ["gpt2", "o200k"]
    app.pills(key="gf.widget.tokenizers").set_value([]).run()
    assert not app.exception
    assert len(shown(app)[0]) == 4


def test_the_apps_token_is_marked_and_can_be_clicked(tiny: str) -> None:
    app = open_tokens(tiny, token="3")
    data = next(data for data in components(app) if "columns" in data)
    assert data["selected"] == {"column": "model", "position": 3}
    assert data["clickable"] == "model"


def test_a_draft_is_cut_before_it_is_the_prompt_and_becomes_it_when_typing_stops(tiny: str) -> None:
    app = type_text(open_tokens(tiny, prompt="hello"), "hello w")
    assert shown(app)[0][0]["count"] == 7
    assert prompt_in_link(app) == "hello"
    assert box(app)["version"] == 0  # the browser keeps what it has
    app = type_text(app, "hello wo", done=True)
    assert prompt_in_link(app) == "hello wo"
    assert (box(app)["text"], box(app)["version"], box(app)["refusal"]) == ("hello wo", 0, "")
    assert "prompt: “hello wo”" in figures(app)["token-counts"]["caption"].lower()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "The prompt is blank"),
        ("  \n", "The prompt is blank"),
        ("a" * 65, "65 tokens; this model reads at most 64"),
        ("a" * 4_001, "4,001 characters; a prompt has at most 4,000"),
    ],
)
def test_what_cannot_be_the_prompt_stays_is_cut_and_says_why(tiny: str, text: str, why: str) -> None:
    app = type_text(open_tokens(tiny, prompt="hello"), text, done=True)
    assert not app.exception
    assert why in box(app)["refusal"]
    assert box(app)["text"] == text
    assert prompt_in_link(app) == "hello"
    assert shown(app)[0][0]["count"] == len(text)
    assert figures(app)


def test_a_prompt_from_elsewhere_comes_into_the_box(tiny: str) -> None:
    app = type_text(open_tokens(tiny, prompt="hello"), "a" * 65)
    run_prompt(app, "from elsewhere")
    assert (box(app)["text"], box(app)["version"], box(app)["refusal"]) == ("from elsewhere", 1, "")


def test_a_case_is_one_click_and_tells_what_to_look_for(tiny: str) -> None:
    app = open_tokens(tiny)
    app.pills(key="gf.case").set_value("Heroes").run()
    assert prompt_in_link(app) == "cat superman spiderman"
    assert box(app)["text"] == "cat superman spiderman"
    assert any("heroes" in caption.value for caption in app.caption)


@pytest.mark.parametrize("lesson", ["compare", "levels"])
def test_a_pinned_run_has_its_own_columns_and_the_same_scale(tiny: str, lesson: str) -> None:
    pin = json.dumps({"model": str(Path(tiny).parent / "gpt2"), "prompt": "other words, more of them"})
    app = open_tokens(tiny, lesson=lesson, pin=pin, prompt="hello")
    assert [columns[-1]["count"] > 0 for columns in shown(app)] == [True, True]
    assert "Pinned run" in [element.value for element in app.subheader]
    name = {"compare": "token-counts", "levels": "levels"}[lesson]
    axis = {"compare": "xaxis", "levels": "yaxis"}[lesson]
    ranges = [
        json.loads(figures(app)[f"{name}-{slug}"]["figure"])["layout"][axis]["range"]
        for slug in ("current", "pinned")
    ]
    assert ranges[0] == ranges[1]


def test_words_that_the_table_lacks_are_told_with_this_texts_numbers(tiny: str) -> None:
    app = open_tokens(tiny, lesson="levels", prompt="We had another", known="We are")
    assert "2 of 3 words" in said(app)
    words = shown(app)[0][0]
    assert words["unknown"] == 2
    assert words["kinds"] == {"1": "unknown", "2": "unknown"}
    next(button for button in app.button if button.key == "gf.learn").click().run()
    assert shown(app)[0][0]["unknown"] == 0


@pytest.fixture
def lacking(model_folder: Path, tiny: str) -> str:
    """The tiny Llama with a table that lacks the bytes 13 and F1."""
    folder = model_folder / "lacking"
    if not folder.is_dir():
        shutil.copytree(tiny, folder)
        described = json.loads((folder / "tokenizer.json").read_text())
        for letter in ("\u0113", "\u00f1"):  # how the file writes the bytes 13 and F1
            del described["model"]["vocab"][letter]
        (folder / "tokenizer.json").write_text(json.dumps(described))
    return str(folder)


@pytest.mark.parametrize("lesson", ["compare", "levels"])
def test_what_the_table_lacks_stands_apart_and_is_told(lacking: str, lesson: str) -> None:
    app = open_tokens(lacking, lesson=lesson, prompt="a\x13b", token="1", tokenizers="model.gpt2")
    column = next(one for one in shown(app)[0] if one["key"] == "model")
    assert (column["spans"], column["kinds"]) == ([[0, 1], [1, 2], [2, 3]], {"1": "lost"})
    assert (column["count"], column["lost"], column["numbers"], column["ids"][1]) == (
        2,
        1,
        [0, None, 1],
        None,
    )
    selected = next(data["selected"] for data in components(app) if "columns" in data)
    assert selected == {"column": "model", "position": 2}  # token 1 is the third piece
    assert "never reads 1 byte of U+0013:" in said(app)
    assert any("never reads 1 byte of U+0013:" in one.value for one in app.caption)
    told = sources(app)
    assert "lacks 2 of the 243 bytes of which texts are made (13 F1): what needs one is left out" in told
    assert "no text is ever unknown" not in said(app)


def sources(app: AppTest) -> str:
    app.session_state["gf.details.Where this comes from"] = True
    return said(app.run())


@pytest.mark.parametrize("lesson", ["compare", "levels", "built"])
def test_a_whole_table_says_that_no_text_is_ever_unknown(tiny: str, lesson: str) -> None:
    told = sources(open_tokens(tiny, lesson=lesson, prompt="ab"))
    assert "has every byte of which texts are made, so no text is ever unknown to it" in told


@pytest.mark.parametrize(
    ("prompt", "why"), [("y" * 65, "65 tokens; this model reads at most 64"), (" ", "The prompt is blank")]
)
def test_a_link_s_text_that_is_no_prompt_is_cut_all_the_same(tiny: str, prompt: str, why: str) -> None:
    app = open_tokens(tiny, prompt=prompt)
    assert not app.exception
    assert not app.error
    assert box(app)["text"] == prompt
    assert why in box(app)["refusal"]
    assert shown(app)[0][0]["count"] == len(prompt)
    assert prompt_in_link(app) == DEFAULT_PROMPT  # what the other pages have


@pytest.mark.parametrize("adds", [True, False])
def test_a_config_that_says_otherwise_than_the_tokenizer_is_told(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adds: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(tmp_path))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"add_bos_token": adds, "bos_token": "a"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    told = [caption.value for caption in open_tokens(str(folder), prompt="x").caption]
    found = [words.replace("\\", "") for words in told if "tokenizer.json" in words.replace("\\", "")]
    sentence = (
        "tokenizer.json adds no beginning-of-text token, tokenizer_config.json says that one is added "
        "(add_bos_token): tokenizer.json is used."
    )
    assert [words.partition(":** ")[2] for words in found] == ([sentence] if adds else [])
