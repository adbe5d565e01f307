"""One run's side of the Tokens page: the text on screen and the model whose tokenizer reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.frame.page import View
from pages.shared.run import runtime
from pages.shared.run.runs import Run


@dataclass(frozen=True, eq=False)
class Side:
    """A run and the text that is cut. The text is the run's prompt, or what is being typed in its place.

    `name` is "" while one run is drawn, else "Current run" or "Pinned run"; `slug` tells figures apart.
    """

    run: Run
    name: str
    text: str

    @property
    def slug(self) -> str:
        return self.name.split(" ")[0].lower()

    @property
    def clickable(self) -> bool:
        """Clicks choose in the current run; the pinned one is looked at."""
        return self.name != "Pinned run"

    def model(self) -> Any:
        """The loaded model (its tokenizer is what this page asks it for)."""
        return runtime.model_for(self.run)

    def origin(self, kind: Kind = "measured", **extra: object) -> Provenance:
        """Where a figure of the text on screen comes from."""
        return replace(runtime.provenance_of(self.run, kind, **extra), prompt=self.text)  # type: ignore[arg-type]

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.slug}" if self.slug else name


def sides_of(view: View, text: str) -> tuple[Side, ...]:
    """The runs of the page, the current one first, with `text` in place of its prompt."""
    names = ("Current run", "Pinned run") if len(view.runs) > 1 else ("",)
    texts = (text, *(run.prompt for run in view.runs[1:]))
    return tuple(Side(run, name, cut) for run, name, cut in zip(view.runs, names, texts, strict=True))


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
