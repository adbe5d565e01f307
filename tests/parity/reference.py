"""What an untouched Hugging Face model computes, recorded without any of our code.

Plain torch hooks on every module, and spies around the family's own `eager_attention_forward` and
`apply_rotary_pos_emb`. Module names are written out per family on purpose: a second opinion on the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

LLAMA = {
    "blocks": "model.layers",
    "embed": "model.embed_tokens",
    "ln1": ("self_attn.q_proj", "input"),
    "attn_out": ("self_attn.o_proj", "output"),
    "ln2": ("mlp.gate_proj", "input"),
    "mlp_pre": ("mlp.gate_proj", "output"),
    "mlp_pre_linear": ("mlp.up_proj", "output"),
    "mlp_post": ("mlp.down_proj", "input"),
    "mlp_out": ("mlp.down_proj", "output"),
}
POST_NORM = {
    "attn_out": ("post_attention_layernorm", "output"),
    "mlp_out": ("post_feedforward_layernorm", "output"),
}
SPARSE = {"ln2": ("mlp", "input"), "mlp_out": ("mlp", "output"), "router": "mlp.gate"}
NAMES: dict[str, dict[str, Any]] = {
    "gemma2": LLAMA | POST_NORM,
    "gemma3_text": LLAMA | POST_NORM,
    "olmo2": {k: v for k, v in (LLAMA | POST_NORM).items() if k not in ("ln1", "ln2")},
    "phi3": LLAMA
    | {
        "ln1": ("self_attn.qkv_proj", "input"),
        "ln2": ("mlp.gate_up_proj", "input"),
        "mlp_pre": ("mlp.gate_up_proj", "first half"),
        "mlp_pre_linear": ("mlp.gate_up_proj", "second half"),
    },
    "gpt2": {
        "blocks": "transformer.h",
        "embed": "transformer.wte",
        "pos_embed": "transformer.wpe",
        "ln1": ("attn.c_attn", "input"),
        "attn_out": ("attn.c_proj", "output"),
        "ln2": ("mlp.c_fc", "input"),
        "mlp_pre": ("mlp.c_fc", "output"),
        "mlp_post": ("mlp.c_proj", "input"),
        "mlp_out": ("mlp.c_proj", "output"),
    },
    "gpt_neox": {
        "blocks": "gpt_neox.layers",
        "embed": "gpt_neox.embed_in",
        "ln1": ("attention.query_key_value", "input"),
        "attn_out": ("attention.dense", "output"),
        "ln2": ("mlp.dense_h_to_4h", "input"),
        "mlp_pre": ("mlp.dense_h_to_4h", "output"),
        "mlp_post": ("mlp.dense_4h_to_h", "input"),
        "mlp_out": ("mlp.dense_4h_to_h", "output"),
    },
    "opt": {
        "blocks": "model.decoder.layers",
        "embed": "model.decoder.embed_tokens",
        "pos_embed": "model.decoder.embed_positions",
        "ln1": ("self_attn.q_proj", "input"),
        "attn_out": ("self_attn.out_proj", "output"),
        "ln2": ("fc1", "input"),
        "mlp_pre": ("fc1", "output"),
        "mlp_post": ("fc2", "input"),
        "mlp_out": ("fc2", "output"),
    },
    "mixtral": LLAMA | SPARSE,
    "qwen2_moe": LLAMA | SPARSE,
    "qwen3_moe": LLAMA | SPARSE,
    "olmoe": LLAMA | SPARSE,
    "gpt_oss": LLAMA | SPARSE | {"router": "mlp.router"},
}


@dataclass
class Recording:
    """(point, layer) -> value without the batch axis, and the logits [pos, d_vocab]."""

    points: dict[tuple[str, int | None], torch.Tensor] = field(default_factory=dict)
    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))


def _tensor(value: Any) -> torch.Tensor:
    return value[0] if isinstance(value, tuple) else value


@contextmanager
def _spies(module: Any, calls: list[dict[str, Any]]) -> Iterator[None]:
    """Spy on the functions of a modeling file; each attention call is one entry of `calls`."""
    attention, pending = module.eager_attention_forward, {}
    gpt2 = getattr(module, "GPT2Attention", None)
    upcast = getattr(gpt2, "_upcast_and_reordered_attn", None)
    rotary = getattr(module, "apply_rotary_pos_emb", None)

    def spy_rotary(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> Any:
        pending.update(q=q.clone(), k=k.clone(), rope_cos=cos, rope_sin=sin)
        pending["rot_q"], pending["rot_k"] = rotary(q, k, cos, sin)
        return pending["rot_q"], pending["rot_k"]

    def spy_attention(
        layer: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *args: Any, **kw: Any
    ) -> Any:
        output, weights = attention(layer, q, k, v, *args, **kw)
        call = {"received_q": q, "received_k": k, "v": v, "pattern": weights, "z": output.transpose(1, 2)}
        calls.append({"layer": layer.layer_idx, **pending, **call})
        pending.clear()
        return output, weights

    def spy_upcast(layer: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *args: Any) -> Any:
        output, weights = upcast(layer, q, k, v, *args)
        call = {"received_q": q, "received_k": k, "v": v, "pattern": weights, "z": output.transpose(1, 2)}
        calls.append({"layer": layer.layer_idx, **call})
        return output, weights

    module.eager_attention_forward = spy_attention
    if gpt2 is not None:
        gpt2._upcast_and_reordered_attn = spy_upcast
    if rotary is not None:
        module.apply_rotary_pos_emb = spy_rotary
    try:
        yield
    finally:
        module.eager_attention_forward = attention
        if gpt2 is not None:
            gpt2._upcast_and_reordered_attn = upcast
        if rotary is not None:
            module.apply_rotary_pos_emb = rotary


def record(model: Any, ids: list[int]) -> Recording:
    """One eager forward of an untouched model, every point recorded."""
    seen: dict[str, tuple[Any, Any]] = {}
    handles = []
    for name, module in model.named_modules():

        def hook(_: Any, args: Any, kwargs: Any, output: Any, name: str = name) -> None:
            seen[name] = (args[0] if args else kwargs.get("hidden_states"), output)

        handles.append(module.register_forward_hook(hook, with_kwargs=True))
    calls: list[dict[str, Any]] = []
    with torch.no_grad(), _spies(sys.modules[type(model).__module__], calls):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return Recording(_points(model, seen, calls), logits)


def _points(model: Any, seen: dict[str, tuple[Any, Any]], calls: list[dict[str, Any]]) -> Any:
    names = NAMES.get(model.config.model_type, LLAMA)
    points: dict[tuple[str, int | None], torch.Tensor] = {("embed", None): seen[names["embed"]][1][0]}
    if "pos_embed" in names:
        points["pos_embed", None] = seen[names["pos_embed"]][1][0]
    points["ln_final", None] = _tensor(seen["lm_head"][0])[0]
    for layer in range(model.config.num_hidden_layers):
        block = f"{names['blocks']}.{layer}"
        before, after = seen[block]
        points["resid_pre", layer], points["resid_post", layer] = before[0], _tensor(after)[0]
        for point, place in names.items():
            if isinstance(place, tuple) and f"{block}.{place[0]}" in seen:
                points[point, layer] = _side(seen[f"{block}.{place[0]}"], place[1])
        if "attn_out" in names and not getattr(model.config, "use_parallel_residual", False):
            points["resid_mid", layer] = before[0] + points["attn_out", layer]
        router = seen.get(f"{block}.{names.get('router', 'none')}")
        if router is not None:
            for name, value in zip(("logits", "weights", "indices"), router[1], strict=True):
                points[f"router_{name}", layer] = value
    for call in calls:
        _attention_points(model, points, call, seen, f"{names['blocks']}.{call['layer']}")
    return points


def _side(values: tuple[Any, Any], side: str) -> torch.Tensor:
    tensor = _tensor(values[0] if side == "input" else values[1])
    tensor = tensor.reshape(-1, tensor.shape[-1])
    if side.endswith("half"):
        return tensor.chunk(2, dim=-1)[side == "second half"]
    return tensor


def _attention_points(model: Any, points: Any, call: dict[str, Any], seen: Any, block: str) -> None:
    layer = call["layer"]
    for name in ("rope_cos", "rope_sin", "rot_q", "rot_k", "v", "pattern", "z"):
        if name in call:
            points[name, layer] = call[name][0]
    points["q", layer] = call.get("q", call["received_q"])[0]
    points["k", layer] = call.get("k", call["received_k"])[0]
    if model.config.model_type == "opt":  # hands q over already scaled
        flat = seen[f"{block}.self_attn.q_proj"][1][0]
        points["q", layer] = flat.reshape(flat.shape[0], model.config.num_attention_heads, -1).transpose(0, 1)
    if model.config.model_type == "gpt_oss":  # both halves of cos and sin are equal: one is kept
        for name in ("rope_cos", "rope_sin"):
            points[name, layer] = torch.cat((points[name, layer],) * 2, dim=-1)
