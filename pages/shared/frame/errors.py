"""What a visitor sees when something cannot be drawn: what came, what to do, and a way on."""

from __future__ import annotations

import logging
import re

import streamlit as st

from model_runtime.errors import GlassformerError, PromptError, SettingError
from model_runtime.loading.catalogue import catalogue
from pages.shared.escape import model_name, plain, quoted
from pages.shared.run.runs import Run, values_of
from pages.shared.run.waiting import Stopped, go_on
from pages.shared.settings import table as settings
from pages.shared.settings import url_state

# What only the operator can do, and where a reader of the code finds more: no help to a visitor.
_FOR_OPERATORS = re.compile(r" ?Whoever runs the server.*", re.DOTALL)
_FAMILIES = "a model of a family in the table of the README"
_PYTHON_NAME = re.compile(r" \([A-Za-z.]*(?:Error|Exception|Timeout)\)")
_LOG = logging.getLogger("glassformer")


def explain(error: GlassformerError, title: str = "This cannot be drawn") -> None:
    """The error's own two sentences in a box, as text. Work that the visitor stopped can be begun again."""
    if isinstance(error, Stopped):
        st.info(plain(error.what))
        st.button("Do it after all", key=f"gf.go_on.{hash(error.key)}", on_click=go_on, args=(error.key,))
        return
    # What a visitor typed is nobody's fault: a quiet box. Red is for what the app could not do.
    box = st.warning if isinstance(error, PromptError | SettingError) else st.error
    told = map(for_people, (error.what, error.remedy))
    box("\n\n".join(plain(words) for words in told if words), title=title)


def for_people(words: str) -> str:
    """An error's sentence with models called as in the list of models, without Python's own names and without
    what only the operator of the server can do.

    >>> for_people("The model openai-community/gpt2 cannot be reached (ConnectError).")
    'The model GPT-2 cannot be reached.'
    """
    words = _FOR_OPERATORS.sub("", _PYTHON_NAME.sub("", words)).replace(_FAMILIES, "another model")
    for row in catalogue():
        if row.source == "hub":
            words = re.sub(rf"(?<![\w/.-]){re.escape(row.location)}(?![\w/-])", row.name, words)
    return words


def explain_needless(error: GlassformerError, needs: str = "neither prompt nor model") -> None:
    """The error, said quietly over a part that is drawn without what is wrong."""
    words = " ".join(for_people(words) for words in (error.what, error.remedy) if words)
    st.info(f"{plain(words)} This part needs {needs}.")


def explain_kept(error: GlassformerError, kept: Run) -> None:
    """The error, with the word that the last good picture is below, and a button that goes back to it."""
    with st.container(key="gf-kept"):
        explain(error)
        st.caption(
            f"Below is the last picture that worked: {plain(model_name(kept.model))}, "
            f"prompt {quoted(kept.prompt)}."
        )
        st.button("Go back to it", key="gf.back", on_click=_take_back, args=(kept,))


def explain_alone(error: GlassformerError) -> None:
    """The error where no picture worked yet, and a button that starts with the worked example."""
    explain(error)
    st.button("Start with the worked example", key="gf.afresh", on_click=_start_afresh)


def _take_back(kept: Run) -> None:
    url_state.forget_refused()
    url_state.set(**values_of(kept))


def _start_afresh() -> None:
    url_state.forget_refused()
    url_state.set(**settings.defaults())


def missing(sentence: str, way_on: str = "") -> None:
    """The designed state of "this model has none of that": a sentence, and what to try instead."""
    st.info("\n\n".join(plain(words) for words in (sentence, way_on) if words), title="Nothing to show here")


def on_script_error(error: BaseException) -> bool:
    """Called by the server for an error of our own: logged in full, told to the visitor in one sentence."""
    _LOG.error("A page failed", exc_info=error)
    st.error(
        f"An error of the app itself ({type(error).__name__}), not of yours. The server's log has the "
        "details. The link in the address bar keeps your settings: reload to try again.",
        title="This page stopped",
    )
    return True
