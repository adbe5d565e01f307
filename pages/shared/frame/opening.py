"""What a first visitor sees: a head that does something on this prompt, rather than layer 0, head 0, and the
measure that shows what it does."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from model_runtime.errors import PointUnavailable
from model_runtime.records import HeadMeasures
from model_runtime.records.counts import counted
from pages.shared.run.opened import PageRun
from pages.shared.run.waiting import Stopped
from pages.shared.settings import url_state as state
from pages.shared.settings.table import DEFAULT_HEAD, DEFAULT_LAYER, DEFAULT_MODEL
from viz.attention import heads

LONGEST_PROMPT = 512  # tokens; measuring every head of a longer one would hold up the first picture
_OPENED = "gf.opened_measure"  # (model, prompt) that the measure was opened for


def measures_for(run: PageRun) -> HeadMeasures:
    """Every head's measures on the run's prompt."""
    from model_runtime import head_measures

    n_tokens, n_heads = len(run.tokens), run.spec.n_layers * run.spec.n_heads
    return run.measure(head_measures, f"Measuring {counted(n_heads, 'head')} on {counted(n_tokens, 'token')}")


def head_to_open(run: PageRun) -> tuple[int, int]:
    """(layer, head) to select while nobody has chosen one.

    On a prompt too long to measure first: the default model's induction head, which has much to find there;
    of another model, the head that does most at the prompt's beginning.
    """
    if is_long(run) and run.settings.model == DEFAULT_MODEL:
        return DEFAULT_LAYER, DEFAULT_HEAD
    try:
        return heads.head_to_open(measures_for(beginning(run)))
    except (PointUnavailable, Stopped):  # a model without attention patterns: the Attention page says so
        return 0, 0


def beginning(run: PageRun) -> PageRun:
    """The run over as much of its prompt as may be measured first; itself where that is all."""
    while is_long(run):
        kept = len(run.prompt) * LONGEST_PROMPT // (len(run.tokens) + 1)
        run = run.changed(prompt=run.prompt[:kept], edits=())  # an edit may name a token that is gone
    return run


def is_long(run: PageRun) -> bool:
    """Whether measuring every head would hold up the first picture."""
    return len(run.tokens) > LONGEST_PROMPT


def open_measure(run: PageRun, layer: int, head: int) -> None:
    """While nobody has chosen a measure: the one that shows what this head does on a new model or prompt.

    It then stays, so that a click on another head does not colour the overview anew.
    """
    opened_for = (run.settings.model, run.settings.prompt)
    if state.chosen("measure") or st.session_state.get(_OPENED) == opened_for or is_long(run):
        return
    st.session_state[_OPENED] = opened_for
    with suppress(Stopped):
        state.values()["measure"] = heads.measure_to_open(measures_for(run), layer, head)
