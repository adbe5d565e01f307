"""Tiny random models written as GGUF files, laid out as llama.cpp's converter lays them out.

    write_gguf(path, hf_model, tokenizer)

Names come from the `gguf` package's own table (`get_tensor_name_map`), layouts from convert_hf_to_gguf.py:
this is another hand than the reader under test, and tests/parity/test_gguf.py lets llama.cpp read the files.
`GGUF_CASES` has every family that GGUF can hold, with what its files state besides sizes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as hf

from tests.tiny_models import tiny_tokenizer

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "gemma3_text": "gemma3",
    "gpt_neox": "gptneox",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "gpt_oss": "gpt-oss",
}
PERMUTED = ("llama", "mistral", "mixtral", "smollm3")


@dataclass(frozen=True)
class GgufCase:
    """A tiny model, and what its file states besides, by llama.cpp's names."""

    model: Callable[[], Any]
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Iterable[float]] = field(default_factory=dict)
    llama_cpp: float = 0.02  # largest difference in log probabilities: its GELU is a table of float16


def build(name: str, seed: int = 0, **settings: Any) -> Any:
    """A random model of `name` ("Llama" for LlamaForCausalLM), biases and norms included."""
    shape: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    config_class = getattr(hf, f"{'Gemma3Text' if name == 'Gemma3' else name}Config")
    model_class = getattr(hf, f"{name}{'LMHeadModel' if name == 'GPT2' else 'ForCausalLM'}")
    chosen = {key: value for key, value in {**shape, **settings}.items() if value != "absent"}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class._from_config(config_class(**chosen)).eval()
        with torch.no_grad():
            for parameter_name, parameter in sorted(model.named_parameters()):
                centre = 1.0 if "norm" in parameter_name and parameter_name.endswith("weight") else 0.0
                scale = 0.2 if parameter.dim() > 1 else 0.1
                parameter.copy_(centre + scale * torch.randn(parameter.shape))
    return model


def _rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


