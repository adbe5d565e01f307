"""Which head a first visitor sees: one that does something on this prompt, rather than layer 0, head 0."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.shared import runtime
from pages.shared.runs import Run
from viz import heads

_LONGEST_PROMPT = 300  # tokens; measuring every head of a longer one would hold up the first picture


def measures_for(run: Run) -> heads.Measures:
    """Every head's measures on the run's prompt, by their keys in the link."""
    from model_runtime import head_measures

    measured = runtime.derived(run, "head_measures", head_measures)
    return heads.Measures(
        previous=measured.previous_token,
        first=measured.first_token,
        induction=measured.induction,
        duplicate=measured.duplicate_token,
        entropy=measured.entropy,
        distance=measured.mean_distance,
    )


def head_to_open(run: Run) -> tuple[int, int]:
    """(layer, head) to select while nobody has chosen one."""
    if len(runtime.tokens_for(run)) > _LONGEST_PROMPT:
        return 0, 0
    try:
        return heads.head_to_open(measures_for(run))
    except PointUnavailable:  # a model without attention patterns: the Attention page says so
        return 0, 0
