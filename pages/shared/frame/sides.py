"""One run's side of the Attention page: the selection, fitted to the run's own model and prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from model_runtime.model import Model
from model_runtime.records import ModelSpec
from model_runtime.trace import Trace
from pages.shared.escape import quoted, token_text
from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.frame.page import View
from pages.shared.run import runs, runtime
from pages.shared.run.opened import PageRun, opened
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.table import STRONGEST_KEY


@dataclass(frozen=True, eq=False)
class Drawing:
    """A run and what of it is looked at: the selection, or the nearest that its model and prompt have.

    `name` is "" while one run is drawn, else "Current run" or "Pinned run"; `slug` tells figures apart.
    """

    run: Run
    name: str
    layer: int
    head: int
    query: int  # position of the selected token
    chosen_key: int | None  # position of the chosen key, None: the one that is read most
    texts: tuple[str, ...]  # of the tokens

    @property
    def slug(self) -> str:
        return self.name.split(" ")[0].lower()

    @property
    def clickable(self) -> bool:
        """Clicks choose in the current run; the pinned one is looked at."""
        return self.name != "Pinned run"

    def trace(self) -> Any:
        """The default trace of the run (cached)."""
        return runtime.trace_for(self.run)

    def spec(self) -> Any:
        return runtime.model_for(self.run).spec

    def origin(self, kind: Kind = "measured", **extra: Any) -> Provenance:
        """Where a figure of this layer and head comes from."""
        return runtime.provenance_of(self.run, kind, layer=self.layer, head=self.head, **extra)

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.slug}" if self.slug else name


def drawings_of(view: View) -> tuple[Drawing, ...]:
    """The runs of the page, the current one first."""
    names = ("Current run", "Pinned run") if len(view.runs) > 1 else ("",)
    return tuple(_drawing(run, name, view) for run, name in zip(view.runs, names, strict=True))


def _drawing(run: Run, name: str, view: View) -> Drawing:
    spec = runtime.model_for(run).spec
    texts = tuple(token_text(token) for token in runtime.tokens_for(run))
    query = state.selected_token(len(texts))
    key = state.get("key")
    return Drawing(
        run,
        name,
        layer=min(view.layer, spec.n_layers - 1),
        head=min(view.head, spec.n_heads - 1),
        query=query,
        chosen_key=None if key == STRONGEST_KEY else min(key, len(texts) - 1),
        texts=texts,
    )


def same_tokens(drawings: Sequence[Any]) -> bool:
    """Whether two runs read the same tokens, so that their cells can be compared one by one."""
    if isinstance(drawings[0], Side):
        return all(side.run.ids == drawings[0].run.ids for side in drawings)
    ids = [[token.id for token in runtime.tokens_for(drawing.run)] for drawing in drawings]
    return all(one == ids[0] for one in ids)


def places(sides: Sequence[Any], **columns: Any) -> list[Any]:
    """A place for each side: columns where there are two."""
    return [st.container()] if len(sides) == 1 else list(st.columns(len(sides), **columns))


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
        """Where a figure of the text on screen comes from."""
        return replace(self.run.origin(kind, **extra), prompt=self.text)

    def key_figure(self, name: str) -> str:
        """The key of a live figure."""
        return f"{name}-{self.slug}" if self.slug else name


def sides() -> tuple[Side, ...]:
    """The runs of the page, the current one first, under the selection of now."""
    several = runs.runs()
    names = ("Current run", "Pinned run") if len(several) > 1 else ("",)
    return tuple(_side(opened(run), name) for run, name in zip(several, names, strict=True))


def _side(run: PageRun, name: str) -> Side:
    n_tokens, key = len(run.tokens), state.get("key")
    return Side(
        run,
        name,
        layer=min(state.get("layer"), run.spec.n_layers - 1),
        head=min(state.get("head"), run.spec.n_heads - 1),
        query=state.selected_token(n_tokens),
        chosen_key=None if key == STRONGEST_KEY else min(key, n_tokens - 1),
    )


@contextmanager
def column(place: Any, side: Any, *, prompt: bool = True) -> Iterator[None]:
    """One run's column of a comparison: its name and prompt on top. With one run: just the place."""
    with place:
        if side.name:
            st.subheader(side.name, anchor=False)
            if prompt:
                st.markdown(quoted(getattr(side.run, "settings", side.run).prompt))
        yield
