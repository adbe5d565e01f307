"""The caches of the pages: one load, one forward for equal requests, turns, words for what is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import model_runtime
from model_runtime.errors import GlassformerError, ModelNotFound, PromptError
from model_runtime.interventions import ScaleHead
from model_runtime.model import Model
from model_runtime.run import OpenRun, Turn
from pages.shared.figure.provenance import caption
from pages.shared.run import runtime, waiting
from pages.shared.run.opened import opened
from pages.shared.run.runs import Run, run_of, sampling_words
from pages.shared.settings.edit_codes import parse_edits
from pages.shared.settings.table import defaults
from tests.tiny_checkpoints import save, tiny_llama


def run(model: str, prompt: str = "hello", **changes: Any) -> Run:
    return replace(run_of({**defaults(), "model": model, "prompt": prompt}), **changes)


def in_threads(work: list[Any]) -> list[Any]:
    """The results of calling everything in `work` at once, each in its own thread."""
    results: list[Any] = [None] * len(work)
    start = threading.Barrier(len(work))

    def call(index: int) -> None:
        start.wait()
        try:
            results[index] = work[index]()
        except GlassformerError as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names that were really loaded, the cache of models empty before and after."""
    names: list[str] = []
    load = model_runtime.load_model

    def counted(name: str, **options: Any) -> Any:
        names.append(name)
        time.sleep(0.05)
        return load(name, **options)

    monkeypatch.setattr(model_runtime, "load_model", counted)
    runtime._model.clear()
    yield names
    runtime._model.clear()


def test_visitors_who_come_at_once_get_one_model(tiny: str, loads: list[str]) -> None:
    models = in_threads([lambda: runtime.model_for(run(tiny))] * 8)
    assert len({id(model) for model in models}) == 1
    assert loads == [tiny]


def test_a_model_that_is_dropped_is_loaded_again(tiny: str, loads: list[str]) -> None:
    runtime.model_for(run(tiny))
    runtime._model.clear(tiny, "auto")
    runtime.model_for(run(tiny))
    assert loads == [tiny, tiny]


def test_thirty_students_get_their_own_numbers(tiny: str) -> None:
    prompts = [f"{number} apples" for number in range(30)]
    alone = [runtime.trace_for(run(tiny, prompt)).next_token_logits() for prompt in prompts]
    runtime._cache().clear()
    together = in_threads([lambda prompt=prompt: opened(run(tiny, prompt)).logits for prompt in prompts])
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_shared_recipe_runs_once_whatever_the_sampling(tiny: str) -> None:
    first = run(tiny)
    second = replace(first, sampling=replace(first.sampling, temperature=0.1))
    assert runtime.trace_for(first) is runtime.trace_for(second)


def test_edits_are_part_of_the_recipe(tiny: str) -> None:
    cut = runtime.trace_for(run(tiny, edits=(ScaleHead(0, 0), ScaleHead(1, 1))))
    assert not np.array_equal(cut.next_token_logits(), opened(run(tiny)).logits)


def test_what_follows_from_a_trace_is_computed_once(tiny: str) -> None:
    made = []

    def times(run: OpenRun, factor: int) -> np.ndarray:
        made.append(factor)
        return run.trace.next_token_logits() * factor

    assert opened(run(tiny)).known(times, factor=2) is None
    twice = [opened(run(tiny)).measure(times, factor=2) for _ in range(3)]
    assert made == [2]
    np.testing.assert_array_equal(twice[0], opened(run(tiny)).logits * 2)
    assert opened(run(tiny)).known(times, factor=2) is twice[0]
    thrice = opened(run(tiny)).measure(times, factor=3)
    assert made == [2, 3]
    np.testing.assert_array_equal(thrice, opened(run(tiny)).logits * 3)
    opened(run(tiny, "other")).measure(times, factor=2)
    assert made == [2, 3, 2]


