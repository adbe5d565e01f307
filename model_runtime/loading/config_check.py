"""The config against the weights' headers, before the library reads it and before anything is built.

A config is text that anybody can edit: a million layers, no experts a token or "wide" in place of a number
would keep the library busy for minutes, end the process for lack of memory, or give a model other than the
one that was trained. What the file holds is in its header, so the two are compared first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from model_runtime.capture.adapter import families_of
from model_runtime.errors import UnsupportedModel
from model_runtime.loading.checkpoint import Checkpoint, Shapes

MOST_LAYERS = 512  # a built layer costs about 4 ms; the deepest published models have 126
LONGEST_CONTEXT = 1 << 24  # tokens; the longest published is 10 million
LARGEST_SIZE = (1 << 31) - 1

LAYER_KEYS = ("num_hidden_layers", "n_layer")
CONTEXT_KEYS = ("max_position_embeddings", "n_positions")
# Whole numbers of at least 1. None means that the library derives it.
SIZE_KEYS = frozenset(
    (
        *LAYER_KEYS,
        *CONTEXT_KEYS,
        *("vocab_size", "hidden_size", "n_embd", "word_embed_proj_dim"),
        *("intermediate_size", "n_inner", "ffn_dim"),
        *("moe_intermediate_size", "shared_expert_intermediate_size"),
        *("num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
        *(
            "num_local_experts",
            "num_experts",
            "num_experts_per_tok",
            "experts_per_token",
            "decoder_sparse_step",
        ),
        "original_max_position_embeddings",
    )
)
# Positive numbers, wherever they stand.
REAL_KEYS = frozenset(
    (
        *("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
        *("rope_theta", "rotary_emb_base", "partial_rotary_factor", "rotary_pct"),
        *("factor", "attention_factor", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow"),
        *("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv"),
    )
)
FETCH = "Fetch the model again, with the config that belongs to it."


def check_numbers(config: Mapping[str, Any], name: str) -> None:
    """Refuse a config with a number that is not finite, a size that is none, or heads that do not divide.

    Args:
        config: as it stands in the file.
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: with the setting's name and value.
    """
    for key, value in _settings(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(name, key, value, "a finite number")
        if value is None:
            continue
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        if key in SIZE_KEYS and not (isinstance(number, int) and 1 <= number <= LARGEST_SIZE):
            raise _wrong(name, key, value, f"a whole number from 1 to {LARGEST_SIZE:,}")
        if key == "sliding_window" and not (isinstance(number, int) and number >= 0):
            raise _wrong(name, key, value, "a whole number of tokens")
        if key in REAL_KEYS and (number is None or number <= 0):
            raise _wrong(name, key, value, "a number above 0")
        if key in CONTEXT_KEYS and value > LONGEST_CONTEXT:
            raise _wrong(name, key, value, f"at most {LONGEST_CONTEXT:,} tokens")
    _check_heads(config, name)


def check_layers(config: Mapping[str, Any], shapes: Shapes, name: str) -> None:
    """Refuse a config with another number of layers than the weights have.

    Args:
        config: as it stands in the file, or the library's own with the defaults filled in.

    Raises:
        UnsupportedModel: with both numbers.
    """
    held = len({number for tensor in shapes if (number := _layer_of(tensor)) is not None})
    for key in LAYER_KEYS:
        named = config.get(key)
        if named is not None and named != held:
            raise UnsupportedModel(
                f"The config of {name} says {named:,} layers, and its weight files hold {held:,}.", FETCH
            )
    if held > MOST_LAYERS:
        raise UnsupportedModel(
            f"{name} has {held:,} layers; at most {MOST_LAYERS} are drawn here.", "Choose another model."
        )


def check_against_file(config: Any, checkpoint: Checkpoint, name: str) -> None:
    """Build the model without memory for its weights and compare it with the file.

    It belongs into the lock of building: the library changes settings of the whole process meanwhile.

    Args:
        config: the library's config object.
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: the config describes no model, or another one than the file holds.
    """
    from transformers import AutoModelForCausalLM

    check_numbers(config.to_dict(), name)
    check_layers(config.to_dict(), checkpoint.shapes, name)
    _check_experts(config, checkpoint.shapes, name)
    _check_window(config, name)
    try:
        with torch.device("meta"):
            empty: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:  # the library raises whatever a setting that it does not know leads to
        raise UnsupportedModel(
            f"The config of {name} describes no model of the type {config.model_type!r}.", FETCH
        ) from error
    n_needed = 0
    for tensor, parameter in empty.named_parameters():  # tied ones once
        n_needed += parameter.numel()
        held = checkpoint.shapes.get(tensor)
        if held is None:  # published without the name of the inner model, as GPT-2 is
            held = checkpoint.shapes.get(tensor.removeprefix(f"{empty.base_model_prefix}."))
        if held is not None and held != tuple(parameter.shape):
            raise UnsupportedModel(
                f"The config of {name} asks for {_product(tuple(parameter.shape))} numbers in {tensor}, and "
                f"its weight file has {_product(held)} there.",
                FETCH,
            )
    if n_needed > checkpoint.n_weights:
        raise UnsupportedModel(
            f"The config of {name} describes {n_needed:,} weights, and its files hold "
            f"{checkpoint.n_weights:,}: some are missing.",
            FETCH,
        )


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every setting with its key, "" for those in a list. Not recursive: files nest deep."""
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        key, value = waiting.pop()
        yield key, value
        if isinstance(value, Mapping):
            waiting.extend((str(inner), content) for inner, content in value.items())
        elif isinstance(value, (list, tuple)):
            waiting.extend(("", content) for content in value)


