"""From a Hugging Face model to roles: which module plays "ln1", "router", "what is added to the stream".

Everything is looked up and checked once, when a model is loaded; what a family or a layer lacks is kept
as a `Missing` with the reason, which becomes the sentence of a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from model_runtime.errors import UnsupportedModel
from model_runtime.families import FAMILIES, REFUSED, Family
from model_runtime.records import LayerSpec, ModelSpec

MODEL_ROLES = ("embed", "pos_embed", "rotary", "ln_final", "head")
LAYER_ROLES = (
    *("block", "ln1", "attention", "q", "k", "attn_add", "mlp_in"),
    *("ln2", "mlp_add", "gate", "up", "down", "router"),
)


@dataclass(frozen=True)
class Missing:
    """A role nothing plays here, with a reason that completes "... has no such point: "."""

    reason: str


Role = nn.Module | Missing


def families_of(model_type: str) -> tuple[Family, ...]:
    """The rows of the families table for a config's model type.

    Raises:
        UnsupportedModel: there is none; with the reason, where one is known.
    """
    rows = tuple(family for family in FAMILIES if model_type in family.model_types)
    if not rows:
        reason = REFUSED.get(model_type, "no row of the families table says where it keeps its parts")
        raise _unsupported(model_type, reason)
    return rows


def find_family(hf_model: nn.Module) -> Family:
    """The row of the families table for this model.

    Raises:
        UnsupportedModel: no row fits; the text says what is missing.
    """
    model_type = str(getattr(getattr(hf_model, "config", None), "model_type", "unknown"))
    class_name = type(hf_model).__name__
    rows = families_of(model_type)
    for family in rows:
        if class_name in family.classes:
            return family
    raise _unsupported(
        model_type,
        f"it was loaded as {class_name}, and only {rows[0].classes[0]} predicts the next token",
    )


def _unsupported(model_type: str, reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"Models of type {model_type!r} are not supported: {reason}.",
        "Supported are " + ", ".join(family.title for family in FAMILIES) + ".",
    )


def _lookup(root: nn.Module, path: str) -> Any:
    """The module at a dotted path, or None."""
    found: Any = root
    for name in path.split("."):
        found = getattr(found, name, None)
        if found is None:
            return None
    return found


def _require(root: nn.Module, path: str, family: Family) -> nn.Module:
    found = _lookup(root, path)
    if not isinstance(found, nn.Module):
        raise UnsupportedModel(
            f"This {family.title} model has no module {path!r} in {type(root).__name__}.",
            "Its layout differs from the one that transformers 5.23 builds; nothing was changed.",
        )
    return found


class Adapter:
    """The roles of one loaded model.

    Attributes:
        model_roles: role -> module or Missing, for the model as a whole.
        layer_roles: the same for each layer.
    """

    def __init__(self, hf_model: nn.Module) -> None:
        self.hf_model = hf_model
        self.config: Any = hf_model.config
        self.family = find_family(hf_model)
        self._refuse_variants()
        self.fused = self.family.gate_up_fused or self.family.qkv_layout in ("blocks", "interleaved")
        self.parallel = bool(self.family.parallel_flag and getattr(self.config, self.family.parallel_flag))
        self.model_roles: dict[str, Role] = self._find_model_roles()
        blocks = _require(hf_model, self.family.blocks, self.family)
        self.blocks: list[nn.Module] = list(blocks.children())
        self.layer_roles: list[dict[str, Role]] = [self._find_layer_roles(block) for block in self.blocks]
        self.attentions: list[nn.Module] = [
            _require(block, self.family.attention, self.family) for block in self.blocks
        ]
        self._output_projections = [_require(block, self.family.w_o, self.family) for block in self.blocks]

    def role(self, name: str, layer: int | None) -> Role:
        return self.model_roles[name] if layer is None else self.layer_roles[layer][name]

    def output_projection(self, layer: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """W_O of a layer as [head x d_head, d_model], so that z @ W_O + bias = attn_out before a post-norm.

        The weights themselves, not a copy. torch's Linear keeps them the other way round, GPT-2's Conv1D so.
        """
        module: Any = self._output_projections[layer]
        weight = module.weight.detach()
        bias = None if module.bias is None else module.bias.detach()
        return (weight.T if isinstance(module, nn.Linear) else weight), bias

    def layer_type(self, layer: int) -> str | None:
        """ "sliding_attention", "full_attention", ... where the config says so."""
        types = getattr(self.config, "layer_types", None)
        return None if types is None else str(types[layer])

    def rope_parameters(self, layer: int) -> dict[str, Any] | None:
        """The RoPE settings that this layer rotates with; some families have one set per layer type."""
        parameters: Any = getattr(self.config, "rope_parameters", None)
        if parameters is None or self.family.rotary is None:
            return None
        return parameters if "rope_type" in parameters else parameters.get(self.layer_type(layer))

    def rotates(self, layer: int) -> bool:
        flag = self.family.rotates_flag
        return self.family.rotary is not None and (flag is None or bool(getattr(self.config, flag)[layer]))

    def _refuse_variants(self) -> None:
        """Variants of supported families whose blocks are wired differently."""
        config, reason = self.config, ""
        if not getattr(config, "do_layer_norm_before", True):
            reason = (
                "it normalises after each block, not before (OPT 350m), so its points mean something else"
            )
        elif getattr(config, "word_embed_proj_dim", None) not in (None, getattr(config, "hidden_size", None)):
            reason = "its token embeddings have another width than the stream"
        elif getattr(config, "_remove_final_layer_norm", False):
            reason = "it has no final norm"
        elif getattr(config, "add_cross_attention", False):
            reason = "it has cross-attention to an encoder"
        elif getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True):
            reason = "its attention looks ahead"
        if reason:
            raise UnsupportedModel(
                f"This {self.family.title} model is not supported: {reason}.", "Choose another size or model."
            )

    def _find_model_roles(self) -> dict[str, Role]:
        family, model = self.family, self.hf_model
        return {
            "embed": _require(model, family.embed, family),
            "ln_final": _require(model, family.ln_final, family),
            "head": _require(model, family.head, family),
            "rotary": _require(model, family.rotary, family)
            if family.rotary
            else Missing(f"{family.title} has learned positions and does not rotate"),
            "pos_embed": _require(model, family.pos_embed, family)
            if family.pos_embed
            else Missing(f"{family.title} has no learned positions: it rotates q and k (RoPE)"),
        }

    def _find_layer_roles(self, block: nn.Module) -> dict[str, Role]:
        family = self.family
        sparse = family.router is not None and _lookup(block, family.router) is not None
        sparse_mlp = Missing("this layer is a mixture of experts, each with its own neurons")

        def need(path: str | None, missing: str) -> Role:
            return Missing(missing) if path is None else _require(block, path, family)

        def dense(path: str | None, missing: str = "") -> Role:
            return sparse_mlp if sparse else need(path, missing)

        ln2 = need(family.ln2, f"{family.title} has no norm before the MLP")
        mlp = need(family.mlp or family.down, "")
        return {
            "block": block,
            "attention": need(family.attention, ""),
            "ln1": need(family.ln1, f"{family.title} has no norm before attention"),
            "q": need(family.q, ""),
            "k": need(family.k, ""),
            "attn_add": need(family.post_attention_norm or family.attention, ""),
            "mlp_in": Missing(
                "attention and MLP read the same input and are added together (parallel block): "
                "there is no stream between them"
            )
            if self.parallel
            else (mlp if isinstance(ln2, Missing) else ln2),
            "ln2": ln2,
            "mlp_add": need(family.post_mlp_norm, "") if family.post_mlp_norm else mlp,
            "gate": dense(family.gate),
            "up": dense(family.up, f"the MLP of {family.title} is not gated: it has no linear half"),
            "down": dense(family.down),
            "router": need(family.router, "") if sparse else Missing("it is dense: tokens use the whole MLP"),
        }


def _window(adapter: Adapter, layer: int) -> int | None:
    rule, width = adapter.family.window, getattr(adapter.config, "sliding_window", None)
    if rule == "none" or width is None:
        return None
    if rule == "by layer type" and adapter.layer_type(layer) != "sliding_attention":
        return None
    return int(width)


def _context_length(adapter: Adapter) -> int:
    """Tokens that the model reads at most; `dynamic` RoPE goes beyond its trained length by its factor."""
    length = int(adapter.config.max_position_embeddings)
    parameters = adapter.rope_parameters(0) or {}
    dynamic = parameters.get("rope_type") == "dynamic"
    return int(length * parameters.get("factor", 1.0)) if dynamic else length


def _layer_spec(adapter: Adapter, layer: int) -> LayerSpec:
    rotates, parameters = adapter.rotates(layer), adapter.rope_parameters(layer)
    return LayerSpec(
        rotates=rotates,
        window=_window(adapter, layer),
        sparse=isinstance(adapter.role("router", layer), nn.Module),
        rope_base=float(parameters["rope_theta"]) if rotates and parameters else None,
    )


def _first(config: Any, *names: str) -> Any:
    """The first of these config attributes that is set."""
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


def model_spec(
    adapter: Adapter, *, model_id: str, name: str, revision: str, stored_bits: int = 0
) -> ModelSpec:
    """Read the shape of a model from its config and its weights."""
    config, family = adapter.config, adapter.family
    head = adapter.model_roles["head"]
    embed = adapter.model_roles["embed"]
    n_heads, d_model = int(config.num_attention_heads), int(config.hidden_size)
    d_head = int(_first(config, "head_dim") or d_model // n_heads)
    layers = tuple(_layer_spec(adapter, layer) for layer in range(len(adapter.blocks)))
    sparse = any(layer.sparse for layer in layers)
    partial = (adapter.rope_parameters(0) or {}).get("partial_rotary_factor", 1.0)
    weight: Any = head.weight  # type: ignore[union-attr]
    return ModelSpec(
        model_id=model_id,
        name=name,
        revision=revision,
        family=family.key,
        n_layers=len(adapter.blocks),
        n_heads=n_heads,
        n_kv_heads=int(_first(config, "num_key_value_heads") or n_heads),
        d_model=d_model,
        d_head=d_head,
        d_mlp=int(
            (sparse and _first(config, "moe_intermediate_size"))
            or _first(config, "intermediate_size", "ffn_dim", "n_inner")
            or 4 * d_model
        ),
        d_vocab=int(weight.shape[0]),
        n_ctx=_context_length(adapter),
        positions="learned" if family.pos_embed else "rope",
        d_rotary=int(d_head * partial) if family.rotary else 0,
        norm="LayerNorm" if isinstance(adapter.model_roles["ln_final"], nn.LayerNorm) else "RMSNorm",
        activation=str(_first(config, "hidden_activation", "activation_function", "hidden_act")),
        gated_mlp=family.up is not None,
        parallel_block=adapter.parallel,
        tied_embeddings=weight is embed.weight,  # type: ignore[union-attr]
        n_experts=int(_first(config, "num_local_experts", "num_experts")) if sparse else 0,
        experts_per_token=int(config.num_experts_per_tok) if sparse else 0,
        layers=layers,
        n_params=sum(parameter.numel() for parameter in adapter.hf_model.parameters()),
        dtype=str(weight.dtype).removeprefix("torch."),
        device=str(weight.device),
        stored_bits=stored_bits,
    )
