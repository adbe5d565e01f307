"""The table of settings takes any text from a link, and what it writes it reads again."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from model_runtime.sampling.settings import DEFAULT_ORDER
from pages.shared.run.runs import run_of, values_of
from pages.shared.settings.kinds import Refused
from pages.shared.settings.table import (
    DEFAULT_PROMPT,
    LAST_TOKEN,
    MOST_PROMPT_CHARACTERS,
    SETTINGS,
    STRONGEST_KEY,
    Limits,
    defaults,
    fit_to,
    of_page,
    read_link,
    read_pin,
    replaced,
    replaced_in_pin,
    write_link,
    write_pin,
)

AWKWARD = st.sampled_from(
    [
        "",
        " ",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e400",
        "-1e400",
        "9" * 5000,
        "-" + "9" * 5000,
        "0x10",
        "1_0",
        "٣",
        "½",
        "true",
        "null",
        "None",
        "[]",
        "{}",
        "h3.5*0",
        "3.7",
        "-0",
        "1e-400",
        "\x00",
        "\ud800",
        "a" * 5000,
        "tempkpmy",
        "[" * 5000,
        '{"model":1}',
        '{"model":"x","pin":"y"}',
        "__class__",
        "../../etc/passwd",
    ]
)
ANY_TEXT = st.one_of(AWKWARD, st.text(max_size=60))
LINK = st.dictionaries(
    st.one_of(st.sampled_from([*SETTINGS]), st.text(max_size=8)), ANY_TEXT, max_size=len(SETTINGS)
)


def in_range(values: dict[str, Any]) -> None:
    """What every page relies on."""
    assert 0 <= values["temperature"] <= 100
    assert 0 <= values["top_p"] <= 1
    assert 0 <= values["min_p"] <= 1
    assert 0 <= values["typical_p"] <= 1
    assert isinstance(values["top_k"], int)
    assert 0 <= values["layer"] <= 999
    assert 0 <= values["head"] <= 999
    assert values["token"] >= LAST_TOKEN
    assert sorted(values["order"]) == sorted(DEFAULT_ORDER)
    assert values["dtype"] in ("auto", "float32", "bfloat16", "float16")
    assert len(values["prompt"]) <= MOST_PROMPT_CHARACTERS
    assert values["text"] in ("normal", "large")
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
    run_of(values)  # SamplingSettings checks the rest


@given(LINK)
@speed(max_examples=400, deadline=None)
def test_any_link_lands_in_range_and_can_be_written(link: dict[str, str]) -> None:
    found, _ = read_link(link)
    values = {**defaults(), **found}
    in_range(values)
    written = write_link(values)
    again, notices = read_link(written)
    assert not notices
    assert again == {key: value for key, value in values.items() if key in written}
    "&".join(written.values()).encode()  # no lone surrogates: they have no place in a URL


@given(
    st.sampled_from([*SETTINGS]), st.one_of(ANY_TEXT, st.none(), st.booleans(), st.floats(), st.integers())
)
@speed(max_examples=400, deadline=None)
def test_any_value_of_any_type_is_fitted(key: str, value: object) -> None:
    row = SETTINGS[key]
    try:
        fitted = row.fit(value)
    except Refused:
        assert isinstance(value, str)
        assert len(value) > 100
        return
    in_range({**defaults(), key: fitted})
    assert row.fit(fitted) == fitted


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("layer", "99999", 999),
        ("layer", "-4", 0),
        ("layer", "3.7", 4),
        ("layer", "inf", 999),
        ("layer", "nan", SETTINGS["layer"].default),
        ("layer", "third", SETTINGS["layer"].default),
        ("temperature", "inf", 100.0),
        ("temperature", "-inf", 0.0),
        ("temperature", "nan", 0.8),
        ("temperature", "1e400", 100.0),
        ("top_p", "7", 1.0),
        ("seed", str(2**53 - 1), 2**53 - 1),
        ("seed", "9" * 30, 2**53 - 1),
        ("seed", "9" * 5000, 2**53 - 1),
        ("dtype", "FLOAT16", "float16"),
        ("dtype", "float8", "auto"),
        ("token", "-9", LAST_TOKEN),
        ("order", "kxk", ("top_k", *(step for step in DEFAULT_ORDER if step != "top_k"))),
        ("edits", "h1.2*0_nonsense_h1.2*0", SETTINGS["edits"].parse("h1.2*0")),
    ],
)
def test_a_bad_value_falls_to_the_nearest_allowed_one(key: str, text: str, expected: object) -> None:
    assert read_link({key: text})[0][key] == expected


def test_names_for_notices_belong_to_rows_of_the_table() -> None:
    for key, value, words in (
        ("token", -1, "the last one"),
        ("key", -1, "the one read most"),
        ("expert", -1, "the first choice"),
        ("inside", "narrow", "every step rounded"),
        ("scope", "model", "the whole model"),
        ("added", "norm", "the squares under the norm"),
        ("swell", 4, "16"),
        ("loss_batch", "8", "256"),
        ("gain", 45.25, "45.25"),
    ):
        assert SETTINGS[key].fit(value) == value
        assert f"{words} is shown" in replaced({key: "x"}, {key: value})[0]
    assert "Number format `x`" in replaced({"dtype": "x"}, {"dtype": "auto"})[0]


def test_unknown_keys_are_ignored_and_missing_ones_stay_missing() -> None:
    assert read_link({"debug": "1", "layer": "2"}) == ({"layer": 2}, [])


def test_a_prompt_over_the_limit_is_refused_with_both_numbers() -> None:
    found, notices = read_link({"prompt": "x" * (MOST_PROMPT_CHARACTERS + 1), "layer": "1"})
    assert found == {"layer": 1}
    assert "4,001" in notices[0]
    assert "4,000" in notices[0]


def test_a_prompt_at_the_limit_is_taken_as_it_is() -> None:
    prompt = "</script><img src=x onerror=alert(1)> \u202e\n\t😀" + "x" * 3000
    assert read_link({"prompt": prompt})[0]["prompt"] == prompt


def test_defaults_stand_in_the_link_too() -> None:
    link = write_link(defaults(), "next-token")
    assert {*link} == {row.key for row in SETTINGS.values() if row.page in (None, "next-token")}
    assert link["prompt"] == DEFAULT_PROMPT
    assert link["temperature"] == "0.8"


def test_rows_of_other_pages_are_left_out_of_a_link() -> None:
    assert "temperature" not in write_link(defaults(), "attention")
    assert "measure" in write_link(defaults(), "attention")


def test_the_selection_is_clamped_to_model_and_prompt() -> None:
    values = {**defaults(), "layer": 29, "head": 8, "token": 400, "candidate": 60_000}
    fitted = fit_to({**values, "expert": 9}, Limits(2, 4, 3, 256, experts=8))
    assert {"layer": 1, "head": 3, "token": 2, "candidate": 255, "expert": 7}.items() <= fitted.items()
    assert fitted["key"] == STRONGEST_KEY


def test_the_last_token_stays_the_last_however_long_the_prompt() -> None:
    assert fit_to(defaults(), Limits(2, 2, 3, 256))["token"] == LAST_TOKEN


@given(st.builds(lambda link: {**defaults(), **read_link(link)[0]}, LINK))
@speed(max_examples=200, deadline=None)
def test_a_pinned_run_comes_back_from_its_text(values: dict[str, Any]) -> None:
    read = read_pin(write_pin(values))
    assert read is not None
    assert run_of(read) == run_of(values)
    assert values_of(run_of(read)) == read


@pytest.mark.parametrize(
    "pin", ["x", "[]", "[" * 20_000, "{}", '{"model":1}', '{"prompt":null}', "nul", '{"a":"b"}']
)
def test_a_pin_that_is_no_run_is_refused(pin: str) -> None:
    found, notices = read_link({"pin": pin})
    assert "pin" not in found
    assert "pinned run" in notices[0]


def test_a_pin_cannot_smuggle_in_anything_else() -> None:
    pin = json.dumps({"prompt": "hi", "layer": "3", "pin": "{}", "__class__": "x", "temperature": "nan"})
    values = read_pin(pin)
    assert values is not None
    assert "layer" not in values
    assert values["temperature"] == 0.8


def test_a_pin_with_a_prompt_over_the_limit_is_refused() -> None:
    assert read_pin(json.dumps({"prompt": "x" * 4_001})) is None


def test_notices_write_values_as_the_page_does() -> None:
    link = {"swell": "99", "inside": "q", "gain": "1e9", "loss_batch": "abc"}
    values, _ = read_link(link)
    values = {**defaults(), **values}
    told = " ".join(replaced(link, values))
    assert "Gain of the MLP `99` cannot be used; 65,536 is shown." in told
    assert "fp32 is shown" in told
    assert "100,000 is shown" in told
    assert "Prompts in the batch `abc` cannot be used; 1 is shown." in told


def test_a_pinned_run_s_bad_values_are_named() -> None:
    pin = {"prompt": "hi", "temperature": "nan", "top_p": "banana", "top_k": "40", "edits": "h1.1*0_zz"}
    assert replaced_in_pin(json.dumps(pin)) == [
        "Of the pinned run: temperature `nan` cannot be used; `0.8` is shown.",
        "Of the pinned run: top p `banana` cannot be used; `0.9` is shown.",
        "Of the pinned run: 1 edit in this link is not made: `zz` cannot be read.",
    ]
    assert replaced_in_pin(json.dumps({"prompt": "hi", "temperature": "0.5"})) == []
    assert replaced_in_pin("") == replaced_in_pin("{") == []


def test_a_switch_says_when_it_does_not_take_a_word() -> None:
    assert "Averaged `banana` cannot be used; `0` is shown." in replaced(
        {"averaged": "banana"}, {"averaged": False}
    )
    assert replaced({"averaged": "On"}, {"averaged": True}) == []


def test_a_window_is_no_wider_than_the_prompt() -> None:
    fitted = fit_to({"window": 100_000, "prefix": 3}, Limits(2, 2, 9, 256))
    assert fitted == {"window": 9, "prefix": 3}
    assert replaced({"window": "1e5"}, fitted) == ["Window `1e5` does not exist here; `9` is shown."]


@pytest.mark.parametrize("name", ["gpt2", "openai-community/gpt2", "GPT-2", " OpenAI-Community/GPT2 "])
def test_a_model_of_the_list_has_one_id_whatever_it_is_called(name: str) -> None:
    """In a link, a box, a preset, a pinned run; no notice, for it is the model that was asked for."""
    found, notices = read_link({"model": name})
    assert (found["model"], notices) == ("gpt2", [])
    assert replaced({"model": name}, found) == []
    assert SETTINGS["model"].fit(name) == "gpt2"
    pinned = read_pin(write_pin({**defaults(), "model": name}))
    assert pinned is not None
    assert pinned["model"] == "gpt2"


@pytest.mark.parametrize("name", ["someone/gpt2", "gpt2@v1", "nothing", ""])
def test_another_model_keeps_the_name_that_it_came_with(name: str) -> None:
    assert read_link({"model": name})[0]["model"] == name


@pytest.mark.parametrize("letter", ["x", "日", "\U0001f600", "~z~"])
def test_the_longest_prompts_fit_into_a_request_line_twice(letter: str) -> None:
    """The server takes 64 KB for all of a request's head."""
    prompt = "".join(letter[0] if len(letter) == 1 else letter for _ in range(4_000))[:4_000]
    if len(letter) == 1 and ord(letter) > 255:  # hard to compress
        prompt = "".join(chr(ord(letter) + at * 7919 % 64) for at in range(4_000))
    values = {**defaults(), "prompt": prompt}
    values["pin"] = write_pin({**values, "prompt": prompt[::-1]})
    link = write_link(values, "embeddings")
    assert len(urlencode(link)) < 48_000
    found, notices = read_link(link)
    assert not notices
    assert found["prompt"] == prompt
    pinned = read_pin(found["pin"])
    assert pinned is not None
    assert pinned["prompt"] == prompt[::-1]


LAYER = "Layer `999` does not exist here; `29` is shown."
PART = "Part of this page `xyz` cannot be used; “All heads” is shown."


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("home", [LAYER]),
        ("attention", [LAYER, PART]),
        ("next-token", ["Temperature `inf` cannot be used; `100` is shown.", LAYER]),
    ],
)
def test_only_the_settings_of_the_page_on_screen_are_spoken_of(page: str, told: list[str]) -> None:
    link = {"T": "abc", "temperature": "inf", "layer": "999", "part": "xyz"}
    found, notices = read_link(link, page)
    assert not notices
    values = {**defaults(), **found}
    mine = {key: said for key, said in link.items() if key in found and of_page(key, page)}
    assert replaced(mine, {**values, **fit_to(values, Limits(30, 9, 9, 49_152))}) == told
    long = {"words": "x" * 5_000}
    assert bool(read_link(long, page)[1]) is (SETTINGS["words"].page == page)
    assert read_link(long)[1]
