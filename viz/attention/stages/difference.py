"""The stages of one head in two runs, matrix by matrix: current less pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from viz.attention.stages.record import MATRICES, HeadStagesRecord, Stages, head_stages_record, shared_limits


@dataclass(frozen=True, eq=False)
class _Difference:
    """One head's matrices less another's: what `head_stages_record` reads of them."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    dots: np.ndarray
    scaled: np.ndarray
    capped: np.ndarray | None
    scores: np.ndarray
    pattern: np.ndarray
    z: np.ndarray
    result: np.ndarray
    visible: np.ndarray
    scaling: float
    softcap: float | None
    w_o_shape: tuple[int, int]
    q_handed_over_scaled: bool
    sink: np.ndarray | None = None


def difference_record(
    current: Stages, pinned: Stages, token_texts: Sequence[str], **place: Any
) -> HeadStagesRecord | None:
    """Current less pinned, matrix by matrix; None where the two heads have matrices of other shapes.

    The arguments are those of `head_stages_record`, `key` among them.
    """
    names = [name for name, *_ in MATRICES]
    one, other = ([getattr(stages, name) for name in names] for stages in (current, pinned))
    if [np.shape(value) for value in one] != [np.shape(value) for value in other]:
        return None
    visible = np.asarray(current.visible) & np.asarray(pinned.visible)
    less: dict[str, Any] = {
        name: None
        if a is None
        else np.where(visible, a, 0) - np.where(visible, b, 0)
        if name == "scores"
        else np.asarray(a) - np.asarray(b)
        for name, a, b in zip(names, one, other, strict=True)
    }
    difference: Any = _Difference(
        **less,
        visible=visible,
        scaling=current.scaling,
        softcap=current.softcap,
        w_o_shape=current.w_o_shape,
        q_handed_over_scaled=current.q_handed_over_scaled,
    )
    limits = shared_limits(difference)
    limits["pattern"] = float(np.abs(difference.pattern).max()) or 1.0
    record = head_stages_record(difference, token_texts, limits=limits, **place)
    return replace(record, is_difference=True)