def _layer_of(tensor: str) -> str | None:
    """The first number in a tensor's name: "12" of "model.layers.12.mlp.up_proj.weight"."""
    return next((part for part in tensor.split(".") if part.isdecimal()), None)


def _check_heads(config: Mapping[str, Any], name: str) -> None:
    heads = config.get("num_attention_heads", config.get("n_head"))
    width = config.get("hidden_size", config.get("n_embd"))
    groups = config.get("num_key_value_heads")
    if heads and width and not config.get("head_dim") and width % heads:
        raise UnsupportedModel(
            f"The config of {name} divides {width:,} numbers among {heads:,} heads, which leaves some over.",
            FETCH,
        )
    if heads and groups and heads % groups:
        raise UnsupportedModel(
            f"The config of {name} says that {heads:,} heads share {groups:,} key/value heads; they cannot "
            "be shared evenly.",
            FETCH,
        )


def _check_experts(config: Any, shapes: Shapes, name: str) -> None:
    counts = [getattr(config, key, None) for key in ("num_local_experts", "num_experts")]
    n_experts = next((count for count in counts if count is not None), None)
    if n_experts is None:
        return
    chosen = getattr(config, "num_experts_per_tok", None)
    if chosen is not None and chosen > n_experts:
        raise UnsupportedModel(
            f"The config of {name} chooses {chosen:,} experts for a token, and there are {n_experts:,}.",
            FETCH,
        )
    held = len({found[1] for tensor in shapes if (found := re.search(r"\.experts\.(\d+)\.", tensor))})
    if held and held != n_experts:  # newer files hold all experts of a layer in one tensor
        raise UnsupportedModel(
            f"The config of {name} says {n_experts:,} experts, and its weight files hold {held:,}.", FETCH
        )


def _check_window(config: Any, name: str) -> None:
    """A window of 0 tokens is written where none is used; where one is, no token would see anything."""
    used = "sliding_attention" in (getattr(config, "layer_types", None) or ()) or any(
        family.window == "all layers" for family in families_of(config.model_type)
    )
    if used and getattr(config, "sliding_window", None) == 0:
        raise _wrong(name, "sliding_window", 0, "at least 1 token")


def _product(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{size:,}" for size in shape) or "1"


def _wrong(name: str, key: str, value: object, wanted: str) -> UnsupportedModel:
    shown = repr(value) if isinstance(value, str) else str(value)
    place = f"{key!r} of the config" if key else "A number in a list of the config"
    return UnsupportedModel(f"{place} of {name} is {shown[:40]}; it has to be {wanted}.", FETCH)
