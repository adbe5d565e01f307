"""A head switched off: the switch, which heads of a run are off, and what the model says without one."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from model_runtime.interventions import ScaleHead
from pages.shared.escape import plain, token_text
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from viz.distributions import change_sentence, distribution_change_record


def switch(layer: int, head: int) -> None:
    """The toggle that cuts the chosen head out of the model, for this visitor's runs only."""
    key = f"gf.switch.{layer}.{head}"
    st.session_state[key] = is_off(layer, head)
    st.toggle(
        f"Switch L{layer} H{head} off",
        key=key,
        on_change=turn,
        args=(layer, head),
        help="Sets the head's output to zero before it joins the stream (ablation). The edit stays, on every "
        "page, until you switch the head on again.",
    )


def is_off(layer: int, head: int) -> bool:
    """Whether the current run is without this head."""
    return ScaleHead(layer, head) in state.get("edits")


def heads_off(run: Run) -> list[tuple[int, int]]:
    """(layer, head) of every head that is switched off in a run."""
    return [
        (edit.layer, edit.head)
        for edit in run.edits
        if isinstance(edit, ScaleHead) and edit == ScaleHead(edit.layer, edit.head)
    ]


def turn(layer: int, head: int) -> None:
    """Switch a head off, or on again."""
    cut = ScaleHead(layer, head)
    others = tuple(edit for edit in state.get("edits") if edit != cut)
    state.set(edits=others if is_off(layer, head) else (*others, cut))


def effect(run: Run, layer: int, head: int) -> None:
    """What the next-token distribution loses without the head, in one line; nothing while it is on."""
    cut = ScaleHead(layer, head)
    if cut not in run.edits:
        return
    whole = replace(run, edits=tuple(edit for edit in run.edits if edit != cut))
    model = runtime.model_for(whole)
    change = distribution_change_record(
        runtime.logits_for(whole), runtime.logits_for(run), lambda i: token_text(model.token(i))
    )
    st.markdown(f"**Without L{layer} H{head}:** {plain(change_sentence(change))}")
