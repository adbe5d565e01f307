"""Collection after every script run does not look again at what survived one, and nothing leaks for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from pages.shared.run import model_shelf
from pages.shared.server import collector


class Knot:
    """An object that only the collector frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def setting_apart() -> Iterator[None]:
    """As on the server, but without the thread that sweeps now and then."""
    gc.callbacks.append(collector._set_apart)
    yield
    gc.callbacks.remove(collector._set_apart)
    gc.unfreeze()
    gc.collect()


def test_what_survived_a_collection_is_not_looked_at_again() -> None:
    kept: list[list[int]] = [[] for _ in range(50_000)]
    gc.collect()  # as Streamlit after a run
    assert len(gc.get_objects()) < 1_000  # what the next one looks at
    assert gc.get_freeze_count() > len(kept)


def test_a_run_s_own_cycles_are_freed_when_it_ends() -> None:
    gc.collect()
    alive = weakref.ref(Knot())
    gc.collect()
    assert alive() is None


def test_a_cycle_that_was_set_apart_is_freed_by_the_sweep_and_no_earlier() -> None:
    knot = Knot()
    alive = weakref.ref(knot)
    gc.collect()
    del knot
    gc.collect()
    assert alive() is not None  # the price
    assert collector.sweep() > 0
    assert alive() is None
    assert len(gc.get_objects()) < 1_000  # set apart again


def test_a_model_let_go_is_freed_at_once_though_it_was_set_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_shelf, "_model_bytes", lambda model: 1)
    loaded: dict[str, Any] = {}
    shelf = model_shelf.ModelShelf(
        lambda name, dtype: loaded.setdefault(name, Knot()), lambda name, dtype: loaded.pop(name), max_bytes=0
    )
    alive = weakref.ref(shelf.get("first", "auto"))
    gc.collect()
    assert alive() is not None
    shelf.get("second", "auto")
    assert alive() is None
