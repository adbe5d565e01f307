"""A GGUF file's settings as a Hugging Face config, with the sizes held against the tensors first."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.gguf_file import SAFETENSORS, GgufFile
from model_runtime.loading.gguf_rope import rope_parameters
from model_runtime.loading.gguf_stated import Stated
from model_runtime.loading.gguf_table import ARCHITECTURES, MISTRAL, MIXTRAL, Architecture

_BLOCK = re.compile(r"blk\.(\d{1,6})\.")
_IDS = {"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"}


def architecture_of(file: GgufFile) -> Architecture:
    """The row of the table for this file.

    Raises:
        UnsupportedModel: the file is no model, or of an architecture that is not read.
    """
    kind = str(file.settings.get("general.type", "model"))
    if kind != "model":
        raise UnsupportedModel(
            f"{file.path.name} holds {kind[:40]!r}, not a model.", "Name the file of the model itself."
        )
    name = file.architecture
    if name not in ARCHITECTURES:
        said = f"a model of the architecture {name[:40]!r}" if name else "a model that names no architecture"
        raise UnsupportedModel(
            f"{file.path.name} holds {said}, which is not among those that can be read from GGUF files: "
            f"{', '.join(ARCHITECTURES)}.",
            "Choose a model of a family in the table of the README.",
        )
    stated = Stated(file)
    if name == "llama" and stated.whole("expert_count", 0, least=0):
        return MIXTRAL
    if name == "llama" and stated.whole("attention.sliding_window", 0, least=0):
        return MISTRAL
    return ARCHITECTURES[name]


def config_of(file: GgufFile) -> dict[str, Any]:
    """The settings of a Hugging Face config, `model_type` included.

    Raises:
        UnsupportedModel: the file states something that is not understood, lacks something, or states
            sizes that its tensors do not have.
    """
    row, stated = architecture_of(file), Stated(file)
    config: dict[str, Any] = {"model_type": row.model_type, **row.fixed}
    for key, name in row.sizes.items():
        config[name] = _epsilon(stated, key) if key.endswith("epsilon") else stated.whole(key)
    _check_counts(file, config)
    for key, name in row.extras.items():
        found = stated.value(key)
        if found is not None and (found or isinstance(found, bool)):
            config[name] = found
    config["vocab_size"] = file.tensors["token_embd.weight"].shape[0]
    if stated.whole("vocab_size", config["vocab_size"]) != config["vocab_size"]:
        stated.refuse("vocab_size", f"while its table of tokens has {config['vocab_size']:,} rows")
    config["tie_word_embeddings"] = "output.weight" not in file.tensors
    _attention(file, row, stated, config)
    _experts(file, row, stated, config)
    for flag, leaves in row.bias_flags.items():
        config[flag] = any(f"blk.0.{leaf}.bias" in file.tensors for leaf in leaves)
    if row.rotates:
        rope = config["rope_parameters"] = rope_parameters(file, row, stated, config)
        if "original_max_position_embeddings" in rope:  # Phi-3's config has its own, which goes first
            config["original_max_position_embeddings"] = rope["original_max_position_embeddings"]
    if not row.head_width:
        del config["head_dim"]
    for key, name in _IDS.items():
        token = file.settings.get(f"tokenizer.ggml.{key}_token_id")
        config[name] = token if isinstance(token, int) and token < config["vocab_size"] else None
    turn = file.settings.get("tokenizer.ggml.eot_token_id")  # ends a turn of a conversation, and so a text
    if isinstance(turn, int) and turn < config["vocab_size"] and config["eos_token_id"] not in (None, turn):
        config["eos_token_id"] = [config["eos_token_id"], turn]
    stated.refuse_rest()
    return config


def _epsilon(stated: Stated, key: str) -> float:
    found = stated.number(key, 0.0)
    if not 0.0 < found < 1.0:
        stated.refuse(key, "where a small number above 0 belongs")
    return found


def _check_counts(file: GgufFile, config: dict[str, Any]) -> None:
    """Layers and the table of tokens, before anything is built as large as the file says."""
    numbers = {int(found[1]) for name in file.tensors if (found := _BLOCK.match(name))}
    stated = config["num_hidden_layers"]
    if numbers != set(range(len(numbers))) or len(numbers) != stated:
        raise UnsupportedModel(
            f"{file.path.name} states {stated:,} layers and holds the tensors of {len(numbers):,}.",
            "Fetch the model again; if it comes in several files, join them first.",
        )
    table = file.tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise UnsupportedModel(f"{file.path.name} has no table of tokens.", "Fetch the model again.")
    if table.shape[1] != config["hidden_size"]:
        raise UnsupportedModel(
            f"{file.path.name} states vectors of {config['hidden_size']:,} numbers; those of its table of "
            f"tokens have {table.shape[1]:,}.",
            "Fetch the model again.",
        )


def _attention(file: GgufFile, row: Architecture, stated: Stated, config: dict[str, Any]) -> None:
    """Heads, their width, windows and the scale of the queries."""
    n_heads = config["num_attention_heads"]
    n_kv = stated.whole("attention.head_count_kv", n_heads)
    if n_heads % n_kv or n_heads > config["hidden_size"]:
        stated.refuse("attention.head_count_kv", f"while it has {n_heads:,} heads")
    usual = config["hidden_size"] // n_heads
    width = stated.whole("attention.key_length", usual)
    for key in ("attention.value_length", "attention.key_length_swa", "attention.value_length_swa"):
        if stated.whole(key, width) != width:
            stated.refuse(key, f"while its keys have {width:,} numbers")
    if stated.whole("rope.dimension_count_swa", width) != width:
        stated.refuse("rope.dimension_count_swa", f"while its keys have {width:,} numbers")
    if row.head_width:
        config["num_key_value_heads"] = n_kv
    elif n_kv != n_heads or width != usual:
        stated.refuse("attention.head_count_kv", "which this kind of model cannot have")
    config["head_dim"] = width
    if row.full_every is not None:
        config["layer_types"] = _layer_types(row.full_every, stated, config["num_hidden_layers"])
    if row.whole_query_scale is not None:
        whole = config["num_hidden_layers"] == row.whole_query_scale
        config["query_pre_attn_scalar"] = usual if whole else width


def _layer_types(every: int, stated: Stated, n_layers: int) -> list[str]:
    """Which layers have a window: all but each n-th, or as the file lists them."""
    found = stated.value("attention.sliding_window_pattern")
    if isinstance(found, np.ndarray):
        if found.size != n_layers:
            stated.refuse("attention.sliding_window_pattern", f"while it has {n_layers:,} layers")
        windows = [bool(one) for one in found]
    elif isinstance(found, bool):  # one value for all layers
        windows = [found] * n_layers
    else:
        step = every if found is None else stated.whole("attention.sliding_window_pattern")
        windows = [(layer + 1) % step != 0 for layer in range(n_layers)]
    return ["sliding_attention" if window else "full_attention" for window in windows]


def _experts(file: GgufFile, row: Architecture, stated: Stated, config: dict[str, Any]) -> None:
    """How many experts, how many a token, and how wide, held against the first block's tensors."""
    if row.experts is None:
        return
    stack = file.tensors.get("blk.0.ffn_up_exps.weight")
    n_experts, used = stated.whole("expert_count"), stated.whole("expert_used_count")
    if stack is None or len(stack.shape) != 3 or stack.shape[0] != n_experts:
        raise UnsupportedModel(
            f"{file.path.name} states {n_experts:,} experts; its tensors hold another number.", SAFETENSORS
        )
    if used > n_experts:
        stated.refuse("expert_used_count", f"more experts for a token than the {n_experts:,} it has")
    if "expert_feed_forward_length" in row.extras:
        config.setdefault("moe_intermediate_size", stack.shape[1])
    shared = file.tensors.get("blk.0.ffn_up_shexp.weight")
    if shared is not None and "expert_shared_feed_forward_length" in row.extras:
        config.setdefault("shared_expert_intermediate_size", shared.shape[0])
