"""The likeliest continuation of the prompt before and after the edit of an expert, side by side."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model_runtime.interventions import Intervention
from model_runtime.sampling.greedy import greedy_text, parting
from pages.moe.drawing import Routed
from pages.moe.expert_edit import before_and_after
from pages.shared.escape import counted, plain
from pages.shared.frame.generated_html import STYLE, rows, written
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings.edit_codes import describe

NEW_TOKENS = 24
QUICK_PARAMETERS = 50_000_000  # of larger models the texts are written on a button
_WANTED = "gf.moe.texts"


def continuations(drawing: Routed, edit: Intervention) -> None:
    """Both texts, token by token the likeliest; where they part is said."""
    before, after = before_and_after(drawing.run, edit)
    if not _wanted(drawing, after):
        return
    texts = [text_for(run).tokens for run in (before, after)]
    part = parting(*texts)
    st.html(
        STYLE
        + rows(
            [
                ("As it is", written(texts[0], numbers=False)),
                ("Edited", written(texts[1], numbers=False)),
            ]
        )
    )
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


def _wanted(drawing: Routed, after: Run) -> bool:
    """Whether the texts may be written: at once where it is quick, else when the button was pressed."""
    if drawing.spec().n_params <= QUICK_PARAMETERS:
        return True
    st.button(
        f"Write {NEW_TOKENS} tokens with and without the edit",
        key=f"gf.moe.write{drawing.slug}",
        on_click=_want,
        args=(drawing.slug, after),
    )
    return st.session_state.get(f"{_WANTED}{drawing.slug}") == after


def _want(slug: str, after: Run) -> None:
    st.session_state[f"{_WANTED}{slug}"] = after


def text_for(run: Run) -> Any:
    """The greedy continuation of a run (cached)."""
    model = runtime.model_for(run)
    return runtime.derived(
        run,
        ("greedy", NEW_TOKENS),
        lambda trace: greedy_text(model, run.prompt, NEW_TOKENS, run.edits),
        words="Writing on",
    )
