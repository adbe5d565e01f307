"""The runtime checks its own capture on a prompt: equations that must hold between captured values.

Each is evaluated in the model's dtype and in the model's order of operations. Where the operations are the
same, the error must be exactly 0; else the tolerance says what rounding alone can do. In half precision
the errors are a lesson in themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from model_runtime.attention import family_pattern, pattern_and_sink, scores
from model_runtime.interventions import Intervention, Patch, Steer
from model_runtime.model import Model, Prompt
from model_runtime.rope import rotate
from model_runtime.trace import Trace

_POINTS = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "pattern", "z")
_ROPE = ("q", "k", "rope_cos", "rope_sin")
_BYTES_AT_ONCE = 256 * 2**20  # layers are proved in groups that keep about this much


@dataclass(frozen=True)
class ProofCheck:
    """One equation over all layers.

    Attributes:
        name: the equation in words.
        largest_error: largest absolute difference of the two sides; NaN where it was skipped.
        tolerance: what rounding can explain at that place; 0 where both sides do the same operations.
        layer: where the error is largest relative to its tolerance; None if not of a layer, or skipped.
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
        return max(done, key=lambda check: check.largest_error, default=None)


Found = tuple[float, float]  # (largest error, tolerance)


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).abs().max())


def _softmax(model: Model, trace: Trace, layer: int) -> Found:
    call = trace.calls[layer]
    ours = pattern_and_sink(call, None)[0]
    # The same operations give 0; a matrix product of another shape may round its scores differently.
    size = float(scores(call, None).nan_to_num(neginf=0).abs().max())
    eps = torch.finfo(ours.dtype).eps
    return _error(ours, family_pattern(model.adapter.attentions[layer], call)), eps * (1 + size)


def _rows(model: Model, trace: Trace, layer: int) -> Found:
    pattern, sink = pattern_and_sink(trace.calls[layer], None)
    total = pattern.float().sum(-1) + (0 if sink is None else sink.float())
    # Each of n shares is rounded by at most half an eps of its own size, and they sum to 1.
    return float((total - 1).abs().max()), 4 * torch.finfo(pattern.dtype).eps


def _weighted_values(model: Model, trace: Trace, layer: int) -> Found:
    call = trace.calls[layer]
    pattern = pattern_and_sink(call, None)[0]
    value = call.value[0].repeat_interleave(pattern.shape[0] // call.value.shape[1], dim=0)
    z = trace.kept["z", layer]
    # The kernel sums in its own order. A score of size s is known to s x eps, which changes its
    # weight by that share; the weights sum to 1, so the error grows with s and the largest value.
    size = float(scores(call, None).nan_to_num(neginf=0).abs().max())
    tolerance = torch.finfo(z.dtype).eps * (4 + size) * float(value.abs().max())
    return _error(z, torch.matmul(pattern, value)), tolerance


def _stream(model: Model, trace: Trace, layer: int) -> Found:
    kept = trace.kept
    before, attn, mlp = (kept[name, layer] for name in ("resid_pre", "attn_out", "mlp_out"))
    total = mlp + attn + before if model.adapter.parallel else (before + attn) + mlp
    return _error(kept["resid_post", layer], total), 0.0


def _rotation(model: Model, trace: Trace, layer: int) -> Found:
    kept, call = trace.kept, trace.calls[layer]
    cos, sin = kept["rope_cos", layer], kept["rope_sin", layer]
    q_error = _error(call.query[0], rotate(kept["q", layer], cos, sin))
    return max(q_error, _error(call.key[0], rotate(kept["k", layer], cos, sin))), 0.0


_LAYER_CHECKS: dict[str, Callable[[Model, Trace, int], Found]] = {
    "softmax of scores = the family's own pattern": _softmax,
    "each pattern row (and its sink) sums to 1": _rows,
    "pattern x v = z": _weighted_values,
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
    last = trace.kept["ln_final", None][-1:]
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


def self_proof(model: Model, prompt: Prompt, interventions: Iterable[Intervention] = ()) -> SelfProof:
    """Check the capture of one forward pass against itself.

    Runs one forward for the layers that fit in memory together (one for ordinary prompts) and one for the
    head. Errors as in `Model.trace`.
    """
    edits = tuple(interventions)
    ids = model.prompt_ids(prompt)
    rotates = any(layer.rotates for layer in model.spec.layers)
    points = tuple(name for name in _POINTS if name != "resid_mid" or not model.adapter.parallel)
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in _LAYER_CHECKS}
    for layers in _groups(model, len(ids)):
        wanted = points + (_ROPE if any(model.spec.layers[layer].rotates for layer in layers) else ())
        trace = model.trace(ids, points=wanted, layers=layers, interventions=edits)
        for name, check in _LAYER_CHECKS.items():
            skipped = _skipped(model, name, edits)
            with torch.no_grad():
                found[name] += [
                    (*check(model, trace, layer), layer) for layer in layers if layer not in skipped
                ]
    assert rotates or not found["rotated q and k = rot_q and rot_k"]
    checks = [_summary(model, name, results, edits) for name, results in found.items()]
    return SelfProof((*checks, _head(model, ids, edits)), model.spec.dtype, len(ids))


def _summary(
    model: Model, name: str, results: list[tuple[float, float, int]], edits: tuple[Intervention, ...]
) -> ProofCheck:
    if not results:
        reason = next(iter(_skipped(model, name, edits).values()))
        return ProofCheck(name, float("nan"), 0.0, True, None, reason)
    # A NaN in the run fails the proof: it compares as not within any tolerance.
    error, tolerance, layer = max(results, key=lambda r: float("inf") if r[0] != r[0] else r[0] - r[1])
    return ProofCheck(name, error, tolerance, all(e <= t for e, t, _ in results), layer)
