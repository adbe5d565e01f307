"""The sides of a page: each run that is drawn, with what of it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.model import Model
from model_runtime.records import ModelSpec
from model_runtime.trace import Trace
from pages.shared.escape import quoted
from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.run import runs
from pages.shared.run.opened import PageRun, opened
from pages.shared.settings import url_state as state
from pages.shared.settings.table import STRONGEST_KEY


@dataclass(frozen=True, eq=False)
class Side:
    """A run and what of it is looked at: the selection, or the nearest that its model and prompt have.

    `name` is "" while one run is drawn, else "Current run" or "Pinned run"; `slug` tells figures apart.
    """

    run: PageRun
    name: str
    layer: int
    head: int
    query: int  # position of the selected token
    chosen_key: int | None  # position of the chosen key, None: the one that is read most
    draft: str | None = None  # what is being typed in place of the prompt

    @property
    def text(self) -> str:
        """The text on screen: the prompt, or what is being typed in its place."""
        return self.run.settings.prompt if self.draft is None else self.draft

    @property
    def slug(self) -> str:
        return self.name.split(" ")[0].lower()

    @property
    def clickable(self) -> bool:
        """Clicks choose in the current run; the pinned one is looked at."""
        return self.name != "Pinned run"

    @property
    def model(self) -> Model:
        return self.run.model

    @property
    def spec(self) -> ModelSpec:
        return self.run.spec

    @property
    def texts(self) -> tuple[str, ...]:
        """The tokens' texts."""
        return self.run.texts

    @property
    def trace(self) -> Trace:
        """The trace that all pages share."""
        return self.run.trace

    def origin(self, kind: Kind = "measured", *, head: bool = True, **extra: Any) -> Provenance:
        """Where a figure of this layer (and, unless told otherwise, head) comes from."""
        return self.run.origin(kind, layer=self.layer, head=self.head if head else None, **extra)

    def text_origin(self, kind: Kind = "measured", **extra: Any) -> Provenance:
        """Where a figure of the text on screen comes from; no edit of the model changes its tokens."""
        return replace(self.run.origin(kind, as_it_is=True, **extra), prompt=self.text)

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.slug}" if self.slug else name


def sides() -> tuple[Side, ...]:
    """The runs of the page, the current one first, under the selection of now."""
    several = runs.runs()
    names = ("Current run", "Pinned run") if len(several) > 1 else ("",)
    return tuple(_side(opened(run), name) for run, name in zip(several, names, strict=True))


def _side(run: PageRun, name: str) -> Side:
    n_tokens = len(run.tokens) if run.unread is None else 1  # nothing of an unread prompt is looked at
    key = state.get("key")
    return Side(
        run,
        name,
        layer=min(state.get("layer"), run.spec.n_layers - 1),
        head=min(state.get("head"), run.spec.n_heads - 1),
        query=state.selected_token(n_tokens),
        chosen_key=None if key == STRONGEST_KEY else min(key, n_tokens - 1),
    )


def same_tokens(sides: Sequence[Side]) -> bool:
    """Whether two runs read the same tokens, so that their cells can be compared one by one."""
    return all(side.run.ids == sides[0].run.ids for side in sides)


def places(sides: Sized, **columns: Any) -> list[DeltaGenerator]:
    """A place for each side: columns where there are two."""
    return [st.container()] if len(sides) == 1 else list(st.columns(len(sides), **columns))


@contextmanager
def column(place: AbstractContextManager[Any], side: Side, *, prompt: bool = True) -> Iterator[None]:
    """One run's column of a comparison: its name and prompt on top. With one run: just the place."""
    with place:
        if side.name:
            st.subheader(side.name, anchor=False)
            if prompt:
                st.markdown(quoted(side.run.settings.prompt))
        yield
