"""A walk through a figure: next and back, one sentence and one thing to look at a stop, the rest dimmed.

The browser goes from stop to stop by itself and reports where it is, so that the link says it too. What
stands at the stops is the figure's own (`viz.drawn.Stop`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from viz.drawn import Stop

_MOST_REPORTS = 2**53  # a number of a report beyond it would end all later ones


@dataclass(frozen=True)
class Walk:
    """Where a walk is, and what is done when that changes.

    `on_step` gets the stop (0: the whole picture), and `on_onward` is called at the button behind the last
    one; both before the page runs again.
    """

    at: int
    invitation: str  # what stands beside the button that begins it; plain text
    onward: str  # the label of the button behind the last stop
    on_step: Callable[[int], None]
    on_onward: Callable[[], None]


def message(walk: Walk | None, stops: Sequence[Stop], key: str) -> dict[str, Any] | None:
    """What travels to the browser; None where there is no walk."""
    if walk is None or not stops:
        return None
    return {
        "at": walk.at,
        "invitation": walk.invitation,
        "onward": walk.onward,
        "stops": [{"name": stop.name, "says": stop.says, "look": stop.look} for stop in stops],
        "seq": st.session_state.get(_seq(key), 0),
    }


def reported(walk: Walk | None, report: Any, n_stops: int, key: str) -> None:
    """Take over where the browser says it is, if that is well formed and news; the stop is clamped."""
    match report:
        case {"seq": int(seq), "at": int(at)} if walk is not None:
            if not st.session_state.get(_seq(key), 0) < seq < _MOST_REPORTS:
                return
            st.session_state[_seq(key)] = seq
            if at > n_stops:
                walk.on_onward()
            else:
                walk.on_step(max(at, 0))


def _seq(key: str) -> str:
    return f"{key}:walk-seq"
