"""Every expert switched off in turn: which one does the next token miss most?"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model_runtime.moe.effects import ExpertEffects, expert_effects, n_forwards
from pages.moe.routed import Routed
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from viz.moe.effects import effect_grid_figure, effect_grid_record, effect_sentence, effect_top

QUICK_WORK = 100_000_000_000  # parameters x tokens x forwards: within it, measured unasked
MOST_FORWARDS = 600
_WANTED = "gf.moe.effects"


def section(several: Sequence[Routed]) -> None:
    """One grid a run, on one scale, side by side."""
    st.subheader("Which expert is missed most?", anchor=False)
    measured = [effects_of(routed) for routed in several]
    found = [effects.divergence for effects in measured if effects is not None]
    top = effect_top(*found) if found else 1.0
    columns = st.columns([3, 2] if len(several) == 1 else 2)
    for routed, effects, column in zip(several, measured, columns, strict=False):
        if effects is not None:
            with column:
                _grid(routed, effects, top)


def effects_of(routed: Routed) -> ExpertEffects | None:
    """The effects of a run's experts; None until they are asked for, where they take long."""
    forwards = n_forwards(routed.routing)
    if not _wanted(routed, forwards):
        return None
    return routed.side.run.measure(
        expert_effects,
        f"Switching {forwards:,} experts off, one at a time",
        renormalise=state.get("without") == "scaled",
    )


def _wanted(routed: Routed, forwards: int) -> bool:
    if forwards > MOST_FORWARDS:
        st.caption(
            f"{forwards:,} experts work on this prompt; switching each off would take as many runs. At most "
            f"{MOST_FORWARDS:,} are made: try a shorter prompt or a smaller model."
        )
        return False
    side = routed.side
    if side.spec.n_params * len(side.texts) * forwards <= QUICK_WORK:
        return True
    key = f"{_WANTED}{side.slug}"
    st.button(
        f"Switch {forwards:,} experts off, one at a time",
        key=f"gf.moe.measure{side.slug}",
        on_click=_want,
        args=(key, side.run.settings),
        help=f"{forwards:,} runs of the model over the prompt.",
    )
    return st.session_state.get(key) == side.run.settings


def _want(key: str, run: Run) -> None:
    st.session_state[key] = run


def _grid(routed: Routed, effects: ExpertEffects, top: float) -> None:
    record = effect_grid_record(
        effects.divergence,
        effects.layers,
        n_layers=routed.side.spec.n_layers,
        layer=routed.layer,
        expert=routed.expert,
        top=top,
    )
    scaled = state.get("without") == "scaled"
    told = routed.side.run.origin(
        expert="off, the others scaled up" if scaled else "off, the others as they were"
    )
    routed.show(effect_grid_figure(record), "expert-effects", _take, provenance=told)
    st.markdown(plain(effect_sentence(record)))
    st.caption(
        "Each cell: the prompt run again with that one expert off, and how far the next token's distribution "
        "moves. ×: no token was sent there. Choose a cell to see what changes."
    )


def _take(click: Click) -> None:
    if isinstance(click.point, tuple):
        state.set(layer=click.point[0], expert=click.point[1])
