"""An expert off, or tokens sent to others: the edit, for this run alone, and the texts before and after."""

from __future__ import annotations

import streamlit as st

from model_runtime.interventions import ForceExperts, Intervention, ScaleExpert
from model_runtime.sampling.greedy import greedy_text, parting
from pages.moe.routed import Routed
from pages.shared.escape import counted, plain
from pages.shared.frame.generated_html import STYLE, rows, written
from pages.shared.run.opened import PageRun
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe
from viz.moe.routing import listed, named

WAYS = {
    "cut": "Off",
    "scaled": "Off, rest scaled up",
    "forced": "Ask others",
}
NEW_TOKENS = 24
QUICK_PARAMETERS = 50_000_000  # of larger models the texts are written on a button
_WANTED = "gf.moe.texts"


def controls(routed: Routed) -> None:
    """What is to be done with the chosen expert."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            f"Do this with {named(routed.expert)} of layer {routed.layer}, for every token",
            [*WAYS],
            format_func=WAYS.__getitem__,
            required=True,
            help="Off: its weight becomes 0 and the others keep theirs, so the layer adds less. Scaled up: "
            "the other asked experts' weights grow until the sum is what it was. Ask others: the router's "
            "choice is overruled, with the weights that the router's scores give to those experts.",
            **state.bound("without"),
        )
        if state.get("without") == "forced":
            _choose_forced(routed)
    if state.get("without") == "forced":
        k = routed.side.spec.experts_per_token
        if len(state.get("forced")) not in (0, k):
            st.caption(
                f"The router of this model asks {k}: choose {k}. Until then the next best of the selected "
                f"token are asked: {listed(runners_up(routed))}."
            )


def _choose_forced(routed: Routed) -> None:
    n, k = routed.routing.n_experts, routed.side.spec.experts_per_token
    name = "gf.moe.forced"
    half_chosen = [expert for expert in state.get("forced") if expert < n][:k]
    st.session_state[name] = half_chosen or list(runners_up(routed))
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


def runners_up(routed: Routed) -> tuple[int, ...]:
    """The best experts that the selected token was not sent to, as many as the router asks.

    Where there are too few of them, the last of the asked ones fill up.
    """
    k, order = routed.side.spec.experts_per_token, routed.routing.by_score(routed.layer, routed.side.query)
    return (order + order[:k][::-1])[k : 2 * k]


def edit_of(routed: Routed) -> Intervention:
    """The edit that the controls describe, for this run's layer and expert."""
    way = state.get("without")
    if way != "forced":
        return ScaleExpert(routed.layer, routed.expert, 0.0, renormalise=way == "scaled")
    k, n = routed.side.spec.experts_per_token, routed.routing.n_experts
    chosen: tuple[int, ...] = state.get("forced")
    fit = len(chosen) == k and all(expert < n for expert in chosen)
    return ForceExperts(routed.layer, tuple(chosen) if fit else runners_up(routed))


def before_and_after(run: PageRun, edit: Intervention) -> tuple[PageRun, PageRun]:
    """The run without this edit, and with it; other edits stay in both."""
    others = _others(run, edit)
    return run.comparable(others), run.comparable((*others, edit))


def _others(run: PageRun, edit: Intervention) -> tuple[Intervention, ...]:
    return tuple(other for other in run.interventions if not _same_place(other, edit))


def _same_place(one: Intervention, other: Intervention) -> bool:
    """Whether two edits are of one expert, or both overrule one router."""
    if isinstance(one, ScaleExpert) and isinstance(other, ScaleExpert):
        return (one.layer, one.expert) == (other.layer, other.expert)
    if isinstance(one, ForceExperts) and isinstance(other, ForceExperts):
        return one.layer == other.layer
    return False


def keep_switch(routed: Routed, edit: Intervention) -> None:
    """The toggle that makes the edit part of the current run, for this visitor, on every page."""
    if not routed.side.clickable:
        return  # the pinned run is looked at, not changed
    key = "gf.moe.keep"
    st.session_state[key] = edit in state.get("edits")
    st.toggle(
        "Keep this edit on every page",
        key=key,
        on_change=_turn,
        args=(_others(routed.side.run, edit), edit),
        help=f"The edit ({describe(edit)}) becomes part of this run and of the link, until you take it back "
        "here or on top of the page. Nobody else's runs are touched.",
    )


def _turn(others: tuple[Intervention, ...], edit: Intervention) -> None:
    state.set(edits=others if edit in state.get("edits") else (*others, edit))


def continuations(routed: Routed, edit: Intervention) -> None:
    """Both texts, token by token the likeliest; where they part is said."""
    before, after = before_and_after(routed.side.run, edit)
    if not _wanted(routed, after.settings):
        return
    texts = [run.measure(greedy_text, "Writing on", n_tokens=NEW_TOKENS).tokens for run in (before, after)]
    part = parting(*texts)
    both = zip(("As it is", "Edited"), (written(text, numbers=False) for text in texts), strict=True)
    st.html(STYLE + rows([*both]))
    said = (
        "Both texts are the same: the next token moves too little. Try an expert that is missed more (below)."
        if part is None
        else f"They part at new token {part + 1}."
        if part
        else "They part at once."
    )
    st.caption(
        f"{said} {counted(NEW_TOKENS, 'token')} at most, always the likeliest (greedy); the darker, the more "
        f"probable. Edited: {plain(describe(edit))}."
    )


def _wanted(routed: Routed, after: Run) -> bool:
    """Whether the texts may be written: at once where it is quick, else when the button was pressed."""
    if routed.side.spec.n_params <= QUICK_PARAMETERS:
        return True
    slug = routed.side.slug
    st.button(
        f"Write {NEW_TOKENS} tokens with and without the edit",
        key=f"gf.moe.write{slug}",
        on_click=_want,
        args=(slug, after),
    )
    return st.session_state.get(f"{_WANTED}{slug}") == after


def _want(slug: str, after: Run) -> None:
    st.session_state[f"{_WANTED}{slug}"] = after
