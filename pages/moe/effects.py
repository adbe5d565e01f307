"""Every expert switched off in turn: which one does the next token miss most?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.moe.drawing import Routed
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.moe.effects import effect_grid_figure, effect_grid_record, effect_sentence, effect_top

QUICK_WORK = 100_000_000_000  # parameters x tokens x forwards: within it, measured unasked
MOST_FORWARDS = 600
_WANTED = "gf.moe.effects"


def section(drawings: Sequence[Routed]) -> None:
    """One grid a run, on one scale, side by side."""
    st.subheader("Which expert is missed most?", anchor=False)
    measured = [effects_of(drawing) for drawing in drawings]
    found = [effects.divergence for effects in measured if effects is not None]
    top = effect_top(*found) if found else 1.0
    places = st.columns([3, 2] if len(drawings) == 1 else 2)
    for drawing, effects, place in zip(drawings, measured, places, strict=False):
        if effects is not None:
            with place:
                _grid(drawing, effects, top)


def effects_of(drawing: Routed) -> Any | None:
    """The effects of a run's experts; None until they are asked for, where they take long."""
    from model_runtime.moe.effects import expert_effects, n_forwards

    routing, model = drawing.routing(), runtime.model_for(drawing.run)
    forwards = n_forwards(routing)
    if not _wanted(drawing, forwards):
        return None
    renormalise = state.get("without") == "scaled"
    return runtime.derived(
        drawing.run,
        ("expert_effects", renormalise),
        lambda trace: expert_effects(model, drawing.run.prompt, routing, drawing.run.edits, renormalise),
        words=f"Switching {forwards:,} experts off, one at a time",
    )


def _wanted(drawing: Routed, forwards: int) -> bool:
    if forwards > MOST_FORWARDS:
        st.caption(
            f"{forwards:,} experts work on this prompt; switching each off would take as many runs. At most "
            f"{MOST_FORWARDS:,} are made: try a shorter prompt or a smaller model."
        )
        return False
    if drawing.spec().n_params * len(drawing.texts) * forwards <= QUICK_WORK:
        return True
    key = f"{_WANTED}{drawing.slug}"
    st.button(
        f"Switch {forwards:,} experts off, one at a time",
        key=f"gf.moe.measure{drawing.slug}",
        on_click=_want,
        args=(key, drawing.run),
        help=f"{forwards:,} runs of the model over the prompt.",
    )
    return st.session_state.get(key) == drawing.run


def _want(key: str, run: Any) -> None:
    st.session_state[key] = run


def _grid(drawing: Routed, effects: Any, top: float) -> None:
    record = effect_grid_record(
        effects.divergence,
        effects.layers,
        n_layers=drawing.spec().n_layers,
        layer=drawing.layer,
        expert=drawing.expert,
        top=top,
    )
    scaled = state.get("without") == "scaled"
    live_figure(
        effect_grid_figure(record),
        key=drawing.key_figure("expert-effects"),
        provenance=runtime.provenance_of(
            drawing.run, expert="off, the others scaled up" if scaled else "off, the others as they were"
        ),
        clickable=drawing.clickable,
        on_click=_take,
    )
    st.markdown(plain(effect_sentence(record)))
    st.caption(
        "Each cell: the prompt run again with that one expert off, and how far the next token's distribution "
        "moves. ×: no token was sent there. Choose a cell to see what changes."
    )


def _take(click: Click) -> None:
    if isinstance(click.point, tuple):
        state.set(layer=click.point[0], expert=click.point[1])
