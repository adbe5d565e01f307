"""The small parts of the shell: words, chips, the shelf of models, turns, pages in order."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model_runtime.errors import ModelNotFound, ModelTooLarge
from model_runtime.loading.permitted import resolve_for_app
from model_runtime.records import Token
from pages.shared.escape import plain, quoted
from pages.shared.frame import contents
from pages.shared.frame.errors import for_people
from pages.shared.frame.token_chips import MOST_CHIPS, chips_of, shown_positions
from pages.shared.run.model_shelf import ModelShelf
from pages.shared.run.runs import differences, run_of, sampling_words
from pages.shared.run.runtime import Turns
from pages.shared.settings.edit_codes import parse_edits
from pages.shared.settings.table import defaults

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text("`*_[](){}<>!#:$~|\\&;ab \n.@/", max_size=40),
    st.just("</script><img src=x>"),
)


@given(HOSTILE)
@speed(max_examples=300, deadline=None)
def test_escaped_text_is_read_as_text_only(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("strikethrough").parseInline("x" + plain(text))[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}


@given(HOSTILE)
@speed(max_examples=300, deadline=None)
def test_quoted_text_is_one_piece_of_code(text: str) -> None:
    tokens = MarkdownIt("commonmark").parseInline(f"a {quoted(text)} b")[0].children or []
    assert [token.type for token in tokens] == ["text", "code_inline", "text"]


@pytest.mark.parametrize(
    "text", [":smile:", ":red[x]", ":material/home:", "http://evil.example", "www.evil.example"]
)
def test_nothing_streamlit_would_replace_survives(text: str) -> None:
    shown = MarkdownIt("commonmark").parseInline(plain(text))[0].content.replace("\\", "")
    assert text not in shown or ":" not in text
    assert "http://" not in plain(text)
    assert "www." not in plain(text)


def token(text: str, token_id: int = 0) -> Token:
    return Token(token_id, text, text.encode())


def test_every_token_of_a_short_prompt_has_a_chip() -> None:
    chips = chips_of([token(" the", 7), token("<b>\n", 8)], 1)
    assert [chip["text"] for chip in chips] == ["·the", "<b>↵"]
    assert chips[0]["says"] == "·the, token 0 of 0 to 1, id 7"


@given(st.integers(1, 3000), st.data())
@speed(max_examples=200, deadline=None)
def test_a_long_prompt_shows_its_ends_and_the_selection(n_tokens: int, data: st.DataObject) -> None:
    selected = data.draw(st.integers(0, n_tokens - 1))
    pieces = shown_positions(n_tokens, selected)
    shown = [position for piece in pieces for position in piece]
    assert shown == sorted(set(shown))
    assert len(shown) <= MOST_CHIPS
    assert {0, selected, n_tokens - 1} <= set(shown)


def test_gaps_between_chips_say_how_many_are_missing() -> None:
    chips = chips_of([token("a")] * 1000, 500)
    missing = [chip["text"] for chip in chips if chip["position"] is None]
    assert missing == ["… 420 tokens …", "… 420 tokens …"]


def shelf(
    sizes: dict[str, int], max_bytes: int, fails: tuple[str, ...] = ()
) -> tuple[ModelShelf, dict[str, Any]]:
    """A shelf over fake models; the dict holds what is loaded."""
    loaded: dict[str, Any] = {}

    def load(name: str, dtype: str) -> Any:
        if name not in sizes:
            raise ModelNotFound(name)
        if name in fails and loaded:
            raise ModelTooLarge(name, short_by=sizes[name])
        return loaded.setdefault(name, SimpleNamespace(size=sizes[name]))

    return ModelShelf(load, lambda name, dtype: loaded.pop(name, None), max_bytes), loaded


@pytest.fixture(autouse=True)
def _fake_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.shared.run.model_shelf._model_bytes", lambda model: model.size)


def test_the_least_recently_used_models_go_first() -> None:
    models, loaded = shelf({"a": 3, "b": 3, "c": 3, "d": 3}, max_bytes=6)
    for name in ("a", "b", "c", "a", "d"):
        models.get(name, "auto")
    assert set(loaded) == {"c", "a", "d"}


def test_a_model_larger_than_the_budget_is_kept_while_it_is_in_use() -> None:
    models, loaded = shelf({"a": 3, "huge": 100}, max_bytes=6)
    models.get("a", "auto")
    models.get("huge", "auto")
    assert set(loaded) == {"a", "huge"}
    models.get("a", "auto")
    assert set(loaded) == {"a"}


def test_memory_is_freed_for_a_model_that_does_not_fit_beside_the_others() -> None:
    models, loaded = shelf({"a": 3, "b": 3}, max_bytes=100, fails=("b",))
    models.get("a", "auto")
    models.get("b", "auto")
    assert set(loaded) == {"b"}


def test_a_model_that_never_fits_costs_no_other_its_place() -> None:
    """Anybody's link may name one that is on the disk."""
    models, loaded = shelf({"a": 3, "b": 3, "huge": 7}, max_bytes=100, fails=("huge",))
    models.get("a", "auto")
    models.get("b", "auto")
    with pytest.raises(ModelTooLarge):
        models.get("huge", "auto")
    assert set(loaded) == {"a", "b"}


