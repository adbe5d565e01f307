"""The stages of one head in two runs, matrix by matrix: current less pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from model_runtime.records import HeadStages
from viz.attention.stages.record import MATRICES, HeadStagesRecord, head_stages_record, shared_limits


def difference_record(
    current: HeadStages,
    pinned: HeadStages,
    token_texts: Sequence[str],
    *,
    layer: int,
    head: int,
    query: int,
    key: int | None = None,  # None: the one that differs most
) -> HeadStagesRecord | None:
    """Current less pinned, matrix by matrix; None where the two heads have matrices of other shapes."""
    names = [name for name, *_ in MATRICES]
    one, other = ([getattr(stages, name) for name in names] for stages in (current, pinned))
    if [np.shape(value) for value in one] != [np.shape(value) for value in other]:
        return None
    visible = current.visible & pinned.visible
    less: dict[str, Any] = {
        name: None
        if a is None
        else np.where(visible, a, 0) - np.where(visible, b, 0)
        if name == "scores"
        else a - b
        for name, a, b in zip(names, one, other, strict=True)
    }
    difference = replace(current, **less, visible=visible, sink=None)
    limits = shared_limits(difference)
    limits["pattern"] = float(np.abs(difference.pattern).max()) or 1.0
    record = head_stages_record(
        difference, token_texts, layer=layer, head=head, query=query, key=key, limits=limits
    )
    return replace(record, is_difference=True)
