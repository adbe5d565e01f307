"""What single experts computed: their outputs for one token, and how they add up to the layer's MLP output.

transformers stacks all experts of a layer in one module, whose weights have the expert as first axis;
`expert_output` is that module's arithmetic for one of them, written to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear, sigmoid

from model_runtime.errors import PointUnavailable
from model_runtime.interventions import Intervention, ScaleMLP
from model_runtime.moe.routing import moe_block
from model_runtime.run import OpenRun

POINTS = ("ln2", "mlp_out", "router_logits", "router_weights", "router_indices")


@dataclass(frozen=True, eq=False)
class ExpertOutputs:
    """What experts of one layer make of one token. d_model is the width of the stream.

    experts: the asked ones first, the best score first; then others for comparison.
    n_asked: how many of them the router chose.
    outputs: E_i(x), before any weight, float32 [expert, d_model].
    weights: as the model used them, float32 [expert]; 0 for those that were not asked.
    shared: what a shared expert adds, its gate included, float32 [d_model]; None where there is none.
    shared_gate: that gate, 0 to 1.
    mlp_out: what the layer's MLP added to the stream, as captured, float32 [d_model].
    largest_error: between the weighted sum and mlp_out, over all tokens and all d_model numbers; NaN where an
        edit changed mlp_out after the sum.
    largest: the largest number of mlp_out, to judge the error by.
    """

    layer: int
    position: int
    experts: tuple[int, ...]
    n_asked: int
    outputs: np.ndarray
    weights: np.ndarray
    shared: np.ndarray | None
    shared_gate: float
    mlp_out: np.ndarray
    largest_error: float
    largest: float

    @property
    def nbytes(self) -> int:
        return 2 * self.outputs.nbytes

    def contributions(self) -> np.ndarray:
        """What each asked expert added, then the shared one: they sum to mlp_out. float32 [part, d_model]"""
        asked = self.weights[: self.n_asked, None] * self.outputs[: self.n_asked]
        return asked if self.shared is None else np.concatenate([asked, self.shared[None]])

    def idle_length(self, expert: int) -> float | None:
        """Length of what an expert that was not asked would answer, in lengths of mlp_out; None if asked."""
        if expert in self.experts[: self.n_asked]:
            return None
        own = self.outputs[self.experts.index(expert)]
        return float(np.linalg.norm(own) / (np.linalg.norm(self.mlp_out) or 1.0))

    def length_shares(self) -> np.ndarray:
        """Each contribution's Euclidean length as a share of the lengths together, float64 [part].

        Lengths do not add up to the length of the sum: contributions may point apart or cancel.
        """
        lengths = np.linalg.norm(self.contributions().astype(np.float64), axis=-1)
        return np.asarray(lengths / (lengths.sum() or 1.0))

    def projection_shares(self) -> np.ndarray:
        """How much of the sum m each contribution c makes: (c . m) / (m . m), float64 [part].

        These do add up to 1 (of the sum of the contributions). One below 0 points against the sum; others
        then make more than all of it.
        """
        return projection_shares(self.contributions())

    def cosines(self) -> np.ndarray:
        """Cosine of the angle between every two experts' outputs, float64 [expert, expert]."""
        return cosines(self.outputs)


