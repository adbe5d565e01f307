"""The runs of a part of the Embeddings page, side by side where there are two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.shared import runtime
from pages.shared.page import View
from pages.shared.runs import Run


@dataclass(frozen=True, eq=False)
class Side:
    """A run on this page. `name` is "" while one run is drawn, else "Current run" or "Pinned run"."""

    run: Run
    name: str

    @property
    def slug(self) -> str:
        return self.name.split(" ")[0].lower()

    @property
    def clickable(self) -> bool:
        """Clicks choose in the current run; the pinned one is looked at."""
        return self.name != "Pinned run"

    def model(self) -> Any:
        return runtime.model_for(self.run)

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.slug}" if self.slug else name


def sides_of(view: View) -> tuple[Side, ...]:
    """The runs of the page, the current one first."""
    names = ("Current run", "Pinned run") if len(view.runs) > 1 else ("",)
    return tuple(Side(run, name) for run, name in zip(view.runs, names, strict=True))


@contextmanager
def column(place: Any, side: Side) -> Iterator[None]:
    """One run's column of a comparison, its name on top. With one run: just the place."""
    with place:
        if side.name:
            st.subheader(side.name, anchor=False)
        yield


def columns(sides: Sequence[Side]) -> list[Any]:
    """A place for each side."""
    return [st.container()] if len(sides) == 1 else list(st.columns(len(sides)))