def test_what_a_measurement_takes_first_decides_its_key(tiny: str) -> None:
    made: list[str] = []

    def of_model(model: Model, turn: Turn = nullcontext) -> np.ndarray:
        made.append("model")
        with turn():
            return np.zeros(1)

    def of_nothing(n: int) -> np.ndarray:
        made.append("nothing")
        return np.zeros(n)

    for prompt in ("one", "two"):
        opened(run(tiny, prompt)).measure(of_model)
        opened(run(tiny, prompt)).measure(of_nothing, n=3)
        opened(run(tiny, prompt, dtype="bfloat16")).measure(of_nothing, n=3)
    assert made == ["model", "nothing"]
    opened(run(tiny, dtype="bfloat16")).measure(of_model)
    assert made == ["model", "nothing", "model"]


def test_edits_that_do_not_fit_are_left_out(tiny: str) -> None:
    edits = (ScaleHead(0, 0), ScaleHead(29, 0), ScaleHead(0, 0, 0.0, (99,)))
    assert runtime.drawable(run(tiny, edits=edits)).edits == edits[:1]


@pytest.mark.parametrize(("prompt", "words"), [("", "blank"), (" \n", "blank"), ("x" * 65, "65 tokens")])
def test_prompts_that_cannot_be_run(tiny: str, prompt: str, words: str) -> None:
    with pytest.raises(PromptError, match=words):
        runtime.trace_for(run(tiny, prompt))


def test_the_limit_of_the_app_is_named_too(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_MAX_PROMPT_TOKENS", "10")
    with pytest.raises(PromptError, match=r"11 tokens.*10"):
        runtime.trace_for(run(tiny, "x" * 11))


def test_a_link_cannot_name_a_folder_that_is_not_allowed(tmp_path: Path, tiny: str) -> None:
    save(tmp_path / "secret", tiny_llama())
    with pytest.raises(ModelNotFound, match="does not offer"):
        runtime.model_for(run(str(tmp_path / "secret")))


def test_words_are_shown_for_slow_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    @contextmanager
    def spinner(words: str, show_time: bool) -> Iterator[None]:
        assert show_time
        shown.append(words)
        yield

    monkeypatch.setattr(waiting.st, "spinner", spinner)
    monkeypatch.setattr(waiting, "get_script_run_ctx", lambda: object())
    monkeypatch.setattr(waiting, "add_script_run_ctx", lambda thread: thread)
    with runtime.working("Quick"):
        pass
    with runtime.working("Slow"):
        time.sleep(waiting.SHOW_AFTER_SECONDS + 0.2)
    time.sleep(waiting.SHOW_AFTER_SECONDS)
    assert shown == ["Slow"]


def test_who_waits_for_a_turn_is_told_how_many_are_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    @contextmanager
    def note(words: str) -> Iterator[None]:
        told.append(words)
        yield

    monkeypatch.setattr(waiting, "working", note)
    turns = runtime.Turns(1)

    def wait() -> None:
        with turns.take():
            pass

    threads = [threading.Thread(target=wait) for _ in range(2)]
    with turns.take():
        for before, thread in enumerate(threads):
            thread.start()
            while len(told) <= before:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert told == [
        "Waiting for a turn: one other run is before this one",
        "Waiting for a turn: 2 other runs are before this one",
    ]


def test_a_compared_run_is_told_with_its_own_edits_and_sampling(tiny: str) -> None:
    given = {**defaults(), "model": tiny, "prompt": "hello"}
    here = opened(run_of({**given, "temperature": 0.4}))
    pinned = opened(run_of({**given, "edits": parse_edits("h1.1*0")}))
    words = caption(here.origin(compared_with=pinned, **sampling_words(here.settings.sampling)))
    first, second = words.split("Compared with: ")
    assert "Temperature 0.4, top-p 0.9." in first
    assert "Edited" not in first
    assert "Edited: head 1 of layer 1 off. Temperature 0.8, top-p 0.9." in second
    assert "emperature" not in caption(here.origin(compared_with=pinned, selected="token 1"))
