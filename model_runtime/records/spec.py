"""The shape of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LayerSpec:
    """What differs between the layers of one model."""

    rotates: bool  # False in layers without RoPE (NoPE)
    window: int | None  # sliding-window width in tokens, None where attention sees everything before
    sparse: bool  # True where the MLP is a mixture of experts
    rope_base: float | None = None


@dataclass(frozen=True)
class ModelSpec:
    """The shape of a model, in the field's names. Sizes are counts; `n_params` counts shared weights once."""

    model_id: str  # as asked for
    name: str  # short, for people: "SmolLM2-135M-Instruct"
    revision: str  # commit hash, "sha256:..." of the bundled file, or "local"
    family: str  # key of the families table: "llama", "gpt2", ...
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int  # of a dense layer, or of one expert
    d_vocab: int  # rows of the output head
    n_ctx: int
    positions: Literal["learned", "rope", "none"]
    d_rotary: int  # dimensions of each head that rotate; 0 without RoPE
    norm: Literal["LayerNorm", "RMSNorm"]
    activation: str  # "silu", "gelu_new", ...
    gated_mlp: bool
    parallel_block: bool
    tied_embeddings: bool
    n_experts: int  # 0 when dense
    experts_per_token: int
    layers: tuple[LayerSpec, ...]
    n_params: int
    dtype: str  # "float32"
    device: str  # "cpu", "cuda:0"
    stored_bits: int = 0  # of most weights in the quantized file they were read from; 0: not quantized