def llama3_divisors(base: float, d: int, factor: float, low: float, high: float, trained: int) -> list[float]:
    """What llama.cpp's converter writes as rope_freqs.weight for Llama 3.1 and later."""
    found = []
    for i in range(0, d, 2):
        length = 2 * math.pi * base ** (i / d)  # of one turn, in tokens
        if length < trained / high:
            found.append(1.0)
        elif length > trained / low:
            found.append(factor)
        else:
            smooth = (trained / length - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return found


_LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_SHORT = [1.0, 1.1, 1.3, 1.6, 1.9, 2.0, 2.2, 2.5]
_LONG = [2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
_LONGROPE = {
    "short_factor": _SHORT[:6],
    "long_factor": _LONG[:6],
    "factor": 8.0,
    "original_max_position_embeddings": 32,
    "partial_rotary_factor": 0.75,
}
_MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2}
_GPT_OSS: dict[str, Any] = {
    "head_dim": 16,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 6,
}
_NEOX: dict[str, Any] = {
    "num_key_value_heads": "absent",
    "rope_parameters": _rope("default", partial_rotary_factor=0.5),
}
_GPT2: dict[str, Any] = {"num_key_value_heads": "absent", "intermediate_size": "absent", "n_inner": 96}

GGUF_CASES: dict[str, GgufCase] = {
    "llama": GgufCase(lambda: build("Llama")),
    "llama-biases": GgufCase(lambda: build("Llama", attention_bias=True)),
    "llama-mlp-biases": GgufCase(lambda: build("Llama", mlp_bias=True)),
    "llama-head-width": GgufCase(lambda: build("Llama", head_dim=32, tie_word_embeddings=True)),
    "llama-base": GgufCase(
        lambda: build("Llama", rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    ),
    "llama-rope-freqs": GgufCase(
        lambda: build("Llama", rope_parameters=_rope("llama3", **_LLAMA3)),
        tensors={"rope_freqs.weight": llama3_divisors(10000.0, 16, 8.0, 1.0, 4.0, 16)},
    ),
    "llama-3.1": GgufCase(
        lambda: build(
            "Llama",
            rope_parameters=_rope("llama3", **{**_LLAMA3, "original_max_position_embeddings": 8192}),
        ),
        tensors={"rope_freqs.weight": llama3_divisors(10000.0, 16, 8.0, 1.0, 4.0, 8192)},
    ),
    "llama-linear": GgufCase(
        lambda: build("Llama", rope_parameters=_rope("linear", factor=4.0)),
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "llama-scale-linear": GgufCase(
        lambda: build("Llama", rope_parameters=_rope("linear", factor=4.0)), {"rope.scale_linear": 4.0}
    ),
    "llama-yarn": GgufCase(
        lambda: build(
            "Llama", rope_parameters=_rope("yarn", factor=4.0, original_max_position_embeddings=32)
        ),
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
        },
    ),
    "llama-yarn-attention": GgufCase(
        lambda: build(
            "Llama",
            rope_parameters=_rope(
                "yarn",
                factor=4.0,
                original_max_position_embeddings=32,
                attention_factor=1.5 * (0.1 * math.log(4.0) + 1.0),
            ),
        ),
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
            "rope.scaling.attn_factor": 1.5,
        },
    ),
    "mistral-window": GgufCase(
        lambda: build("Mistral", sliding_window=6),
        {"attention.sliding_window": 6},
        llama_cpp=math.inf,  # llama.cpp knows no window in files of this kind and reads past it
    ),
    "mixtral": GgufCase(lambda: build("Mixtral", num_local_experts=4, num_experts_per_tok=2)),
    "qwen2": GgufCase(lambda: build("Qwen2")),
    "qwen2-yarn": GgufCase(
        lambda: build(
            "Qwen2", rope_parameters=_rope("yarn", factor=4.0, original_max_position_embeddings=32)
        ),
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
        },
    ),
    "qwen3": GgufCase(lambda: build("Qwen3", head_dim=32)),
    "gemma2": GgufCase(
        lambda: build(
            "Gemma2",
            head_dim=32,
            query_pre_attn_scalar=32,
            sliding_window=6,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
        ),
        {
            "attention.sliding_window": 6,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": GgufCase(
        lambda: build(
            "Gemma3",
            head_dim=32,
            query_pre_attn_scalar=32,
            sliding_window=6,
            num_hidden_layers=7,
            rope_parameters={
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        ),
        {
            "attention.sliding_window": 6,
            "rope.freq_base": 1e6,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "phi3": GgufCase(lambda: build("Phi3", pad_token_id=0)),
    "phi3-partial": GgufCase(
        lambda: build("Phi3", pad_token_id=0, rope_parameters=_rope("default", partial_rotary_factor=0.75))
    ),
    "phi3-partial-window": GgufCase(
        lambda: build(
            "Phi3",
            pad_token_id=0,
            sliding_window=6,
            rope_parameters=_rope("default", partial_rotary_factor=0.75),
        ),
        {"attention.sliding_window": 6},
        llama_cpp=math.inf,  # llama.cpp has the window of Phi-3 switched off
    ),
    "phi3-longrope": GgufCase(
        lambda: build(
            "Phi3",
            pad_token_id=0,
            original_max_position_embeddings=32,
            rope_parameters=_rope("longrope", **_LONGROPE),
        ),
        {
            "rope.scaling.original_context_length": 32,
            "rope.scaling.attn_factor": math.sqrt(1 + math.log(8) / math.log(32)),
        },
        {"rope_factors_short.weight": _SHORT[:6], "rope_factors_long.weight": _LONG[:6]},
    ),
    "smollm3": GgufCase(lambda: build("SmolLM3", num_hidden_layers=5)),
    "gpt2": GgufCase(lambda: build("GPT2", **_GPT2)),
    "gpt2-untied": GgufCase(lambda: build("GPT2", **_GPT2, tie_word_embeddings=False)),
    "gptneox": GgufCase(
        lambda: build("GPTNeoX", **_NEOX),
        {"use_parallel_residual": True},  # llama.cpp takes GELU's approximation, the published models do not
    ),
    "gptneox-sequential": GgufCase(
        lambda: build("GPTNeoX", **_NEOX, use_parallel_residual=False),
        {"use_parallel_residual": False},
    ),
    "olmo2": GgufCase(lambda: build("Olmo2")),
    "qwen2moe": GgufCase(
        lambda: build("Qwen2Moe", **_MOE, moe_intermediate_size=48, shared_expert_intermediate_size=80)
    ),
    "qwen3moe": GgufCase(
        lambda: build("Qwen3Moe", **_MOE, moe_intermediate_size=48, head_dim=32, norm_topk_prob=True)
    ),
    "olmoe": GgufCase(lambda: build("Olmoe", **_MOE, num_key_value_heads=4)),
    "gpt-oss": GgufCase(
        lambda: build(
            "GptOss",
            **_GPT_OSS,
            rope_parameters=_rope(
                "yarn",
                factor=8.0,
                original_max_position_embeddings=32,
                beta_fast=32.0,
                beta_slow=1.0,
                truncate=False,
            ),
        ),
        {
            "attention.sliding_window": 6,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 8.0,
            "rope.scaling.original_context_length": 32,
        },
        llama_cpp=math.inf,  # llama.cpp rounds YaRN's ends to whole pairs, the published models do not
    ),
    "gpt-oss-plain": GgufCase(
        lambda: build(
            "GptOss",
            **_GPT_OSS,
            rope_parameters=_rope("default"),
        ),
        {"attention.sliding_window": 6},
    ),
}


def write_gguf(
    path: Path,
    model: Any,
    *,
    settings: dict[str, Any] | None = None,
    tensors: dict[str, Iterable[float]] | None = None,
    tokenizer: Any = None,
    pre: str | None = "gpt-2",
    bos: int = 0,
    changed: Callable[[str, np.ndarray], np.ndarray | None] = lambda name, values: values,
    without: tuple[str, ...] = (),
) -> Path:
    """Write a model with its byte-level tokenizer as GGUF.

    Args:
        settings: settings beside the usual ones, without the architecture; they win over those.
        tensors: tensors beside the model's own.
        tokenizer: of `tokenizers`, or a function that writes its fields; None for the tiny models' own.
        pre: name of the rule that splits text; None for none.
        bos: id of the beginning token.
        changed: takes each tensor by its GGUF name and gives what is written, bytes as blocks of Q8_0; None
            leaves it out.
        without: settings that are left out.
    """
    kind = model.config.model_type
    architecture = ARCHITECTURES.get(kind, kind)
    writer = gguf.GGUFWriter(str(path), architecture)
    stated = {**_usual_settings(model.config), **(settings or {})}
    for key, value in stated.items():
        if key not in without:
            _add(writer, f"{architecture}.{key}", value)
    if callable(tokenizer):
        tokenizer(writer)
    else:
        _add_tokenizer(
            writer, tokenizer or tiny_tokenizer().backend_tokenizer, pre, bos, model.config.vocab_size
        )
    for name, values in [*_gguf_tensors(model, architecture), *(tensors or {}).items()]:
        kept = changed(name, np.ascontiguousarray(values, np.float32))
        if kept is not None:
            packed = gguf.GGMLQuantizationType.Q8_0 if kept.dtype == np.uint8 else None
            writer.add_tensor(name, np.ascontiguousarray(kept), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    kinds: dict[type, Any] = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
    }
    kinds.get(type(value), writer.add_array)(key, value)


def _usual_settings(config: Any) -> dict[str, Any]:
    """What the converter states of every model of a kind."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    norms = getattr(config, "rms_norm_eps", None)
    found: dict[str, Any] = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": getattr(config, "intermediate_size", None) or config.n_inner,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": width,
        "attention.value_length": width,
        "vocab_size": config.vocab_size,
    }
    if norms is None:
        found["attention.layer_norm_epsilon"] = (
            getattr(config, "layer_norm_epsilon", None) or config.layer_norm_eps
        )
    else:
        found["attention.layer_norm_rms_epsilon"] = norms
    rope = getattr(config, "rope_parameters", None)
    if rope is not None:
        rope = rope.get("full_attention", rope)
        found["rope.dimension_count"] = int(width * rope.get("partial_rotary_factor", 1.0))
        found["rope.freq_base"] = float(rope["rope_theta"])
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    if experts:
        found["expert_count"], found["expert_used_count"] = experts, config.num_experts_per_tok
    if config.model_type == "gpt_oss":
        found["expert_feed_forward_length"] = config.intermediate_size
    if hasattr(config, "moe_intermediate_size"):
        found["expert_feed_forward_length"] = config.moe_intermediate_size
    if hasattr(config, "shared_expert_intermediate_size"):
        found["expert_shared_feed_forward_length"] = config.shared_expert_intermediate_size
    return found


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Any, pre: str | None, bos: int, n_rows: int) -> None:
    """The fields of a byte-level tokenizer; rows of the table without a token get one that is not used."""
    content = json.loads(tokenizer.to_str())
    vocabulary = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["id"] for token in content["added_tokens"]}
    unused = [f"[PAD{row}]" for row in range(len(vocabulary), n_rows)]
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([*(token for token, _ in vocabulary), *unused])
    writer.add_token_types(
        [*(3 if token_id in special else 1 for _, token_id in vocabulary), *(5 for _ in unused)]
    )
    merges = content["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(0)


def _gguf_tensors(model: Any, architecture: str) -> list[tuple[str, np.ndarray]]:
    """The model's weights by GGUF's names and in its layout."""
    config = model.config
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], config.num_hidden_layers)
    found = []
    for path, weight in model.state_dict().items():
        if path == "lm_head.weight" and config.tie_word_embeddings:
            continue
        for part, values in _parts(path, weight.detach().float().numpy(), config.model_type):
            name = names.get_name(part, try_suffixes=(".weight", ".bias"))
            assert name is not None, f"{architecture} has no name for {part}"
            found.append((name, _laid_out(name, values, config)))
    return found


def _parts(path: str, values: np.ndarray, kind: str) -> list[tuple[str, np.ndarray]]:
    """Stacks of experts as the converter splits and names them; other tensors as they are."""
    if path.endswith("sinks"):
        return [(f"{path}.weight", values)]
    if ".experts." not in path:
        return [(path, values)]
    stack, suffix = path.removesuffix("_bias"), "bias" if path.endswith("_bias") else "weight"
    if kind == "gpt_oss" and suffix == "weight":
        values = values.swapaxes(1, 2)  # GPT-OSS keeps its experts' matrices as (in, out)
    if "gate_up" not in path:
        return [(f"{stack}.{suffix}", values)]
    half = values.shape[1] // 2
    gate, up = (
        (values[:, ::2], values[:, 1::2]) if kind == "gpt_oss" else (values[:, :half], values[:, half:])
    )
    return [
        (f"{stack.replace('gate_up', 'gate')}.{suffix}", gate),
        (f"{stack.replace('gate_up', 'up')}.{suffix}", up),
    ]


def _laid_out(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    """A tensor's numbers as convert_hf_to_gguf.py turns them."""
    kind, leaf = config.model_type, name.split(".")[-2]
    if kind in PERMUTED and leaf in ("attn_q", "attn_k"):
        heads = config.num_attention_heads if leaf == "attn_q" else config.num_key_value_heads
        split = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        return split.swapaxes(1, 2).reshape(values.shape)
    if kind.startswith("gemma") and leaf.endswith("norm"):
        return values + 1
    if (
        kind == "gpt2"
        and name.endswith("weight")
        and leaf in ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    ):
        return values.T
    if kind == "gpt_neox" and leaf == "attn_qkv":
        heads = config.num_attention_heads
        by_head = values.reshape(heads, 3, values.shape[0] // heads // 3, *values.shape[1:])
        return np.concatenate([by_head[:, part].reshape(-1, *values.shape[1:]) for part in range(3)])
    if leaf == "ffn_gate_inp_shexp":
        return values.reshape(-1)
    return values
