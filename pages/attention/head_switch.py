"""A head switched off: the switch, which heads of a run are off, and what the model says without one."""

from __future__ import annotations

import streamlit as st

from model_runtime.errors import NotFinite
from model_runtime.interventions import ScaleHead
from pages.shared.escape import plain
from pages.shared.frame.errors import missing
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from viz.distributions import change_sentence, distribution_change_record


def switch(layer: int, head: int) -> None:
    """The toggle that cuts the chosen head out of the model, for this visitor's runs only."""
    key = f"gf.switch.{layer}.{head}"
    st.session_state[key] = _is_off(layer, head)
    st.toggle(
        f"Switch L{layer} H{head} off",
        key=key,
        on_change=_turn,
        args=(layer, head),
        help="Sets the head's output to zero before it joins the stream (ablation). The edit stays, on every "
        "page, until you switch the head on again.",
    )


def _is_off(layer: int, head: int) -> bool:
    """Whether the current run is without this head."""
    return ScaleHead(layer, head) in state.get("edits")


def _turn(layer: int, head: int) -> None:
    """Switch a head off, or on again."""
    cut = ScaleHead(layer, head)
    others = tuple(edit for edit in state.get("edits") if edit != cut)
    state.set(edits=others if _is_off(layer, head) else (*others, cut))


def heads_off(run: PageRun) -> list[tuple[int, int]]:
    """(layer, head) of every head that is switched off in a run."""
    return [
        (edit.layer, edit.head)
        for edit in run.interventions
        if isinstance(edit, ScaleHead) and edit == ScaleHead(edit.layer, edit.head)
    ]


def effect(run: PageRun, layer: int, head: int) -> None:
    """What the next-token distribution loses without the head, in one line; nothing while it is on."""
    cut = ScaleHead(layer, head)
    if cut not in run.interventions:
        return
    try:
        whole = run.comparable(tuple(edit for edit in run.interventions if edit != cut))
    except NotFinite as error:
        missing(error.what, error.remedy)
        return
    change = distribution_change_record(whole.logits, run.logits, run.text_of)
    st.markdown(f"**Without L{layer} H{head}:** {plain(change_sentence(change))}")
