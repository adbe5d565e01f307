"""Our staged attention against torch's own function and against what a layer of this prompt really added."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from model_runtime.attention.stages import recombination_error
from model_runtime.capture.attention_function import (
    AttentionCall,
    at_queries,
    pattern_and_sink,
    scores,
    visible_cells,
)
from model_runtime.run import OpenRun

_CELLS = 2**22  # of [head, query_pos, key_pos] at a time


@dataclass(frozen=True)
class SdpaCheck:
    """Whether softmax(mask(q k^T x scaling)) v, staged, equals `scaled_dot_product_attention`.

    Attributes:
        applies: False where torch's function has no such option; `reason` says which, and the numbers are 0.
        largest_error: largest absolute difference over all heads, queries and dimensions.
        n_values: numbers compared, head x query_pos x d_head.
        tolerance: what rounding can explain, from the dtype, the largest score and the largest value.
        dtype: of the model, in which both are computed.
    """

    applies: bool
    reason: str
    largest_error: float
    n_values: int
    dtype: str
    tolerance: float

    @property
    def ok(self) -> bool:
        """Equal up to rounding. A NaN is not; a check that does not apply is."""
        return not self.applies or self.largest_error <= self.tolerance


@dataclass(frozen=True)
class LayerChecks:
    """What was compared: with torch's own attention, and all heads with what attention added (None: not)."""

    torch: SdpaCheck
    heads: float | None

    @property
    def nbytes(self) -> int:
        return 256


def layer_checks(run: OpenRun, layer: int) -> LayerChecks:
    """Both checks of a layer.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    return LayerChecks(sdpa_check(run, layer), recombination_error(run, layer))


def sdpa_check(run: OpenRun, layer: int) -> SdpaCheck:
    """Compare on the captured q, k, v and mask of one layer, edges cut by edits included.

    z is compared before a `ScaleHead` edit, which comes after attention. A few queries at a time, so that
    memory does not grow with the square of the prompt.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    call = run.trace.call(layer)
    dtype = str(call.query.dtype).removeprefix("torch.")
    if reason := _no_counterpart(call):
        return SdpaCheck(False, reason, 0.0, 0, dtype, 0.0)
    n_heads, n_rows, n_keys = call.query.shape[1], call.query.shape[2], call.key.shape[2]
    size = max(1, _CELLS // (n_heads * n_keys))
    rows = torch.arange(n_rows, device=call.query.device)
    found = [_compare(at_queries(call, part)) for part in rows.split(size)]
    errors, largest_scores = torch.tensor(found).unbind(dim=1)
    # As in the self-proof: a score of size s is known to s x eps, which changes its weight by that share.
    eps = torch.finfo(call.query.dtype).eps
    tolerance = eps * (4 + float(largest_scores.max())) * float(call.value.abs().max())
    n_values = n_heads * n_rows * call.value.shape[-1]
    return SdpaCheck(True, "", float(errors.max()), n_values, dtype, tolerance)


def _no_counterpart(call: AttentionCall) -> str:
    """Why torch's function cannot compute this layer; empty where it can."""
    if call.softcap is not None:
        return f"its scores are soft-capped at {call.softcap:g}, which torch's function cannot do"
    if call.sinks is not None:
        return "a learned sink takes part in its softmax, which torch's function cannot do"
    return ""


def _compare(call: AttentionCall) -> tuple[float, float]:
    """Largest difference and largest absolute score."""
    group = call.query.shape[1] // call.key.shape[1]
    value = call.value.repeat_interleave(group, dim=1)
    theirs = scaled_dot_product_attention(
        call.query,
        call.key.repeat_interleave(group, dim=1),
        value,
        attn_mask=visible_cells(call)[None],
        scale=call.scaling,
    )
    ours = torch.matmul(pattern_and_sink(call, None)[0], value[0])
    largest_score = scores(call, None).nan_to_num(neginf=0).abs().max()
    return float((ours.float() - theirs[0].float()).abs().max()), float(largest_score)