def projection_shares(parts: np.ndarray) -> np.ndarray:
    """(part . sum) / (sum . sum) of vectors [part, d], float64 [part]; they add up to 1.

    The sum is made of the parts, so its product with itself is made of theirs with it.

    >>> projection_shares(np.array([[2.0, 0.0], [1.0, 3.0], [0.0, -3.0]])).round(2).tolist()
    [0.67, 0.33, 0.0]
    """
    parts = parts.astype(np.float64)  # [part, d]
    total = parts.sum(axis=0)  # [d]
    return np.asarray(parts @ total / (float(total @ total) or 1.0))  # [part]; a sum of 0 divides by 1


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosine of the angle between every two rows of [row, d], float64 [row, row]; 0 for a row of zeros.

    >>> cosines(np.array([[1.0, 0.0], [3.0, 3.0]])).round(3).tolist()
    [[1.0, 0.707], [0.707, 1.0]]
    """
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = vectors / np.where(lengths == 0, 1.0, lengths)
    return np.asarray(unit @ unit.T)


def expert_output(experts: Any, expert: int, x: torch.Tensor) -> torch.Tensor:
    """One expert on vectors x [row, d_model]: up, gate, down. No weight of the router is in it.

    Llama-like families keep gate and up one after the other and multiply act(gate) with up (SwiGLU: Shazeer
    2020, arXiv:2002.05202). GPT-OSS keeps them in turns, with biases, clamps both, and adds 1 to up (model
    card, arXiv:2508.10925).
    """
    w_in, w_out = experts.gate_up_proj[expert], experts.down_proj[expert]
    if hasattr(experts, "gate_up_proj_bias"):  # GPT-OSS: w_in [d_model, 2 d_ff], w_out [d_ff, d_model]
        both = x @ w_in + experts.gate_up_proj_bias[expert]  # [row, 2 d_ff]
        gate, up = both[..., ::2], both[..., 1::2]  # [row, d_ff] each
        gate = gate.clamp(max=experts.limit)
        up = up.clamp(min=-experts.limit, max=experts.limit)
        hidden = (up + 1) * gate * sigmoid(experts.alpha * gate)  # [row, d_ff]
        return hidden @ w_out + experts.down_proj_bias[expert]  # [row, d_model]
    gate, up = linear(x, w_in).chunk(2, dim=-1)  # [row, d_ff] each; w_in [2 d_ff, d_model]
    return linear(experts.act_fn(gate) * up, w_out)  # [row, d_model]; w_out [d_model, d_ff]


def shared_output(block: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """What the shared expert adds to rows x [row, d_model], and its gate [row, 1]; None without one.

    It works on every token, asked by no router; a gate of its own says how much of it is added (Qwen team
    2024, Qwen1.5-MoE).
    """
    if not hasattr(block, "shared_expert"):
        return None
    gate = sigmoid(linear(x, block.shared_expert_gate.weight))  # [row, 1], 0 to 1
    expert = block.shared_expert
    hidden = expert.act_fn(linear(x, expert.gate_proj.weight)) * linear(
        x, expert.up_proj.weight
    )  # [row, d_ff]
    return gate * linear(hidden, expert.down_proj.weight), gate


def recombined(block: Any, x: torch.Tensor, weights: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """The weighted sum of the chosen experts' outputs and the shared one's: what the MLP adds.

    Shazeer et al. 2017 (arXiv:1701.06538), eq. 1: y = sum of G(x)_i E_i(x). An expert runs only for the
    tokens that were sent to it.

    Args:
        x: what the MLP reads, [row, d_model].
        weights, indices: as the model used them, [row, k].

    Returns:
        [row, d_model]
    """
    total = torch.zeros_like(x)  # [row, d_model]
    for expert in indices.unique().tolist():
        rows, choice = torch.where(indices == expert)  # the tokens sent to it, and as which of their k
        total[rows] += weights[rows, choice, None] * expert_output(block.experts, expert, x[rows])
    shared = shared_output(block, x)
    return total if shared is None else total + shared[0]


def ask_experts(run: OpenRun, layer: int, position: int, others: Sequence[int] = ()) -> ExpertOutputs:
    """The outputs of the experts that one token was sent to, and of `others`, and the check of their sum.

    Args:
        others: experts to run as well, though the router did not ask them.

    Raises:
        PointUnavailable: a dense layer, or an expert or position that does not exist.
    """
    block = moe_block(run.model, layer)
    trace = run.traced(points=POINTS, layers=(layer,))
    ln2, mlp_out, scores, weights, indices = (trace.get(name, layer) for name in POINTS)
    if not 0 <= position < len(ln2):
        raise PointUnavailable(f"There is no token {position}.", f"Tokens here go from 0 to {len(ln2) - 1}.")
    n_experts = run.spec.n_experts
    if wrong := [expert for expert in others if not 0 <= expert < n_experts]:
        raise PointUnavailable(f"There is no expert {wrong[0]}.", f"Experts go from 0 to {n_experts - 1}.")
    order = np.argsort(-scores[position][indices[position]], kind="stable")
    asked = [int(expert) for expert in indices[position][order]]
    shown = [*asked, *(expert for expert in dict.fromkeys(others) if expert not in asked)]
    like: Any = block.experts.gate_up_proj
    with torch.no_grad():
        x, w, chosen = (torch.from_numpy(a).to(like.device) for a in (ln2, weights, indices))
        x = x.to(like.dtype)
        one = x[position : position + 1]
        outputs = torch.cat([expert_output(block.experts, expert, one) for expert in shown])
        shared = shared_output(block, one)
        error = np.abs(_array(recombined(block, x, w.to(like.dtype), chosen)) - mlp_out).max()
    return ExpertOutputs(
        layer=layer,
        position=position,
        experts=tuple(shown),
        n_asked=len(asked),
        outputs=_array(outputs),
        weights=np.array([*weights[position][order], *[0.0] * (len(shown) - len(asked))], dtype=np.float32),
        shared=None if shared is None else _array(shared[0])[0],
        shared_gate=0.0 if shared is None else float(shared[1][0, 0]),
        mlp_out=mlp_out[position],
        largest_error=float("nan") if _edited_after(run.interventions, layer) else float(error),
        largest=float(np.abs(mlp_out).max()),
    )


def _edited_after(edits: Sequence[Intervention], layer: int) -> bool:
    """Whether an edit changed the layer's MLP output after its experts were added."""
    return any(
        getattr(edit, "layer", None) == layer
        and (isinstance(edit, ScaleMLP) or getattr(edit, "point", None) == "mlp_out")
        for edit in edits
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.array(tensor.float().cpu().numpy())
