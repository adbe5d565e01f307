"""The frame of every page: title and claim, the run to draw, the foot, and what happens on errors.

sides = start_page()
with showing_errors():
    show(choose(), sides)
end_page()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import streamlit as st

from model_runtime.errors import GlassformerError, NotFinite
from pages.shared.figure import scripts
from pages.shared.frame import (
    bar,
    contents,
    errors,
    not_finite,
    opening,
    presenting,
    prompt_box,
    proof,
    sidebar,
    words,
)
from pages.shared.frame.choice import choose
from pages.shared.frame.contents import Needs
from pages.shared.frame.sides import Side, sides
from pages.shared.run import runs, runtime
from pages.shared.run.opened import PageRun, opened
from pages.shared.run.runs import Run
from pages.shared.run.waiting import Stopped
from pages.shared.settings import history, url_state
from pages.shared.settings.edit_codes import describe, fitting, misfit
from pages.shared.settings.table import Limits
from viz import palette

LAST_GOOD = "gf.last_good"
_FAILED = "gf.failed"  # (page, run, error): found while the page was drawn
TEXT_PIXELS = {"normal": 16, "large": 22}


def start_page() -> tuple[Side, ...]:
    """Draw the bar, title and claim of the page on screen, load the model, clamp the selection, draw the
    sidebar.

    Where the current run cannot be computed, the reason is shown and the sides are of the last run that
    could; where there is none the script ends here, with the reason and a way on. A part that needs only the
    model has sides whose prompt need not be read; one that needs nothing is drawn without sides.
    """
    entry = contents.entry_of(url_state.page())
    _set_style()
    prompt_box.take()
    tokens = bar.draw(entry)
    with st.container(key="gf-head", gap=None):
        st.title(entry.title, anchor=False)
        if not entry.parts:  # a part has a sentence of its own
            st.markdown(entry.claim)
        words.draw()
        history.one_entry_a_change()
    needs = contents.part_on_screen(entry, url_state.values()).needs
    run = _open(needs)
    _tell_notices(run)
    if run is not None:
        for side in sides():
            not_finite.tell(side)
    bar.fill(tokens, run)
    sidebar.draw(run)
    presenting.draw(run)
    url_state.write()
    if run is None and needs == "nothing":
        return ()
    if run is None:
        if entry.parts:
            choose()  # another part may need less
        end_page()
        st.stop()
    return sides()


def _tell_notices(run: PageRun | None) -> None:
    """What a link or a box asked for and did not get, in one quiet box."""
    told = url_state.notices()
    if run is not None and run.unread is None:
        for edit in url_state.get("edits"):
            if wrong := misfit(edit, run.spec, len(run.tokens)):
                told.append(f"Not made: {describe(edit)}, {wrong}.")
    if told:
        st.warning("  \n".join(told))  # two spaces: one line each


def _set_style() -> None:
    """Text size (all of Streamlit's sizes follow the root font), the ground under the bar, and more room for
    the figure."""
    pixels = TEXT_PIXELS[url_state.get("text")]
    ground = f"light-dark({palette.LIGHT.background}, {palette.DARK.background})"
    root = f":root {{ font-size: {pixels}px !important; --gf-ground: {ground}; }}"
    st.html(f"<style>{root}{scripts.asset('page.css')}</style>")


def _open(needs: Needs) -> PageRun | None:
    """The current run, or the last good one under a message, or None under a message: a quiet one where what
    is drawn needs no run, or the model alone of a run whose prompt cannot be read."""
    asked = runs.current_run()
    failed = st.session_state.get(_FAILED)
    pinned = _open_pinned(needs)
    try:
        if failed and failed[:2] == (url_state.page(), asked):
            raise failed[2]
        return _opened(asked, pinned)
    except GlassformerError as error:
        if needs == "model" and (alone := _model_alone(asked)):
            spec = alone.spec
            runs.draw(alone.settings, pinned)
            url_state.fit_to(Limits(spec.n_layers, spec.n_heads, spec.n_ctx, spec.d_vocab, spec.n_experts))
            assert alone.unread is not None
            errors.explain_needless(alone.unread, "only the model: the prompt is not read")
            return alone
        kept = st.session_state.get(LAST_GOOD)
        run = None if kept is None or kept == asked else _opened_again(kept, pinned)
        if needs == "nothing":
            errors.explain_needless(error)
        elif kept is None or run is None:
            errors.explain_alone(error)
        elif url_state.refused("prompt"):
            # The box holds text that was not taken, and a notice says so; what it held before is past.
            url_state.open_with(prompt=kept.prompt)
        else:
            errors.explain_kept(error, kept)
        return run


def _opened_again(kept: Run, pinned: Run | None) -> PageRun | None:
    """The last run that could be drawn; None where that can be drawn no longer."""
    try:
        return _opened(kept, pinned)
    except GlassformerError:
        st.session_state.pop(LAST_GOOD)
        return None


def _model_alone(asked: Run) -> PageRun | None:
    """The run without what its prompt would give, where that cannot be read; None where that is not what is
    wrong."""
    try:
        run = opened(asked)
        if run.unread is None:
            return None
    except GlassformerError:
        return None
    return run.changed(edits=fitting(asked.edits, run.spec, run.spec.n_ctx))


def _is_read(run: Run) -> bool:
    """Whether a run is one of a prompt that can be read."""
    try:
        return opened(run).unread is None
    except GlassformerError:
        return False


def _opened(current: Run, pinned: Run | None) -> PageRun:
    """The run, made and drawable, with a selection that it has."""
    run = opened(runtime.drawable(current))
    runs.draw(run.settings, pinned)
    spec = run.spec
    if not url_state.chosen("layer") and not url_state.chosen("head"):
        layer, head = opening.head_to_open(run)
        url_state.open_with(layer=layer, head=head)
    url_state.fit_to(Limits(spec.n_layers, spec.n_heads, len(run.tokens), spec.d_vocab, spec.n_experts))
    return run


def _open_pinned(needs: Needs) -> Run | None:
    """The pinned run, if there is one that can be computed; where it cannot, why."""
    pinned = runs.pinned_run()
    if pinned is None:
        return None
    try:
        return runtime.drawable(pinned)
    except GlassformerError as error:
        if needs == "model" and (alone := _model_alone(pinned)):
            return alone.settings
        errors.explain(error, title="The pinned run cannot be drawn")
        return None


@contextmanager
def showing_errors() -> Iterator[None]:
    """Turn a `GlassformerError` of the block into a message; the last good picture is drawn again."""
    try:
        yield
        if runs.some_drawn() and _is_read(runs.runs()[0]):
            st.session_state[LAST_GOOD] = runs.runs()[0]
    except NotFinite as error:  # the run is what was asked for, so no other picture takes its place
        errors.missing(error.what, error.remedy)
    except GlassformerError as error:
        asked = runs.current_run()
        kept = st.session_state.get(LAST_GOOD)
        drawn = runs.runs()[0]
        # This run can be drawn, but for one part of it.
        if isinstance(error, Stopped) or not _is_read(drawn):
            kept = None
        # The last good picture is drawn under the sampling settings of now, which may be what fails.
        if kept is not None and replace(kept, sampling=drawn.sampling) != drawn:
            st.session_state[_FAILED] = (url_state.page(), asked, error)
            st.rerun()
        if kept is not None and replace(asked, edits=drawn.edits, sampling=drawn.sampling) != drawn:
            # The picture that is promised above cannot be drawn on this page either.
            st.session_state.pop(LAST_GOOD)
            st.rerun()
        errors.explain(error)


def try_this(question: str, answer: str) -> None:
    """A question that asks to predict; the answer opens below it. Both are our own markdown."""
    with st.expander(f"**Try this:** {question}"):
        st.markdown(answer)


def details(
    mathematics: str | Callable[[], str] = "", code: str | Callable[[], str] = "", sources: str = ""
) -> None:
    """The closed lines at the end of a page: mathematics (markdown with formulas), code, sources.

    What is given as a function is computed when its line is open.
    """
    if mathematics and (opened := _closed("The mathematics")):
        opened.markdown(mathematics() if callable(mathematics) else mathematics)
    if code and (opened := _closed("The code")):
        opened.code(code() if callable(code) else code, language="python")
    if sources and (opened := _closed("Where this comes from")):
        opened.markdown(sources)


def _closed(label: str) -> Any:
    """An expander to fill, or None while it is closed.

    What stands in a closed one is sent and drawn all the same, and code alone brings half a megabyte of
    highlighter with it.
    """
    expander = st.expander(label, key=f"gf.details.{label}", on_change="rerun")
    return expander if expander.open else None


def end_page() -> None:
    """Write the URL with the page's own controls in it, and draw the links to the pages before and after."""
    url_state.write()
    before, after = contents.neighbours(url_state.page())
    st.divider()
    left, right = st.columns(2)
    if before is not None:
        left.page_link(before.file, label=f"← {before.title}", help=before.says)
    if after is not None:
        with right.container(horizontal_alignment="right"):
            st.page_link(after.file, label=f"{after.title} →", help=after.says)
    proof.show_if_asked()
