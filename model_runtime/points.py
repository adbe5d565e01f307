"""The capture points, one line each: what it is called, its axes, and where it is read.

Names and shapes follow TransformerLens. `port` is (role, side): the role of a module (see `adapter`) and
whether its input or its output is read; the role "received" is what the attention function got
(`attention.AttentionCall`). `derived` points are recomputed on demand from what attention received.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from model_runtime.capture.adapter import Adapter

Take = Callable[[Any, "Adapter"], torch.Tensor]
Port = tuple[str, str]


def stream(value: Any, adapter: Adapter) -> torch.Tensor:
    """[pos, d] of a batch of one; some blocks return tuples, some flatten batch and position."""
    tensor: torch.Tensor = value[0] if isinstance(value, tuple) else value
    return tensor.reshape(-1, tensor.shape[-1])


def stream_norm(value: Any, adapter: Adapter) -> torch.Tensor:
    return torch.linalg.vector_norm(stream(value, adapter), dim=-1, dtype=torch.float32)


def _first_half(value: Any, adapter: Adapter) -> torch.Tensor:
    tensor = stream(value, adapter)
    return tensor.chunk(2, dim=-1)[0] if adapter.family.gate_up_fused else tensor


def _second_half(value: Any, adapter: Adapter) -> torch.Tensor:
    tensor = stream(value, adapter)
    return tensor.chunk(2, dim=-1)[1] if adapter.family.gate_up_fused else tensor


def _projected(part: int) -> Take:
    """q (part 0) or k (part 1) as the rotation reads it: [head, pos, d_head], whatever the layout."""

    def take(value: torch.Tensor, adapter: Adapter) -> torch.Tensor:
        config, layout = adapter.config, adapter.family.qkv_layout
        n_heads = int(config.num_attention_heads)
        n_kv_heads = int(getattr(config, "num_key_value_heads", None) or n_heads)
        d_head = int(getattr(config, "head_dim", None) or config.hidden_size // n_heads)
        if layout == "head pos":
            return value[0]
        if layout == "pos head":
            return value[0].transpose(0, 1)
        if layout == "interleaved":
            return value.reshape(-1, n_heads, 3, d_head)[:, :, part].transpose(0, 1)
        if layout == "blocks":
            value = value.split([n_heads * d_head, n_kv_heads * d_head, n_kv_heads * d_head], dim=-1)[part]
        return value.reshape(-1, value.shape[-1] // d_head, d_head).transpose(0, 1)

    return take


def _item(index: int) -> Take:
    return lambda value, adapter: value[index]


def _received(name: str) -> Take:
    return lambda value, adapter: getattr(value, name)[0]


def _weighted(value: torch.Tensor, adapter: Adapter) -> torch.Tensor:
    """z from the attention function's [1, pos, head, d_head]."""
    return value[0].transpose(0, 1)


def _rope(index: int) -> Take:
    """cos (0) or sin (1), [pos, d_rotary]; GPT-OSS keeps half of it, since both halves are equal."""

    def take(value: Any, adapter: Adapter) -> torch.Tensor:
        half = value[index][0]
        return torch.cat((half, half), dim=-1) if adapter.family.rope_half_width else half

    return take


@dataclass(frozen=True)
class Point:
    """One capture point.

    Attributes:
        axes: named axes in order; `pos` marks the axis that `positions=` restricts.
        port: (role, side) whose value it is read from; None for derived points and the logits.
        layered: one value per layer, else one per model.
        editable: interventions may patch it and steer along it.
    """

    name: str
    axes: tuple[str, ...]
    meaning: str
    port: Port | None = None
    take: Take = stream
    layered: bool = True
    editable: bool = False

    @property
    def pos_axis(self) -> int | None:
        return self.axes.index("pos") if "pos" in self.axes else None

    @property
    def derived(self) -> bool:
        return self.port is None


_D = ("pos", "d_model")
_MLP = ("pos", "d_mlp")
_HEADS = ("head", "pos", "d_head")
_KV = ("kv head", "pos", "d_head")
_ROPE = ("pos", "d_rotary")

