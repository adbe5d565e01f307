"""A run opened by many: nobody waits for somebody who waits, and nothing outlives the caches."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.interventions import ScaleHead
from model_runtime.run import OpenRun, once
from model_runtime.trace import Trace
from pages.shared.frame.contents import entry_of
from pages.shared.run import runtime
from pages.shared.run.opened import opened
from tests.pages.test_runtime import run

ROUTER = Path(__file__).resolve().parents[2] / "pages" / "main.py"
CUT = (ScaleHead(0, 0),)


def at_once(*work: Callable[[], object]) -> list[threading.Thread]:
    """Threads that do this work, given ten seconds."""
    threads = [threading.Thread(target=one, daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return [thread for thread in threads if thread.is_alive()]


def test_a_value_that_is_computed_for_one_object_holds_up_no_other() -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, waits: bool) -> None:
            self.waits = waits

        @once
        def value(self) -> int:
            if self.waits:
                started.set()
                go_on.wait(10)
            return 3

    first = threading.Thread(target=lambda: Slow(waits=True).value, daemon=True)
    first.start()
    assert started.wait(10)
    assert at_once(lambda: Slow(waits=False).value) == []
    go_on.set()
    first.join(10)


def test_a_turn_is_not_held_while_waiting_for_who_needs_it(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One measures under the only turn and wants a trace that another, who waits for the turn, is making."""
    turns = runtime.Turns(1)
    monkeypatch.setattr(runtime, "turns", lambda: turns)
    whole, cut = run(tiny, "one turn"), run(tiny, "one turn", edits=CUT)
    runtime.trace_for(whole)
    has_turn, makes_trace = threading.Event(), threading.Event()

    def both(run: OpenRun) -> np.ndarray:
        has_turn.set()
        assert makes_trace.wait(10)
        return run.under(CUT).trace.next_token_logits()

    def wait_for_turn() -> None:
        assert has_turn.wait(10)
        key = runtime.recipe(cut, {})

        def forward() -> Trace:
            makes_trace.set()
            with turns.take():
                return runtime.model_for(cut).trace(cut.prompt, interventions=CUT)

        runtime.kept(key, forward, "")

    assert at_once(lambda: opened(whole).measure(both), wait_for_turn) == []
    np.testing.assert_array_equal(opened(whole).measure(both), opened(cut).logits)


def traces_alive() -> int:
    runtime._cache().clear()
    runtime._dear().clear()
    gc.collect()
    return sum(type(one) is Trace for one in gc.get_objects())


@pytest.mark.parametrize(
    ("page", "part"),
    [
        ("attention", {"part": "stages"}),
        ("attention", {"part": "number"}),
        ("embeddings", {"space": "map", "points": "prompt"}),
        ("tokens", {"lesson": "compare"}),
        ("tokens", {"lesson": "built"}),
        ("positions", {"place": "change"}),
        ("next-token", {}),
    ],
)
def test_what_a_page_leaves_in_the_session_holds_no_trace(tiny: str, page: str, part: dict[str, str]) -> None:
    before = traces_alive()
    app = AppTest.from_file(str(ROUTER), default_timeout=120)
    for key, value in {"model": tiny, "prompt": "hello there", **part}.items():
        app.query_params[key] = value
    app.run().switch_page(entry_of(page).file).run()
    assert not app.exception
    assert traces_alive() == before