def test_a_model_that_never_fits_is_refused() -> None:
    models, _ = shelf({"a": 1}, max_bytes=1)
    with pytest.raises(ModelNotFound):
        models.get("b", "auto")


def test_turns_bound_how_many_run_at_a_time() -> None:
    turns = Turns(2)
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with turns.take():
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert not any(turns.waiting.values())


def test_a_turn_is_given_back_after_an_error() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="x"), turns.take():
        raise ValueError("x")
    with turns.take():
        pass


def test_work_inside_a_turn_does_not_wait_for_itself() -> None:
    turns = Turns(1)
    with turns.take():
        with turns.take():
            pass
        assert not turns.places.acquire(blocking=False)  # others still wait
    assert turns.places.acquire(blocking=False)


def test_pages_stand_in_the_order_of_the_forward_pass() -> None:
    assert [entry.title for entry in contents.PAGES] == [
        "From prompt to next token",
        "Tokens",
        "Embeddings",
        "Positions",
        "Attention",
        "Mixture of experts",
        "Next token",
        "Number formats",
        "Stability",
    ]
    before, after = contents.neighbours("attention")
    assert before is not None
    assert after is not None
    assert (before.url, after.url) == ("positions", "moe")
    assert contents.neighbours("home")[0] is None
    assert contents.neighbours("stability")[1] is None


def test_two_runs_are_told_apart_in_words() -> None:
    run = run_of(defaults())
    other = run_of(
        {**defaults(), "prompt": "x", "temperature": 0.2, "order": tuple(reversed(run.sampling.order))}
    )
    assert differences(run, run) == ()
    assert differences(other, run) == ("another prompt", "temperature 0.2", "another order of steps")


def test_edits_that_differ_are_said_as_people_speak() -> None:
    plain_run = run_of(defaults())
    edited = run_of({**defaults(), "edits": parse_edits("h16.0*0_m3*0.5"), "model": "gpt2", "top_k": 5})
    assert differences(edited, plain_run) == (
        "GPT-2",
        "head 0 of layer 16 off; MLP of layer 3 times 0.5",
        "top-k 5",
    )
    assert differences(plain_run, edited) == ("SmolLM2-135M-Instruct", "no edits", "top-k 0")


def test_sampling_settings_that_are_on_are_named() -> None:
    assert sampling_words(run_of(defaults()).sampling) == {"temperature": "0.8", "top-p": "0.9"}


def test_errors_name_models_as_the_list_does() -> None:
    said = for_people(
        "The model openai-community/gpt2 cannot be reached (ConnectError). See openai-community/gpt2-xl."
    )
    assert said == "The model GPT-2 cannot be reached. See GPT-2 XL."


def test_visitors_are_told_what_visitors_can_do() -> None:
    with pytest.raises(ModelNotFound) as refusal:
        resolve_for_app("nosuch")
    assert "README" in refusal.value.remedy
    assert for_people(refusal.value.remedy) == "Choose one from the list, for example SmolLM2-135M-Instruct."
    assert for_people("Choose a model of a family in the table of the README.") == "Choose another model."
