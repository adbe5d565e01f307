"""One figure on the whole screen: the keys that step through tokens, heads and parts (`present.js`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pages.shared.figure import scripts
from pages.shared.frame import contents
from pages.shared.frame.bar import pick_token
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state

KEY = "gf.present"
_COMPONENT = scripts.component("present")


@dataclass(frozen=True)
class Ends:
    """How many tokens, layers and heads there are to step through."""

    n_tokens: int
    n_layers: int
    n_heads: int


def draw(run: PageRun | None) -> None:
    """Listen for the keys; draws nothing until a figure is presented."""
    read = run is not None and run.unread is None
    ends = Ends(len(run.tokens), run.spec.n_layers, run.spec.n_heads) if run and read else Ends(1, 1, 1)
    _COMPONENT(key=KEY, data={}, on_step_change=lambda: step(st.session_state[KEY].step, ends))


def step(report: object, ends: Ends) -> None:
    """Take a step, round the end. What comes over the wire is anybody's: what is no step of ours is none."""
    if not isinstance(report, Mapping):
        return
    match report.get("what"), report.get("by"):
        case "token", (1 | -1) as by:
            pick_token((url_state.selected_token(ends.n_tokens) + by) % ends.n_tokens, ends.n_tokens)
        case "head", (1 | -1) as by:
            at = url_state.get("layer") * ends.n_heads + url_state.get("head") + by
            layer, head = divmod(at % (ends.n_layers * ends.n_heads), ends.n_heads)
            url_state.set(layer=layer, head=head)
        case "part", (1 | -1) as by:
            entry = contents.entry_of(url_state.page())
            keys = [part.key for part in entry.parts]
            if keys:
                at = keys.index(url_state.get(entry.setting)) + by
                url_state.set(**{entry.setting: keys[at % len(keys)]})
