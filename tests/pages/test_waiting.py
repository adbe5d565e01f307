"""Work that nobody waits for stops, short work passes long work by, and a visitor may stop what lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model_runtime import steps
from model_runtime.capture.trace_cache import TraceCache
from model_runtime.model import Model
from model_runtime.records import ProjectionSettings
from model_runtime.vectors.projection import expected_seconds
from pages.shared.frame.contents import entry_of
from pages.shared.run import runtime, waiting
from pages.shared.run.opened import opened
from tests.pages.test_opened import ROUTER, at_once
from tests.pages.test_runtime import run

LONG, SHORT = 5.0, 0.1  # seconds that work is said to take


class Gone(BaseException):
    """In the place of Streamlit's own, which ends a script run at a look at the state."""


class Visitors:
    """Threads that wait, each for its visitor; `leave` ends the run of those who have gone."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.ended: list[str] = []

    def leave(self) -> None:
        if threading.current_thread().name in self.gone:
            raise Gone

    def send(self, name: str, work: Callable[[], object]) -> threading.Thread:
        def visit() -> None:
            try:
                work()
            except Gone:
                self.ended.append(name)

        thread = threading.Thread(target=visit, name=name, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def visitors(monkeypatch: pytest.MonkeyPatch) -> Visitors:
    found = Visitors()
    monkeypatch.setattr(waiting, "leave", found.leave)
    monkeypatch.setattr("model_runtime.capture.trace_cache.PAUSE", 0.01)
    monkeypatch.setattr(waiting, "PAUSE", 0.01)
    return found


class Steps:
    """Work whose steps are let go one by one."""

    def __init__(self) -> None:
        self.made, self.begun, self.go_on = 0, threading.Event(), threading.Semaphore(0)

    def __call__(self) -> np.ndarray:
        self.begun.set()
        for number in range(4):
            assert self.go_on.acquire(timeout=10)
            self.made += 1
            steps.step(number + 1, 4)
        return np.zeros(1)


def two_who_wait(
    visitors: Visitors, memory: TraceCache, work: Callable[[], object], begins: Steps, key: str = "k"
) -> list[threading.Thread]:
    """The visitors "first", for whom the work has begun, and "second", who waits for it."""

    def ask() -> object:
        return memory.get(key, waiting.attended(memory, key, work), waiting.rest)

    first = visitors.send("first", ask)
    assert begins.begun.wait(10)
    second = visitors.send("second", ask)
    while not memory.waiting(key):
        pass
    return [first, second]


def test_work_stops_at_its_next_step_when_its_visitor_has_gone(visitors: Visitors) -> None:
    memory, work = TraceCache(100), Steps()
    first = visitors.send("first", lambda: memory.get("k", waiting.attended(memory, "k", work)))
    assert work.begun.wait(10)
    work.go_on.release()
    visitors.gone.add("first")
    work.go_on.release()
    first.join(10)
    assert visitors.ended == ["first"]
    assert work.made <= 2
    assert memory.peek("k") is None
    assert memory.stats.entries == 0


def test_work_goes_on_while_somebody_else_waits_for_it(visitors: Visitors) -> None:
    memory, work = TraceCache(100), Steps()
    first, second = two_who_wait(visitors, memory, work, work)
    visitors.gone.add("first")
    work.go_on.release(4)
    first.join(10)
    second.join(10)
    assert visitors.ended == []
    assert work.made == 4  # made once: the second did not begin it anew
    assert memory.peek("k") is not None


def test_who_waits_for_somebody_else_s_work_may_go_and_then_counts_no_more(visitors: Visitors) -> None:
    memory, work = TraceCache(100), Steps()
    first, second = two_who_wait(visitors, memory, work, work)
    visitors.gone.add("second")
    second.join(10)
    assert visitors.ended == ["second"]
    assert memory.waiting("k") == 0
    visitors.gone.add("first")
    work.go_on.release(2)
    first.join(10)
    assert visitors.ended == ["second", "first"]
    assert work.made <= 2


def test_who_holds_a_turn_does_not_wait_for_who_may_need_it(visitors: Visitors) -> None:
    """Each would wait for the other, for ever: an error instead."""
    work = Steps()
    maker = visitors.send("maker", lambda: runtime.kept("turn test", work, ""))
    assert work.begun.wait(10)
    try:
        with runtime.turns().take(), pytest.raises(RuntimeError, match="holds a turn waits for another"):
            runtime.kept("turn test", lambda: np.zeros(1), "")
    finally:
        work.go_on.release(4)
        maker.join(10)
    with runtime.turns().take():
        assert runtime.kept("turn test", work, "") is not None  # what is there is had


def test_an_inner_value_is_made_on_for_who_waits_for_the_outer_one(visitors: Visitors) -> None:
    memory, inner = TraceCache(100), Steps()

    def outer() -> np.ndarray:
        return memory.get("inner", waiting.attended(memory, "inner", inner), waiting.rest) + 1

    first, second = two_who_wait(visitors, memory, outer, inner, "outer")
    visitors.gone.add("first")
    inner.go_on.release(4)
    first.join(10)
    second.join(10)
    assert (visitors.ended, inner.made) == ([], 4)


def test_memory_is_given_back_once_after_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, given = TraceCache(100), []
    monkeypatch.setattr(waiting, "give_memory_back", lambda: given.append("back"))

    def outer() -> np.ndarray:
        return memory.get("in", waiting.attended(memory, "in", lambda: np.zeros(1)), waiting.rest) + 1

    memory.get("quick", waiting.attended(memory, "quick", outer), waiting.rest)
    assert given == []
    monkeypatch.setattr(waiting, "TRIM_AFTER_SECONDS", -1.0)
    memory.clear()
    memory.get("long", waiting.attended(memory, "long", outer), waiting.rest)
    assert given == ["back"]


def test_who_is_gone_leaves_the_line(visitors: Visitors) -> None:
    turns = waiting.Turns(1)

    def wait() -> None:
        with turns.take():
            pass

    with turns.take():
        waits = visitors.send("waits", wait)
        while not turns.waiting[turns.places]:
            pass
        visitors.gone.add("waits")
        waits.join(10)
    assert visitors.ended == ["waits"]
    assert turns.waiting[turns.places] == 0
    assert turns.places.acquire(blocking=False)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("end", [Gone, ValueError])
def test_however_work_ends_its_turn_is_given_back(end: type[BaseException], quick: bool) -> None:
    turns = waiting.Turns(1)
    with pytest.raises(end), turns.take(quick):
        raise end
    assert not turns.mine_now()
    assert (turns.quick if quick else turns.places).acquire(blocking=False)


def test_short_work_never_stands_behind_long_work(tiny: str) -> None:
    runtime._dear().clear()
    here = opened(run(tiny, "long and short"))
    begun, go_on = threading.Event(), threading.Event()

    def long(model: Model) -> np.ndarray:
        begun.set()
        assert go_on.wait(10)
        return np.zeros(1)

    def short(model: Model, number: int) -> np.ndarray:
        return np.full(1, number)

    def longer(model: Model) -> np.ndarray:
        return np.ones(1)

    held = threading.Thread(target=lambda: here.measure(long, slow=True, seconds=LONG), daemon=True)
    held.start()
    assert begun.wait(10)
    assert at_once(lambda: here.measure(short, slow=True, seconds=SHORT, number=1)) == []
    behind = threading.Thread(target=lambda: here.measure(longer, slow=True), daemon=True)  # not told: long
    behind.start()
    slow = runtime.slow_turns()
    while not slow.waiting[slow.places]:
        pass
    assert here.known(longer) is None
    go_on.set()
    behind.join(10)
    assert here.known(longer) is not None


def test_a_short_prompt_s_pass_does_not_wait_for_long_ones(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = runtime.Turns(1)
    monkeypatch.setattr(runtime, "turns", lambda: turns)
    with turns.take():  # a pass over a long prompt
        assert at_once(lambda: runtime.trace_for(run(tiny, "passes by"))) == []
        monkeypatch.setattr(runtime, "QUICK_FORWARD_SECONDS", 0.0)  # now this prompt is a long one too
        thread = threading.Thread(target=lambda: runtime.trace_for(run(tiny, "waits")), daemon=True)
        thread.start()
        while not turns.waiting[turns.places]:
            pass
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("settings", "n_points", "quick"),
    [
        (ProjectionSettings("tsne", 2, perplexity=13.0), 40, True),
        (ProjectionSettings("tsne", 3, perplexity=500.0), 5_000, False),
        (ProjectionSettings("tsne", 2, perplexity=30.0), 1_000, False),
        (ProjectionSettings("umap", 2, n_neighbors=15), 40, True),
        (ProjectionSettings("umap", 3, n_neighbors=200), 5_000, False),
    ],
)
def test_forty_words_are_short_work(settings: ProjectionSettings, n_points: int, quick: bool) -> None:
    assert (expected_seconds(settings, n_points) <= runtime.QUICK_SECONDS) == quick


def test_a_part_counts_as_its_share_of_the_whole() -> None:
    told: list[float | None] = []
    with steps.listening(told.append):
        steps.small_step(1, 2)  # a layer of a pass that is no part of anything
        with steps.part(1, 4):
            steps.small_step(1, 2)
        with steps.part(2, 4, size=2):
            steps.step(1, 4)
    steps.step(1, 2)  # nobody listens
    assert told == [None, 0.375, 0.5, 0.625, 1.0]


def stopping_page() -> None:
    """A page with one long measurement, stopped before."""
    import numpy as np
    import streamlit as st

    from pages.shared.frame.errors import explain
    from pages.shared.run import runtime
    from pages.shared.run.waiting import Stopped, _note_stop

    st.button("Stop", on_click=_note_stop, args=(hash("a long one"),))
    try:
        value = runtime.kept("a long one", lambda: np.full(1, 7), "Placing points", may_stop=True)
        st.markdown(f"found {value[0]}")
        runtime._cache().clear()
    except Stopped as stopped:
        explain(stopped)
    st.markdown("the rest of the page")


def test_what_a_visitor_stopped_is_not_begun_again_until_they_say_so() -> None:
    runtime._cache().clear()
    app = AppTest.from_function(stopping_page).run()
    assert [one.value for one in app.markdown] == ["found 7", "the rest of the page"]
    app.button[0].click().run()
    assert [one.value for one in app.markdown] == ["the rest of the page"]
    assert [one.value.replace("\\", "") for one in app.info] == [
        "Stopped before it was done: placing points."
    ]
    next(one for one in app.button if one.label == "Do it after all").click().run()
    assert [one.value for one in app.markdown] == ["found 7", "the rest of the page"]
    assert not app.exception


def test_a_stopped_part_leaves_the_page_and_its_settings(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "is_stopped", lambda key: "order_experiment" in str(key))
    runtime._dear().clear()
    app = AppTest.from_file(str(ROUTER), default_timeout=120)
    for key, value in {"model": tiny, "prompt": "hello there you", "place": "order"}.items():
        app.query_params[key] = value
    app.run().switch_page(entry_of("positions").file).run()
    assert not app.exception
    assert any("Stopped before it was done" in one.value for one in app.info)
    assert not app.error
    assert any(one.label == "Another shuffle" for one in app.button)


@pytest.mark.parametrize("share", [None, 0.4])
def test_long_work_has_a_bar_and_a_stop_once_it_is_known_how_far_it_is(
    share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    over = threading.Event()

    class Place:
        def __getattr__(self, name: str) -> Any:
            def call(*given: Any, **more: Any) -> Any:
                shown.append(f"{name} {more.get('text', '')}".strip())
                if name == "progress":
                    over.set()
                return self

            return call

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: object) -> None:
            return None

    @contextmanager
    def spinner(words: str, show_time: bool) -> Iterator[None]:
        shown.append("spinner")
        if share is None:
            over.set()
        yield

    for name in ("get_script_run_ctx", "add_script_run_ctx"):
        monkeypatch.setattr(waiting, name, lambda *given: object())
    for name in ("SHOW_AFTER_SECONDS", "BAR_AFTER_SECONDS"):
        monkeypatch.setattr(waiting, name, 0.0)
    monkeypatch.setattr(waiting.st, "spinner", spinner)
    monkeypatch.setattr(waiting.st, "empty", Place)
    monkeypatch.setattr(waiting.st, "progress", lambda value: Place())
    monkeypatch.setattr(waiting.st, "button", lambda label, **more: shown.append(label))
    with waiting.working("Reading", lambda: share, "the key"):
        assert over.wait(10)
    if share is None:
        assert shown == ["spinner"]
    else:
        assert shown[:4] == ["spinner", "container", "Stop", "progress Reading: 40\u00a0%"]
        assert shown[-1] == "empty"
