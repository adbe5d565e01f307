"""A small model shape for tests that need no model."""

from __future__ import annotations

from typing import Any

from model_runtime.records import LayerSpec, ModelSpec


def spec_of(**changes: Any) -> ModelSpec:
    """Two layers, two heads, no experts, RoPE; `changes` are fields of `ModelSpec`."""
    fields: dict[str, Any] = {
        "model_id": "tiny",
        "name": "Tiny",
        "revision": "local",
        "family": "llama",
        "n_layers": 2,
        "n_heads": 2,
        "n_kv_heads": 1,
        "d_model": 16,
        "d_head": 8,
        "d_mlp": 32,
        "d_vocab": 256,
        "n_ctx": 64,
        "positions": "rope",
        "d_rotary": 8,
        "norm": "RMSNorm",
        "activation": "silu",
        "gated_mlp": True,
        "parallel_block": False,
        "tied_embeddings": False,
        "n_experts": 0,
        "experts_per_token": 0,
        "layers": (LayerSpec(True, None, False, 10_000.0),) * 2,
        "n_params": 10_000,
        "dtype": "float32",
        "device": "cpu",
    }
    return ModelSpec(**{**fields, **changes})
