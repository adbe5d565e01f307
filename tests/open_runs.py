"""A run whose trace is in hand: made under another request, or by hand."""

from __future__ import annotations

from typing import cast

from model_runtime.model import Model
from model_runtime.run import OpenRun
from model_runtime.trace import Trace


def run_with(trace: Trace, model: Model | None = None) -> OpenRun:
    """The run that left this trace; without a model it has nothing but the trace."""
    ids = tuple(token.id for token in trace.tokens)
    run = OpenRun(cast(Model, model), ids, trace.interventions)
    vars(run)["trace"] = trace  # where `cached_property` keeps it
    vars(run)["tokens"] = trace.tokens
    return run
