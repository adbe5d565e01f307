"""Measurements that a page asks for by name: made once by whoever asks first, kept for all visitors.

Each waits its turn in the runtime's lines and says on the page what it is doing. The small and dear ones have
a memory of their own, so that traces do not push them out.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from model_runtime.capture.trace_cache import TraceCache
from pages.shared.run import runtime
from pages.shared.run.runs import Run

_COSTS_BYTES = 256 * 1024  # some 250 measurements of cost


def foreign_for(run: Run, key: str, text: str) -> Any:
    """What the run's model makes of `text` in the ids of another tokenizer (`foreign.ForeignReading`).

    Args:
        key: of `encodings.TOKENIZERS`.
        text: instead of the run's prompt; the run's edits are left out.

    Raises:
        GlassformerError: a blank text, no such tokenizer, or its files are not installed.
    """
    from model_runtime.tokens.encodings import tokenize_with
    from model_runtime.tokens.foreign import read_foreign

    model = runtime.model_for(run)
    tokenized = tokenize_with(key, text)

    def read() -> Any:
        with runtime.turns().take():
            return read_foreign(model, tokenized)

    words = f"Running {model.spec.name} over another tokenizer's numbers"
    return runtime.kept(("foreign", key, text, runtime.model_key(run)), read, words)


def cost_for(run: Run) -> Any:
    """What attention costs on this machine for the run's model (`CostMeasurement`): about 20 s of work.

    Kept for all visitors, by model and number format; takes a turn. Only on a button.
    """
    from model_runtime.attention.cost import measure_cost

    model = runtime.model_for(run)
    ids = [token.id for token in runtime.tokens_for(run)]

    def measure() -> Any:
        with runtime.turns().take():
            return measure_cost(model, ids)

    with runtime.working(f"Measuring {model.spec.name} at growing lengths (about 20 s)"):
        return _costs().get(runtime.model_key(run), measure)


def known_cost(run: Run) -> Any | None:
    """The measurement of `cost_for` if somebody has made it; never waits."""
    return _costs().peek(runtime.model_key(run))


def domains_for(run: Run) -> Any:
    """Which experts the run's model uses for which kind of text (`domains.DomainRouting`).

    Measured on the bundled held-out text, without the run's edits; kept for all visitors, by model and number
    format; takes a turn.

    Raises:
        GlassformerError: the model has no experts, or the text is missing.
    """
    from model_runtime.moe.domains import domain_routing, read_heldout

    model = runtime.model_for(run)

    def measure() -> Any:
        with runtime.turns().take():
            return domain_routing(model, read_heldout())

    words = f"Running {model.spec.name} over the held-out text"
    return runtime.kept(("domains", runtime.model_key(run)), measure, words)


def known_domains(run: Run) -> Any | None:
    """The measurement of `domains_for` if it has been made and is still kept; never waits."""
    return runtime.peek(("domains", runtime.model_key(run)))


@st.cache_resource(show_spinner=False)
def _costs() -> TraceCache:
    """Measurements of cost by model: small, and not to be pushed out by traces."""
    return TraceCache(_COSTS_BYTES)
