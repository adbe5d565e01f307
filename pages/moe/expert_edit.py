"""The edit of the part "What an expert did": an expert off, or tokens sent to others; for this run alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from model_runtime.interventions import ForceExperts, Intervention, ScaleExpert
from pages.moe.drawing import Routed
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe, misfit
from viz.moe.routing import listed, named

WAYS = {
    "cut": "Off",
    "scaled": "Off, rest scaled up",
    "forced": "Ask others",
}


def controls(drawing: Routed) -> None:
    """What is to be done with the chosen expert."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            f"Do this with {named(drawing.expert)} of layer {drawing.layer}, for every token",
            [*WAYS],
            format_func=WAYS.__getitem__,
            required=True,
            help="Off: its weight becomes 0 and the others keep theirs, so the layer adds less. Scaled up: "
            "the other asked experts' weights grow until the sum is what it was. Ask others: the router's "
            "choice is overruled, with the weights that the router's scores give to those experts.",
            **state.bound("without"),
        )
        if state.get("without") == "forced":
            _choose_forced(drawing)
    if state.get("without") == "forced":
        k = drawing.spec().experts_per_token
        if len(state.get("forced")) not in (0, k):
            st.caption(
                f"The router of this model asks {k}: choose {k}. Until then the next best of the selected "
                f"token are asked: {listed(runners_up(drawing))}."
            )


def _choose_forced(drawing: Routed) -> None:
    n, k = drawing.routing().n_experts, drawing.spec().experts_per_token
    name = "gf.moe.forced"
    half_chosen = [expert for expert in state.get("forced") if expert < n][:k]
    st.session_state[name] = half_chosen or list(runners_up(drawing))
    st.multiselect(
        f"Ask these {k}, whatever the router says",
        range(n),
        format_func=named,
        max_selections=k,
        key=name,
        on_change=_take_forced,
        args=(name,),
    )


def _take_forced(name: str) -> None:
    state.set(forced=tuple(st.session_state[name]))


def runners_up(drawing: Routed) -> tuple[int, ...]:
    """The best experts that the selected token was not sent to, as many as the router asks.

    Where there are too few of them, the last of the asked ones fill up.
    """
    routing = drawing.routing()
    row, k = routing.row(drawing.layer), drawing.spec().experts_per_token
    order = np.argsort(-routing.logits[row, drawing.query], kind="stable").tolist()
    return tuple(int(expert) for expert in (order + order[:k][::-1])[k : 2 * k])


def forced_experts(drawing: Routed) -> tuple[int, ...]:
    """The experts to be asked instead: those of the link where they fit this model, else the next best."""
    k, n = drawing.spec().experts_per_token, drawing.routing().n_experts
    chosen: Sequence[int] = state.get("forced")
    if len(chosen) == k and all(expert < n for expert in chosen):
        return tuple(chosen)
    return runners_up(drawing)


def edit_of(drawing: Routed) -> Intervention:
    """The edit that the controls describe, for this run's layer and expert."""
    way = state.get("without")
    if way == "forced":
        return ForceExperts(drawing.layer, forced_experts(drawing))
    return ScaleExpert(drawing.layer, drawing.expert, 0.0, renormalise=way == "scaled")


def before_and_after(run: Run, edit: Intervention) -> tuple[Run, Run]:
    """The run without this edit, and with it; other edits stay in both."""
    others = tuple(other for other in run.edits if not _same_place(other, edit))
    return replace(run, edits=others), replace(run, edits=(*others, edit))


def _same_place(one: Intervention, other: Intervention) -> bool:
    """Whether two edits are of one expert, or both overrule one router."""
    if isinstance(one, ScaleExpert) and isinstance(other, ScaleExpert):
        return (one.layer, one.expert) == (other.layer, other.expert)
    if isinstance(one, ForceExperts) and isinstance(other, ForceExperts):
        return one.layer == other.layer
    return False


def keep_switch(drawing: Routed, edit: Intervention) -> None:
    """The toggle that makes the edit part of the current run, for this visitor, on every page."""
    if not drawing.clickable:
        return  # the pinned run is looked at, not changed
    key = "gf.moe.keep"
    st.session_state[key] = edit in state.get("edits")
    st.toggle(
        "Keep this edit on every page",
        key=key,
        on_change=_turn,
        args=(drawing.run, edit),
        help=f"The edit ({describe(edit)}) becomes part of this run and of the link, until you take it back "
        "here or in the sidebar. Nobody else's runs are touched.",
    )


def _turn(run: Run, edit: Intervention) -> None:
    before, after = before_and_after(run, edit)
    state.set(edits=before.edits if edit in state.get("edits") else after.edits)


def fits(drawing: Routed, edit: Intervention) -> bool:
    """Whether this run's model can take the edit."""
    return misfit(edit, drawing.spec(), len(drawing.texts)) is None