# fmt: off
_TABLE = (
    Point("embed", _D, "token embedding", ("embed", "output"), layered=False, editable=True),
    Point("pos_embed", _D, "learned position embedding", ("pos_embed", "output"), layered=False),
    Point("resid_pre", _D, "block input", ("block", "input"), editable=True),
    Point("resid_pre_norm", ("pos",), "length of resid_pre", ("block", "input"), stream_norm),
    Point("ln1", _D, "what attention reads", ("ln1", "output")),
    Point("q", _HEADS, "queries before the rotation", ("q", "output"), _projected(0)),
    Point("k", _KV, "keys before the rotation", ("k", "output"), _projected(1)),
    Point("v", _KV, "values", ("received", "input"), _received("value")),
    Point("rope_cos", _ROPE, "cosines of the rotation", ("rotary", "output"), _rope(0)),
    Point("rope_sin", _ROPE, "sines of the rotation", ("rotary", "output"), _rope(1)),
    Point("rot_q", _HEADS, "queries after the rotation", ("received", "input"), _received("query")),
    Point("rot_k", _KV, "keys after the rotation", ("received", "input"), _received("key")),
    Point("attn_scores", ("head", "pos", "key_pos"), "scaled, soft-capped scores; masked cells -inf"),
    Point("pattern", ("head", "pos", "key_pos"), "softmax of the scores, a sink's share left out"),
    Point("sink_weight", ("head", "pos"), "share of the softmax that goes to the sink"),
    Point("z", _HEADS, "weighted values, before W_O", ("received", "output"), _weighted),
    Point("attn_out", _D, "what attention adds to the stream", ("attn_add", "output"), editable=True),
    Point("attn_out_norm", ("pos",), "length of attn_out", ("attn_add", "output"), stream_norm),
    Point("resid_mid", _D, "stream between attention and MLP", ("mlp_in", "input"), editable=True),
    Point("ln2", _D, "what the MLP reads", ("ln2", "output")),
    Point("mlp_pre", _MLP, "what enters the activation", ("gate", "output"), _first_half),
    Point("mlp_pre_linear", _MLP, "the linear half of a gated MLP", ("up", "output"), _second_half),
    Point("mlp_post", _MLP, "what enters the down projection", ("down", "input")),
    Point("router_logits", ("pos", "expert"), "router's scores", ("router", "output"), _item(0)),
    Point("router_weights", ("pos", "k"), "weights of the chosen experts", ("router", "output"), _item(1)),
    Point("router_indices", ("pos", "k"), "chosen experts", ("router", "output"), _item(2)),
    Point("mlp_out", _D, "what the MLP adds to the stream", ("mlp_add", "output"), editable=True),
    Point("mlp_out_norm", ("pos",), "length of mlp_out", ("mlp_add", "output"), stream_norm),
    Point("resid_post", _D, "block output", ("block", "output"), editable=True),
    Point("ln_final", _D, "what the head reads", ("ln_final", "output"), layered=False),
    Point("ln_final_norm", ("pos",), "its length", ("ln_final", "output"), stream_norm, layered=False),
    Point("logits", ("pos", "d_vocab"), "after a final soft cap", ("logits", "output"), layered=False),
)
# fmt: on

POINTS: dict[str, Point] = {point.name: point for point in _TABLE}

DEFAULT_POINTS: tuple[str, ...] = (
    *("embed", "pos_embed", "pattern", "resid_pre_norm", "attn_out_norm", "resid_mid", "mlp_out_norm"),
    *("resid_post", "ln_final_norm", "router_logits", "router_weights", "router_indices"),
)
"""What pictures need most; those that a model does not have are left out.

"pattern" keeps what the attention function received (q and k rotated, v, the mask), so patterns, scores,
sinks, rot_q, rot_k and v come from it, by layer and head, on demand.
"""

ON_DEMAND = ("attn_scores", "pattern", "sink_weight", "rot_q", "rot_k", "v")
"""Asking for any of these keeps attention's inputs, which gives all of them."""

ALL_POINTS: tuple[str, ...] = tuple(POINTS)
