"""One run's side of a part: which model, which layer, and its column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.shared import runtime
from pages.shared.page import View
from pages.shared.runs import Run
from pages.shared.words import quoted


@dataclass(frozen=True, eq=False)
class Side:
    """A run and its layer, fitted to its model. `name` is "" while one run is drawn."""

    run: Run
    name: str
    layer: int
    head: int

    @property
    def current(self) -> bool:
        return self.name != "Pinned run"

    @property
    def spec(self) -> Any:
        return runtime.model_for(self.run).spec

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.name.split(' ')[0].lower()}" if self.name else name


def sides_of(view: View) -> tuple[Side, ...]:
    """The runs of the page, the current one first."""
    names = ("Current run", "Pinned run") if len(view.runs) > 1 else ("",)
    return tuple(_side(run, name, view) for run, name in zip(view.runs, names, strict=True))


def _side(run: Run, name: str, view: View) -> Side:
    spec = runtime.model_for(run).spec
    return Side(run, name, min(view.layer, spec.n_layers - 1), min(view.head, spec.n_heads - 1))


@contextmanager
def column(place: Any, side: Side) -> Iterator[None]:
    """One run's column of a comparison: its name, model and prompt on top. With one run: just the place."""
    with place:
        if side.name:
            st.subheader(side.name, anchor=False)
            st.markdown(f"{quoted(side.spec.name)}: {quoted(side.run.prompt)}")
        yield
