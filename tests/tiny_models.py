"""Tiny random models of every family, built from configs: real Hugging Face classes, no download.

    hf_model, tokenizer = tiny_model("llama")

`FAMILY_CASES` has one case per family key; `VARIANT_CASES` are the odd layouts worth a case of their own.
Weights are random but the same in every call (one seed), biases and norm weights included.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 320
TEXT = "the quick brown fox jumps over the lazy dog and the cat sat on the mat while it rained"

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,  # grouped queries
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}
_MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]

Build = Callable[[], tuple[type, Any]]


def _case(class_name: str, config_name: str, **changes: Any) -> Build:
    def build() -> tuple[type, Any]:
        settings = {**_SHAPE, **changes}
        settings = {key: value for key, value in settings.items() if value != "absent"}
        return getattr(hf, class_name), getattr(hf, config_name)(**settings)

    return build


def _rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


_OPT: dict[str, Any] = {
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "intermediate_size": "absent",
    "num_key_value_heads": "absent",
    "dropout": 0.0,
}
_GPT2: dict[str, Any] = {"num_key_value_heads": "absent", "intermediate_size": "absent", "n_inner": 48}
_NEOX: dict[str, Any] = {
    "num_key_value_heads": "absent",
    "rope_parameters": _rope("default", partial_rotary_factor=0.5),
}
_LONGROPE = _rope(
    "longrope",
    factor=8.0,
    short_factor=[1.0, 1.1, 1.2, 1.3],
    long_factor=[2.0, 3.0, 4.0, 5.0],
    original_max_position_embeddings=16,
)

FAMILY_CASES: dict[str, Build] = {
    "llama": _case("LlamaForCausalLM", "LlamaConfig", attention_bias=True),
    "mistral": _case("MistralForCausalLM", "MistralConfig", sliding_window=6),
    "qwen2": _case("Qwen2ForCausalLM", "Qwen2Config"),
    "qwen3": _case("Qwen3ForCausalLM", "Qwen3Config", head_dim=8),
    "gemma2": _case(
        "Gemma2ForCausalLM",
        "Gemma2Config",
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=6,
        layer_types=_ALTERNATING,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
    ),
    "gemma3": _case(
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=6,
        layer_types=_ALTERNATING,
    ),
    "phi3": _case(
        "Phi3ForCausalLM", "Phi3Config", rope_parameters=_rope("default", partial_rotary_factor=0.5)
    ),
    "smollm3": _case("SmolLM3ForCausalLM", "SmolLM3Config", no_rope_layers=[1, 0, 1]),
    "gpt2": _case("GPT2LMHeadModel", "GPT2Config", **_GPT2),
    "gpt_neox": _case("GPTNeoXForCausalLM", "GPTNeoXConfig", **_NEOX),
    "opt": _case("OPTForCausalLM", "OPTConfig", **_OPT),
    "olmo2": _case("Olmo2ForCausalLM", "Olmo2Config"),
    "mixtral": _case("MixtralForCausalLM", "MixtralConfig", num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": _case(
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        **_MOE,
        shared_expert_intermediate_size=24,
        mlp_only_layers=[1],
    ),
    "qwen3_moe": _case("Qwen3MoeForCausalLM", "Qwen3MoeConfig", **_MOE, head_dim=8, mlp_only_layers=[0]),
    "olmoe": _case("OlmoeForCausalLM", "OlmoeConfig", num_experts=4, num_experts_per_tok=2, clip_qkv=0.5),
    "gpt_oss": _case(
        "GptOssForCausalLM",
        "GptOssConfig",
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=6,
        layer_types=_ALTERNATING,
        rope_parameters=_rope(
            "yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0
        ),
    ),
}

VARIANT_CASES: dict[str, Build] = {
    "llama-dynamic": _case(
        "LlamaForCausalLM",
        "LlamaConfig",
        max_position_embeddings=24,
        rope_parameters=_rope("dynamic", factor=2.0),
    ),
    "phi3-longrope": _case(
        "Phi3ForCausalLM", "Phi3Config", rope_parameters=_LONGROPE, original_max_position_embeddings=16
    ),
    "llama-llama3": _case(
        "LlamaForCausalLM",
        "LlamaConfig",
        rope_parameters=_rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
    ),
    "llama-yarn": _case(
        "LlamaForCausalLM",
        "LlamaConfig",
        rope_parameters=_rope("yarn", factor=4.0, original_max_position_embeddings=32),
    ),
    "qwen2-window": _case(
        "Qwen2ForCausalLM",
        "Qwen2Config",
        use_sliding_window=True,
        sliding_window=6,
        layer_types=_ALTERNATING,
    ),
    "gpt2-upcast": _case("GPT2LMHeadModel", "GPT2Config", **_GPT2, reorder_and_upcast_attn=True),
    "gpt2-layer-scale": _case("GPT2LMHeadModel", "GPT2Config", **_GPT2, scale_attn_by_inverse_layer_idx=True),
    "neox-sequential": _case("GPTNeoXForCausalLM", "GPTNeoXConfig", **_NEOX, use_parallel_residual=False),
    "phi3-window": _case("Phi3ForCausalLM", "Phi3Config", sliding_window=6),
    "mixtral-window": _case(
        "MixtralForCausalLM", "MixtralConfig", num_local_experts=4, num_experts_per_tok=2, sliding_window=6
    ),
}

REFUSED_CASES: dict[str, Build] = {
    "opt-350m": _case("OPTForCausalLM", "OPTConfig", **{**_OPT, "do_layer_norm_before": False}),
    "opt-narrow": _case("OPTForCausalLM", "OPTConfig", **{**_OPT, "word_embed_proj_dim": 16}),
    "gptj": _case(
        "GPTJForCausalLM",
        "GPTJConfig",
        rotary_dim=4,
        num_key_value_heads="absent",
        intermediate_size="absent",
    ),
    "bert": _case("BertForMaskedLM", "BertConfig", num_key_value_heads="absent", pad_token_id=0),
}

ALL_CASES: dict[str, Build] = {**FAMILY_CASES, **VARIANT_CASES}


@functools.cache
def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer of the tiny models' vocabulary, with `<|endoftext|>` as id 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 2, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


def build_model(case: str, attention: str | None = None, seed: int = 0) -> Any:
    """A new random model of a case; `attention` None is Hugging Face's own default."""
    cls, config = {**ALL_CASES, **REFUSED_CASES}[case]()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {} if attention is None else {"attn_implementation": attention}
        model = cls._from_config(config, **options).eval()
        with torch.no_grad():
            for name, parameter in sorted(model.named_parameters()):
                # The initial weights are nearly zero, which would hide most mistakes.
                scale = 0.3 if parameter.dim() > 1 else 0.2
                centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(centre + scale * torch.randn(parameter.shape))
    return model


def tiny_model(family: str) -> tuple[Any, Any]:
    """A fresh tiny model of a family (or variant) and its tokenizer."""
    return build_model(family), tiny_tokenizer()
