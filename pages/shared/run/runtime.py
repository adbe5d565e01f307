"""The pages' only way to the model: loaded models and traces, cached here and nowhere else.

What takes longer than 0.3 s says what it is doing and for how long, at the place of the page where it was
asked for. Forward passes take turns: thirty students who press a key at once wait in line instead of
slowing one another down.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from model_runtime.capture.trace_cache import HasBytes, TraceCache
from model_runtime.errors import PromptError
from model_runtime.limits import MIB, Limits, check_prompt_length
from model_runtime.loading.catalogue import row_of
from model_runtime.loading.permitted import resolve_for_app
from model_runtime.model import Model
from model_runtime.records import ModelSpec, Token
from model_runtime.trace import Trace
from pages.shared.run.model_shelf import ModelShelf
from pages.shared.run.runs import Run
from pages.shared.run.waiting import Stopped, Turns, attended, is_stopped, rest, working
from pages.shared.settings.edit_codes import fitting

# What is expected to take less never waits behind what takes longer: a forward pass, and slow work.
QUICK_FORWARD_SECONDS, QUICK_SECONDS = 0.5, 2.0
_SPEED = 60e9  # additions and multiplications a second of two cores, roughly
_DEAR_BYTES = 64 * MIB
Value = TypeVar("Value", bound=HasBytes)


def _whole_number(variable: str, default: int) -> int:
    """An environment variable as a whole number of at least 1."""
    words = os.environ.get(variable, "")
    return max(1, int(words)) if words.strip().isdecimal() else default


@st.cache_resource(max_entries=8, show_spinner=False)
def _model(name: str, dtype: str) -> Model:
    """A loaded model. Callers of the same model wait for one load and get the same object."""
    from model_runtime import load_model

    return load_model(name, dtype=dtype)


@st.cache_resource(show_spinner=False)
def _models() -> ModelShelf:
    """The models kept loaded, bounded in bytes."""
    return ModelShelf(_model, _model.clear, Limits.from_environment().model_cache_mib * MIB)


@st.cache_resource(show_spinner=False)
def _cache() -> TraceCache:
    """One bounded memory of traces and what follows from them, for all visitors."""
    return TraceCache(Limits.from_environment().trace_cache_mib * MIB)


@st.cache_resource(show_spinner=False)
def turns() -> Turns:
    """The one line in which forward passes of this process wait."""
    return Turns(_whole_number("GLASSFORMER_FORWARDS", 2))


def model_for(run: Run) -> Model:
    """The model of a run, loaded at most once per process.

    Raises:
        GlassformerError: it is unknown, unsupported, too large, or cannot be reached.
    """
    name = resolve_for_app(run.model)
    if _models().holds(name, run.dtype):
        return _models().get(name, run.dtype)
    row = row_of(name.partition("@")[0])
    with working(f"Loading {Path(name).name if row is None else row.name}"):
        return _models().get(name, run.dtype)


def in_dtype(run: Run, dtype: str) -> Run:
    """`run` with its model in a dtype: itself where "auto" gave that one, so that no second copy is loaded.

    Raises:
        GlassformerError: as `model_for`.
    """
    if run.dtype == "auto" and model_for(run).spec.dtype == dtype:
        return run
    return replace(run, dtype=dtype)


def tokens_for(run: Run) -> tuple[Token, ...]:
    """The tokens of a run's prompt, as the model reads them.

    Raises:
        PromptError: blank, or more tokens than the model or the app takes (both numbers are in the text).
    """
    if not run.prompt.strip():
        raise PromptError("The prompt is blank.", "Type a word, or choose one of the examples.")
    model = model_for(run)
    tokens = model.tokenize(run.prompt)
    check_prompt_length(len(tokens), model.spec.n_ctx, Limits.from_environment())
    return tokens


def trace_for(run: Run, **request: Any) -> Trace:
    """The trace of a run. Without `request` it is the recipe that all pages share, so it is made once.

    Args:
        request: arguments of `Model.trace` (points, layers, positions, exact, logits_at), hashable.

    Raises:
        GlassformerError: the prompt, an edit or a point cannot be used.
    """
    model = model_for(run)

    n_tokens = len(tokens_for(run))

    def forward() -> Trace:
        with turns().take(forward_seconds(model.spec, n_tokens) <= QUICK_FORWARD_SECONDS):
            return model.trace(run.prompt, interventions=run.edits, **request)

    key = recipe(run, request)
    if turns().mine_now():
        # Whoever makes this trace may be waiting for the very turn that this thread has: not waited for.
        found: Trace | None = _cache().peek(key)  # type: ignore[assignment]
        return forward() if found is None else found
    return kept(key, forward, f"Running {model.spec.name} over the prompt")


@st.cache_resource(show_spinner=False)
def _dear() -> TraceCache:
    """What took seconds to measure: small, and not to be pushed out by traces."""
    return TraceCache(_DEAR_BYTES)


def kept(
    key: Hashable, make: Callable[[], Value], words: str, *, dear: bool = False, may_stop: bool = False
) -> Value:
    """The value of `key` in the shared memory, made if it is not there; `words` while that takes time.

    `key` must hold everything that decides the value: `model_key` or `recipe`, and what else was asked.
    Work that nobody waits for any more ends at its next step.

    Raises:
        Stopped: `may_stop`, and the visitor stopped it.
    """
    memory = _dear() if dear else _cache()
    if memory.peek(key) is not None:
        return memory.get(key, make)  # no clock is wound up for what is there
    if may_stop and is_stopped(key):
        raise Stopped(words, key)
    with working(words, lambda: memory.done(key), key if may_stop else None):
        return memory.get(key, attended(memory, key, make), _rest_without_a_turn)


def _rest_without_a_turn() -> None:
    """`rest`, while another thread makes what is asked for. It may need a turn: who has one would wait for a
    thread that waits for them.

    Raises:
        RuntimeError: this thread has a turn. Ask for the value before the turn, as `measure` does for traces.
    """
    if turns().mine_now():
        raise RuntimeError("Work that holds a turn waits for another thread, which may need that turn.")
    rest()


def peek(key: Hashable) -> Any | None:
    """The value of `key` in the shared memory if it is there; never waits."""
    found = _dear().peek(key, renew=True)
    return _cache().peek(key, renew=True) if found is None else found


def drawable(run: Run) -> Run:
    """`run` without the edits that its model or prompt cannot take, after making its shared trace.

    Raises:
        GlassformerError: it cannot be computed.
    """
    edits = fitting(run.edits, model_for(run).spec, len(tokens_for(run)))
    run = replace(run, edits=edits)
    trace_for(run)
    return run


@st.cache_resource(show_spinner=False)
def slow_turns() -> Turns:
    """The line of long work that is no forward pass: one at a time, and forwards pass it by."""
    return Turns(1)


def forward_seconds(spec: ModelSpec, n_tokens: int) -> float:
    """Roughly, on two cores: enough to tell a moment from a minute."""
    return spec.n_params * n_tokens / _SPEED


def model_key(run: Run) -> Hashable:
    """What the loaded model is: two runs of the same weights in the same format have the same."""
    spec = model_for(run).spec
    return spec.model_id, spec.revision, spec.dtype, spec.device


def recipe(run: Run, request: Mapping[str, Any]) -> Hashable:
    """The key of a run's trace: what the model is and reads, the edits, what is kept; not the sampling."""
    return model_for(run).trace_recipe(run.prompt, interventions=run.edits, **request)


def warm_up(run: Run) -> None:
    """Load the model of `run` and trace its prompt, so that the first visitor finds both ready."""
    trace_for(run)
