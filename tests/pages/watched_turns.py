"""Turns that count themselves: does each pass of a model take one of its own?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pages.shared.run import runtime


class WatchedTurns:
    """In the place of `runtime.Turns`: every turn that was taken, with the passes made in it."""

    def __init__(self) -> None:
        self.counted: list[int] = []
        self.held = False

    @contextmanager
    def take(self, quick: bool = False) -> Iterator[None]:
        assert not self.held, "a turn within a turn waits for itself where there is only one place"
        self.counted.append(0)
        self.held = True
        try:
            yield
        finally:
            self.held = False


def watch_turns(monkeypatch: pytest.MonkeyPatch) -> WatchedTurns:
    """Exchange the process's turns for watched ones."""
    turns = WatchedTurns()
    monkeypatch.setattr(runtime, "turns", lambda: turns)
    return turns


def watch(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, turns: WatchedTurns) -> list[str]:
    """Let a function that runs the model insist on a turn with no other pass in it; the list of its calls."""
    inner, calls = getattr(owner, name), []

    def watched(*args: Any, **kwargs: Any) -> Any:
        assert turns.held, f"{name} without a turn"
        turns.counted[-1] += 1
        assert turns.counted[-1] == 1, f"{name} twice in a turn"
        calls.append(name)
        return inner(*args, **kwargs)

    monkeypatch.setattr(owner, name, watched)
    return calls
