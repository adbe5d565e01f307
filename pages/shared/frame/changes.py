"""What a visitor changed of the run, each as one piece that can be taken back: edits, and the pinned run."""

from __future__ import annotations

import streamlit as st

from pages.shared.escape import plain, quoted
from pages.shared.run import runs
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state
from pages.shared.settings.edit_codes import describe, misfit


def pin_button() -> None:
    """The button that pins the current run, while none is pinned."""
    if runs.pinned_run() is None:
        st.button(
            "Pin this run",
            key="gf.pin",
            type="tertiary",
            on_click=runs.pin,
            help="Keep this run, then change model, prompt, edits or sampling: pages draw both on one scale.",
        )


def draw(run: PageRun | None) -> None:
    """One piece an edit, with its button, then the pinned run, and one button that takes back all."""
    edits, pinned = url_state.get("edits"), runs.pinned_run()
    if not edits and pinned is None:
        return
    with st.container(key="gf-changes", horizontal=True, gap="small", vertical_alignment="center"):
        if edits:
            st.caption("**The edited model:**", width="content")
        for index, edit in enumerate(edits):
            wrong = misfit(edit, run.spec, len(run.tokens)) if run and run.unread is None else None
            st.button(
                f"{describe(edit)}{f': not made, {wrong}' if wrong else ''} ✕",
                key=f"gf.edit.{index}",
                help=f"Remove: {describe(edit)}",
                on_click=_remove_edit,
                args=(index, edit),
            )
        if pinned is not None:
            _pinned(pinned)
        if len(edits) + (pinned is not None) > 1:
            help_text = f"Remove all {len(edits)} edits" if pinned is None else "Remove the edits, and unpin"
            st.button("Undo all", key="gf.undo", help=help_text, type="tertiary", on_click=_undo_all)


def _pinned(pinned: runs.Run) -> None:
    current = runs.current_run()
    apart = runs.differences(pinned, current)
    told = (
        f"has, unlike the current one: {', '.join(map(plain, apart))}" if apart else "equals the current one"
    )
    prompt = f", {quoted(pinned.prompt, 40)}" if pinned.prompt != current.prompt else ""
    st.caption(f"**The pinned run** {told}{prompt}", width="content")
    url_state.say_apart()
    help_text = "Make the pinned run the current one, and pin this one."
    st.button("Swap", key="gf.swap", on_click=runs.swap, help=help_text)
    st.button("Unpin ✕", key="gf.unpin", on_click=runs.unpin)


def _undo_all() -> None:
    url_state.set(edits=())
    if runs.pinned_run() is not None:
        runs.unpin()


def _remove_edit(index: int, edit: object) -> None:
    edits = url_state.get("edits")
    if index < len(edits) and edits[index] == edit:
        url_state.set(edits=edits[:index] + edits[index + 1 :])
