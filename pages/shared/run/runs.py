"""A run: what is computed, as one frozen record. A page draws the current run and, where one is pinned,
the pinned run beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import streamlit as st

from model_runtime.interventions import Intervention
from model_runtime.sampling.settings import DEFAULT_ORDER, SamplingSettings
from pages.shared.escape import model_name
from pages.shared.settings import url_state
from pages.shared.settings.edit_codes import describe
from pages.shared.settings.table import RUN_KEYS, read_pin, write_pin

_DRAWN = "gf.drawn"
_FIELD_WORDS = {
    "repetition_penalty": "repetition penalty",
    "presence_penalty": "presence penalty",
    "frequency_penalty": "frequency penalty",
    "max_new_tokens": "most new tokens",
}

# key in the link -> field of SamplingSettings
SAMPLING_FIELDS: dict[str, str] = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repetition": "repetition_penalty",
    "presence": "presence_penalty",
    "frequency": "frequency_penalty",
    "order": "order",
    "seed": "seed",
    "max_new_tokens": "max_new_tokens",
}


@dataclass(frozen=True)
class Run:
    """Everything that decides the numbers of a picture; two equal runs have equal numbers."""

    model: str
    dtype: str
    prompt: str
    edits: tuple[Intervention, ...]
    sampling: SamplingSettings


def run_of(values: Mapping[str, Any]) -> Run:
    """The run in a set of settings."""
    sampling = SamplingSettings(**{field: values[key] for key, field in SAMPLING_FIELDS.items()})
    return Run(values["model"], values["dtype"], values["prompt"], values["edits"], sampling)


def values_of(run: Run) -> dict[str, Any]:
    """The settings that make `run`."""
    sampling = {key: getattr(run.sampling, field) for key, field in SAMPLING_FIELDS.items()}
    return {"model": run.model, "dtype": run.dtype, "prompt": run.prompt, "edits": run.edits, **sampling}


def current_run() -> Run:
    """The run that the bar and the controls describe."""
    return run_of({key: url_state.get(key) for key in RUN_KEYS})


def pinned_run() -> Run | None:
    """The run pinned for comparison, if there is one."""
    values = read_pin(url_state.get("pin"))
    return None if values is None else run_of(values)


def runs() -> tuple[Run, ...]:
    """The runs to draw: one, or with a pinned run two, the pinned one second.

    The first is the current run without edits that its model cannot take; where it cannot be computed, the
    last one that could, under the sampling settings of now.
    """
    current = current_run()
    first, pinned = st.session_state.get(_DRAWN, (current, None))
    first = replace(first, sampling=current.sampling)
    return (first,) if pinned is None or not url_state.get("pin") else (first, pinned)


def some_drawn() -> bool:
    """Whether a run was found that can be drawn."""
    return _DRAWN in st.session_state


def draw(first: Run, pinned: Run | None) -> None:
    """What `runs` gives from now on: `start_page` has found out what can be drawn."""
    st.session_state[_DRAWN] = (first, pinned)


def pin() -> None:
    """Keep the current run for comparison."""
    url_state.set(pin=write_pin(values_of(current_run())))


def unpin() -> None:
    """Let the pinned run go."""
    url_state.set(pin="")


def swap() -> None:
    """Exchange the current and the pinned run."""
    pinned = pinned_run()
    if pinned is not None:
        now = current_run()
        url_state.set(**values_of(pinned), pin=write_pin(values_of(now)))


def differences(run: Run, other: Run) -> tuple[str, ...]:
    """What sets `run` apart from `other`, in words: ("another prompt", "temperature 0.2").

    Only `run`'s own values are named, so the words stay true while a slider moves `other`'s.
    """
    words = []
    if run.model != other.model:
        words.append(model_name(run.model))
    if run.dtype != other.dtype:
        words.append("automatic number format" if run.dtype == "auto" else run.dtype)
    if run.prompt != other.prompt:
        words.append("another prompt")
    if run.edits != other.edits:
        words.append("; ".join(map(describe, run.edits)) or "no edits")
    for field in fields(SamplingSettings):
        mine, theirs = getattr(run.sampling, field.name), getattr(other.sampling, field.name)
        if mine != theirs:
            name = _FIELD_WORDS.get(field.name, field.name.replace("_", "-"))
            words.append("another order of steps" if field.name == "order" else f"{name} {mine:g}")
    return tuple(words)


def sampling_words(sampling: SamplingSettings) -> dict[str, Any]:
    """The sampling settings that are on, for captions; the order where it is not the usual one."""
    active = [name for name in sampling.order if sampling.is_active(name)]
    words = {name.replace("_", "-"): f"{sampling.value(name):g}" for name in DEFAULT_ORDER if name in active}
    if sampling.order != DEFAULT_ORDER:
        words["order"] = " then ".join(name.replace("_", "-") for name in active)
    return words
