"""The runtime checks its own capture on a prompt: equations that must hold between captured values.

Each is evaluated in the model's dtype and in the model's order of operations. Where the operations are the
same, the error must be exactly 0; else the tolerance says what rounding alone can do. In half precision
the errors are a lesson in themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from model_runtime.capture.attention_function import family_pattern, pattern_and_sink, scores
from model_runtime.capture.rotary import rotate
from model_runtime.interventions import Intervention, Patch, ScaleHead, Steer, as_interventions
from model_runtime.model import Model, Prompt
from model_runtime.trace import Trace

_POINTS = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "pattern", "z")
_ROPE = ("q", "k", "rope_cos", "rope_sin")
_BYTES_AT_ONCE = 256 * 2**20  # layers are proved in groups that keep about this much


@dataclass(frozen=True)
class ProofCheck:
    """One equation over all layers.

    Attributes:
        name: the equation in words.
        largest_error: largest absolute difference of the two sides, over all layers or, where the equation
            fails, over those in which it does; NaN where it was skipped.
        tolerance: what rounding can explain in that layer; 0 where both sides do the same operations.
        layer: where the error is; None if not of a layer, or skipped.
        reason_skipped: why the equation does not apply to this model or run; None if it was checked.
    """

    name: str
    largest_error: float
    tolerance: float
    ok: bool
    layer: int | None = None
    reason_skipped: str | None = None


@dataclass(frozen=True)
class SelfProof:
    """All checks of one run. `ok` is True if every check that applies holds."""

    checks: tuple[ProofCheck, ...]
    dtype: str
    n_tokens: int

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def worst(self) -> ProofCheck | None:
        """The check with the largest error, None if none applied."""
        done = [check for check in self.checks if check.reason_skipped is None]
        return max(done, key=lambda check: _rank(check.largest_error), default=None)

    @property
    def largest_error(self) -> float:
        """The largest absolute difference of all checks that apply; NaN if none does or one has none."""
        return self.worst.largest_error if self.worst else math.nan


Found = tuple[float, float]  # (largest error, tolerance)


class _Layer:
    """One traced layer under proof; its pattern is computed once for all checks that read it."""

    def __init__(self, model: Model, trace: Trace, layer: int) -> None:
        self.model, self.layer, self.call = model, layer, trace.call(layer)
        self._kept, self._edits = trace.kept, trace.interventions

    def __getitem__(self, point: str) -> torch.Tensor:
        return self._kept[point, self.layer].to(self.call.device)

    @cached_property
    def softmax(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        return pattern_and_sink(self.call, None)

    def scaled_heads(self) -> tuple[ScaleHead, ...]:
        """The edits that change z after the values were weighted."""
        return tuple(e for e in self._edits if isinstance(e, ScaleHead) and e.layer == self.layer)

    @cached_property
    def largest_score(self) -> float:
        return float(scores(self.call, None).nan_to_num(neginf=0).abs().max())


def _rank(error: float) -> float:
    """For sorting: a NaN is worse than any number."""
    return math.inf if math.isnan(error) else error


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.to(found.device).float()).abs().max())


def _softmax(layer: _Layer) -> Found:
    ours = layer.softmax[0]
    # The same operations give 0; a matrix product of another shape may round its scores differently.
    tolerance = torch.finfo(ours.dtype).eps * (1 + layer.largest_score)
    module = layer.model.adapter.attentions[layer.layer]
    return _error(ours, family_pattern(module, layer.call)), tolerance


def _rows(layer: _Layer) -> Found:
    pattern, sink = layer.softmax
    total = pattern.float().sum(-1) + (0 if sink is None else sink.float())
    # Each of n shares is rounded by at most half an eps of its own size, and they sum to 1; the softmax
    # adds n terms in float32, whose rounding errors grow like a random walk.
    walk = torch.finfo(torch.float32).eps * pattern.shape[-1] ** 0.5
    return float((total - 1).abs().max()), 4 * torch.finfo(pattern.dtype).eps + walk


def _weighted_values(layer: _Layer) -> Found:
    pattern, z = layer.softmax[0], layer["z"]
    value = layer.call.value[0]
    value = value.repeat_interleave(pattern.shape[0] // value.shape[0], dim=0)
    # The kernel sums in its own order. A score of size s is known to s x eps, which changes its
    # weight by that share; the weights sum to 1, so the error grows with s and the largest value.
    tolerance = torch.finfo(z.dtype).eps * (4 + layer.largest_score) * float(value.abs().max())
    expected = torch.matmul(pattern, value)
    for edit in layer.scaled_heads():
        rows = slice(None) if edit.positions is None else list(edit.positions)
        expected[edit.head, rows] = expected[edit.head, rows] * edit.factor
        tolerance *= max(1.0, abs(edit.factor))
    return _error(z, expected), tolerance


def _stream(layer: _Layer) -> Found:
    before, attn, mlp = layer["resid_pre"], layer["attn_out"], layer["mlp_out"]
    total = mlp + attn + before if layer.model.adapter.parallel else (before + attn) + mlp
    return _error(layer["resid_post"], total), 0.0


def _rotation(layer: _Layer) -> Found:
    cos, sin = layer["rope_cos"], layer["rope_sin"]
    q_error = _error(layer.call.query[0], rotate(layer["q"], cos, sin))
    k_error = _error(layer.call.key[0], rotate(layer["k"], cos, sin))
    return float(np.maximum(q_error, k_error)), 0.0  # unlike max(), it passes a NaN on


_LAYER_CHECKS: dict[str, Callable[[_Layer], Found]] = {
    "softmax of scores = the family's own pattern": _softmax,
    "each pattern row (and its sink) sums to 1": _rows,
    "pattern x v = z": _weighted_values,  # times the factor, in heads that are scaled
    "resid_pre + attn_out + mlp_out = resid_post": _stream,
    "rotated q and k = rot_q and rot_k": _rotation,
}
_HEAD_CHECK = "head of ln_final = logits"


def _skipped(model: Model, name: str, interventions: tuple[Intervention, ...]) -> dict[int, str]:
    """Layers in which an equation does not apply, with the reason."""
    if name.startswith("rotated"):
        reasons = enumerate(model.reasons["rot_q"])
        return {layer: reason for layer, reason in reasons if reason is not None}
    if name.startswith("resid_pre"):
        return {
            edit.layer: f"{type(edit).__name__} edits the stream itself in layer {edit.layer}"
            for edit in interventions
            if isinstance(edit, Patch | Steer) and edit.point in ("resid_mid", "resid_post")
        }
    return {}


def _groups(model: Model, n_tokens: int) -> Iterator[tuple[int, ...]]:
    """Layers that are captured in one forward, so that a long prompt stays within memory."""
    spec = model.spec
    width = 5 * spec.d_model + 3 * spec.n_heads * spec.d_head + 5 * spec.n_kv_heads * spec.d_head
    size = max(1, _BYTES_AT_ONCE // (4 * width * n_tokens))
    for start in range(0, spec.n_layers, size):
        yield tuple(range(start, min(start + size, spec.n_layers)))


def _head(model: Model, prompt: Prompt, interventions: tuple[Intervention, ...]) -> ProofCheck:
    trace = model.trace(prompt, points=("ln_final",), layers=(), interventions=interventions)
    last = trace.kept["ln_final", None][-1:].to(model.device)
    head: Any = model.adapter.model_roles["head"]
    with torch.no_grad():
        logits = head(last[None])[0]
    cap = getattr(model.adapter.config, "final_logit_softcapping", None)
    if cap is not None:
        logits = torch.tanh(logits / cap) * cap
    error = _error(trace.kept["logits", None], logits)
    # Sums of d_model terms, which a matrix product may add in another order, rounded once at the end.
    eps = torch.finfo(last.dtype).eps + torch.finfo(torch.float32).eps * model.spec.d_model**0.5
    tolerance = eps * float(logits.abs().max())
    return ProofCheck(_HEAD_CHECK, error, tolerance, error <= tolerance)


def self_proof(
    model: Model, prompt: Prompt, interventions: Intervention | Iterable[Intervention] = ()
) -> SelfProof:
    """Check the capture of one forward pass against itself.

    Runs one forward for the layers that fit in memory together (one for ordinary prompts) and one for the
    head. Errors as in `Model.trace`.
    """
    edits = as_interventions(interventions)
    ids = model.prompt_ids(prompt)
    points = tuple(name for name in _POINTS if name != "resid_mid" or not model.adapter.parallel)
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in _LAYER_CHECKS}
    for layers in _groups(model, len(ids)):
        wanted = points + (_ROPE if any(model.spec.layers[layer].rotates for layer in layers) else ())
        trace = model.trace(ids, points=wanted, layers=layers, interventions=edits)
        for layer in layers:
            one = _Layer(model, trace, layer)
            for name, check in _LAYER_CHECKS.items():
                if layer not in _skipped(model, name, edits):
                    with torch.no_grad():
                        found[name].append((*check(one), layer))
    checks = [_summary(model, name, results, edits) for name, results in found.items()]
    return SelfProof((*checks, _head(model, ids, edits)), model.spec.dtype, len(ids))


def _summary(
    model: Model, name: str, results: list[tuple[float, float, int]], edits: tuple[Intervention, ...]
) -> ProofCheck:
    if not results:
        reason = next(iter(_skipped(model, name, edits).values()))
        return ProofCheck(name, float("nan"), 0.0, True, None, reason)
    # A NaN in the run fails the proof: it compares as not within any tolerance.
    failed = [result for result in results if not result[0] <= result[1]]
    error, tolerance, layer = max(failed or results, key=lambda result: _rank(result[0]))
    return ProofCheck(name, error, tolerance, not failed, layer)
