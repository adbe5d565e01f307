"""One run's side of the Attention page: the selection, fitted to the run's own model and prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.shared.escape import quoted, token_text
from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.frame.page import View
from pages.shared.run import runtime
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


def same_tokens(drawings: Sequence[Drawing]) -> bool:
    """Whether two runs read the same tokens, so that their cells can be compared one by one."""
    ids = [[token.id for token in runtime.tokens_for(drawing.run)] for drawing in drawings]
    return all(one == ids[0] for one in ids)


@contextmanager
def column(place: Any, drawing: Drawing) -> Iterator[None]:
    """One run's column of a comparison: its name and prompt on top. With one run: just the place."""
    with place:
        if drawing.name:
            st.subheader(drawing.name, anchor=False)
            st.markdown(quoted(drawing.run.prompt))
        yield
