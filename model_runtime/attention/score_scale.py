"""Why scores are divided by sqrt(d_head): the same q and k, softmaxed with other factors.

Vaswani et al. 2017, 3.2.1: the dot product of two vectors of d_head independent numbers of variance 1 has
variance d_head; without the division large scores push the softmax to where one key takes everything and
gradients vanish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from model_runtime.capture.attention_function import pattern_and_sink, query_rows, visible_cells
from model_runtime.run import OpenRun


@dataclass(frozen=True, eq=False)
class Saturation:
    """Rows of one head's pattern with the model's scaling and without it, float32 [query_pos] each.

    Attributes:
        queries: token positions that see two keys or more (with one there is nothing to share out).
        entropy, largest: entropy in nats and largest probability, as the model computes.
        entropy_unscaled, largest_unscaled: of the same q k^T without the division.
        entropy_uniform: of equal shares on all visible keys, the most that is possible.
        scaling: what the model multiplies q k^T by. scaling_off: the factor that undoes it (1, unless q is
            already divided when attention receives it).
    """

    queries: np.ndarray
    entropy: np.ndarray
    largest: np.ndarray
    entropy_unscaled: np.ndarray
    largest_unscaled: np.ndarray
    entropy_uniform: np.ndarray
    scaling: float
    scaling_off: float

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))


def pattern_scaled_by(
    run: OpenRun, layer: int, head: int, factor: float, queries: int | Sequence[int] | None = None
) -> np.ndarray:
    """One head's pattern with q k^T multiplied by `factor` and not by the model's scaling.

    float32 [query_pos, key_pos]; a calculation on the captured q and k. Soft cap, mask and sink stay.

    Args:
        queries: token positions of the rows; None keeps all rows of the trace.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    call = replace(run.trace.call(layer, head, queries), scaling=factor)
    return np.array(pattern_and_sink(call, head)[0][0].float().cpu().numpy())


def saturation(run: OpenRun, layer: int, head: int, queries: int | Sequence[int] | None = None) -> Saturation:
    """How sharp one head's rows are with the model's scaling and without the division by sqrt(d_head).

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    call = run.trace.call(layer, head, queries)
    visible = visible_cells(call, head)[0].sum(-1)
    some = visible > 1
    rows = query_rows(call)[some].cpu().numpy()
    off = math.sqrt(run.spec.d_head) if run.model.family.q_handed_over_scaled else 1.0
    kept = some.cpu().numpy()
    with_it = _sharpness(pattern_scaled_by(run, layer, head, call.scaling, queries)[kept])
    without = _sharpness(pattern_scaled_by(run, layer, head, off, queries)[kept])
    uniform = torch.log(visible[some].float()).cpu().numpy()
    return Saturation(rows.copy(), *with_it, *without, uniform, call.scaling, off)


def _sharpness(pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entropy in nats and largest share of each row, float32 [query_pos]."""
    entropy = -(pattern * np.log(np.maximum(pattern, 1e-30))).sum(axis=-1)
    return np.maximum(entropy, 0).astype(np.float32), pattern.max(axis=-1)
