"""What GGUF files call things: one row per architecture, and nothing else here knows.

A row says which settings and tensors of llama.cpp's names are which of Hugging Face's. What a file states
beyond its row changes the model and is not understood: such a file is refused by name (`gguf_config`,
`gguf_weights`), never read without it. To read another architecture, add a row and a case to
tests/gguf_files.py, which writes such files; tests/parity/test_gguf.py compares with llama.cpp.

Sources: llama.cpp, gguf-py/gguf/constants.py and convert_hf_to_gguf.py (how a tensor is laid out), and
src/models (what is computed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# Settings whose value must be this one where a row does not read them: they then change nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.scale": (0,),
    "attention.sliding_window": (0,),
    "attn_logit_softcapping": (0,),
    "embedding_scale": (0, 1),
    "expert_count": (0,),
    "expert_gating_func": (1,),  # softmax
    "expert_group_count": (0, 1),
    "expert_group_used_count": (0, 1),
    "expert_shared_count": (0,),
    "expert_used_count": (0,),
    "expert_weights_scale": (0, 1),
    "final_logit_softcapping": (0,),
    "leading_dense_block_count": (0,),
    "logit_scale": (0, 1),
    "nextn_predict_layers": (0,),
    "pooling_type": (0,),
    "residual_scale": (0, 1),
    "rope.scaling.alpha": (0,),
    "rope.scaling.yarn_ext_factor": (1,),
    "rope.scaling.yarn_log_multiplier": (0,),
    "tensor_data_layout": ("Meta AI original pth",),  # the layout that all files of this kind have
    "use_parallel_residual": (False,),
}
# Settings that say how the file came about.
HARMLESS = ("rope.scaling.finetuned",)
# Name spaces that hold parts of a model or another kind of file. `general.` and all other spaces are notes:
# no reader of GGUF takes a model's numbers from them.
FOREIGN_SPACES = ("adapter", "clip", "xlora", "imatrix", "training")

# Tensors that hold no weights but the rotation's divisors; `gguf_rope` reads them.
ROPE_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


@dataclass(frozen=True)
class Architecture:
    """One row. Settings are named without the architecture, a block's tensors without "blk.N."."""

    title: str  # for people
    model_type: str  # Hugging Face's
    sizes: dict[str, str]  # settings that must be there -> the config's names
    extras: dict[str, str]  # settings that may be there
    tensors: dict[str, str]  # of the whole model, without ".weight" and ".bias"
    block: dict[str, str]  # of a block, likewise
    blocks: str = "model.layers"
    fixed: dict[str, object] = field(default_factory=dict)  # config values that llama.cpp has in its code
    bias_flags: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # config flag -> tensors with biases
    # How tensors are laid out otherwise than Hugging Face's
    permuted: bool = False  # rows of q and k: pairs of the rotation side by side
    norms_plus_one: bool = False  # norm weights hold what is multiplied by; Hugging Face's hold it less one
    transposed: tuple[str, ...] = ()  # Conv1D weights
    interleaved_qkv: bool = False  # q, k, v of each head in turn in Hugging Face's
    experts: str | None = None  # path of the stacked experts
    experts_interleaved: bool = False  # gate and up in turn, transposed (GPT-OSS)
    # The rotation
    rotates: bool = True
    partial_rotation: bool = False  # may turn only part of a head
    two_bases: bool = False  # another base where the attention has a window
    yarn_truncates: bool = True  # YaRN's ends are rounded to whole pairs
    # Attention
    head_width: bool = True  # a head's width may be another than embedding / heads
    full_every: int | None = None  # each n-th layer sees everything, the others a window
    whole_query_scale: int | None = (
        None  # with so many blocks q is scaled by embedding / heads, not by d_head
    )


_SIZES = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
}
_RMS = {"attention.layer_norm_rms_epsilon": "rms_norm_eps"}
_BASE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
_MLP = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_QK_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_BOTH_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_SHARED_EXPERT = {
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
}
_ROUTER = {"ffn_gate_inp": "mlp.gate"}
_ATTENTION_BIAS = {"attention_bias": ("attn_q", "attn_k", "attn_v", "attn_output")}
_MLP_BIAS = {"mlp_bias": ("ffn_gate", "ffn_up", "ffn_down")}

_LLAMA = Architecture(
    "Llama",
    "llama",
    {**_SIZES, **_RMS},
    {},
    _BASE,
    {**_ATTENTION, "ffn_norm": "post_attention_layernorm", **_MLP},
    bias_flags={**_ATTENTION_BIAS, **_MLP_BIAS},
    permuted=True,
)
_PLAIN = replace(_LLAMA, permuted=False, bias_flags={})
_GEMMA2 = replace(
    _PLAIN,
    title="Gemma 2",
    model_type="gemma2",
    extras={
        "attention.sliding_window": "sliding_window",
        "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping",
    },
    block={**_ATTENTION, **_MLP, **_BOTH_NORMS, "ffn_norm": "pre_feedforward_layernorm"},
    bias_flags=_ATTENTION_BIAS,
    norms_plus_one=True,
    full_every=2,
    whole_query_scale=46,  # the 27B model
)
_MOE = replace(
    _PLAIN,
    block={**_ATTENTION, "ffn_norm": "post_attention_layernorm", **_ROUTER},
    experts="mlp.experts",
)
_MOE_COUNTS = {"expert_count": "num_experts", "expert_used_count": "num_experts_per_tok"}
_MOE_EXTRAS = {"expert_feed_forward_length": "moe_intermediate_size", "expert_weights_norm": "norm_topk_prob"}

_MANY_EXPERTS = replace(
    _MOE,
    sizes={**_PLAIN.sizes, **_MOE_COUNTS},
    extras=_MOE_EXTRAS,
    block={**_MOE.block, **_QK_NORMS},
    bias_flags=_ATTENTION_BIAS,
)

# A file of the architecture "llama" with experts is a Mixtral, one with a window a Mistral.
MIXTRAL = replace(
    _MOE,
    title="Mixtral",
    model_type="mixtral",
    sizes={**_LLAMA.sizes, "expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok"},
    extras={"attention.sliding_window": "sliding_window"},
    permuted=True,
    fixed={"sliding_window": None},
)
MISTRAL = replace(
    _LLAMA,
    title="Mistral",
    model_type="mistral",
    extras={"attention.sliding_window": "sliding_window"},
    bias_flags={},
)

ARCHITECTURES: dict[str, Architecture] = {
    "llama": _LLAMA,
    "qwen2": replace(_PLAIN, title="Qwen 2", model_type="qwen2"),
    "qwen3": replace(
        _PLAIN,
        title="Qwen 3",
        model_type="qwen3",
        block={**_PLAIN.block, **_QK_NORMS},
        bias_flags=_ATTENTION_BIAS,
    ),
    "gemma2": _GEMMA2,
    "gemma3": replace(
        _GEMMA2,
        title="Gemma 3",
        model_type="gemma3_text",
        extras={
            "attention.sliding_window": "sliding_window",
            "final_logit_softcapping": "final_logit_softcapping",
        },
        block={**_GEMMA2.block, **_QK_NORMS},
        two_bases=True,
        full_every=6,
        whole_query_scale=62,  # the 27B model
    ),
    "phi3": replace(
        _PLAIN,
        title="Phi-3",
        model_type="phi3",
        extras={"attention.sliding_window": "sliding_window"},
        block={
            "attn_norm": "input_layernorm",
            "attn_qkv": "self_attn.qkv_proj",
            "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm",
            "ffn_up": "mlp.gate_up_proj",
            "ffn_down": "mlp.down_proj",
        },
        fixed={"sliding_window": None},
        partial_rotation=True,
    ),
    "smollm3": replace(_LLAMA, title="SmolLM3", model_type="smollm3", fixed={"no_rope_layer_interval": 4}),
    "gpt2": Architecture(
        "GPT-2",
        "gpt2",
        {
            **{key: name for key, name in _SIZES.items() if key != "feed_forward_length"},
            "feed_forward_length": "n_inner",
            "attention.layer_norm_epsilon": "layer_norm_epsilon",
        },
        {},
        {
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
        },
        {
            "attn_norm": "ln_1",
            "attn_qkv": "attn.c_attn",
            "attn_output": "attn.c_proj",
            "ffn_norm": "ln_2",
            "ffn_up": "mlp.c_fc",
            "ffn_down": "mlp.c_proj",
        },
        blocks="transformer.h",
        transposed=("attn_qkv", "attn_output", "ffn_up", "ffn_down"),
        rotates=False,
        head_width=False,
    ),
    "gptneox": Architecture(
        "GPT-NeoX",
        "gpt_neox",
        {**_SIZES, "attention.layer_norm_epsilon": "layer_norm_eps"},
        {"use_parallel_residual": "use_parallel_residual"},
        {
            "token_embd": "gpt_neox.embed_in",
            "output_norm": "gpt_neox.final_layer_norm",
            "output": "lm_head",
        },
        {
            "attn_norm": "input_layernorm",
            "attn_qkv": "attention.query_key_value",
            "attn_output": "attention.dense",
            "ffn_norm": "post_attention_layernorm",
            "ffn_up": "mlp.dense_h_to_4h",
            "ffn_down": "mlp.dense_4h_to_h",
        },
        blocks="gpt_neox.layers",
        interleaved_qkv=True,
        partial_rotation=True,
        head_width=False,
    ),
    "olmo2": replace(
        _PLAIN,
        title="OLMo 2",
        model_type="olmo2",
        block={
            **{leaf: path for leaf, path in _ATTENTION.items() if leaf != "attn_norm"},
            **_MLP,
            **_QK_NORMS,
            **_BOTH_NORMS,
        },
        bias_flags=_ATTENTION_BIAS,
    ),
    "qwen2moe": replace(
        _MANY_EXPERTS,
        title="Qwen 2 MoE",
        model_type="qwen2_moe",
        extras={**_MOE_EXTRAS, "expert_shared_feed_forward_length": "shared_expert_intermediate_size"},
        block={**_MOE.block, **_SHARED_EXPERT},
        bias_flags={},
        fixed={"norm_topk_prob": False},
    ),
    "qwen3moe": replace(
        _MANY_EXPERTS, title="Qwen 3 MoE", model_type="qwen3_moe", fixed={"norm_topk_prob": True}
    ),
    "olmoe": replace(
        _MANY_EXPERTS,
        title="OLMoE",
        model_type="olmoe",
        extras={"attention.clamp_kqv": "clip_qkv", "expert_weights_norm": "norm_topk_prob"},
        fixed={"norm_topk_prob": False},
    ),
    "gpt-oss": replace(
        _MOE,
        title="GPT-OSS",
        model_type="gpt_oss",
        sizes={
            **{key: name for key, name in _PLAIN.sizes.items() if key != "feed_forward_length"},
            "expert_feed_forward_length": "intermediate_size",
            "expert_count": "num_local_experts",
            "expert_used_count": "num_experts_per_tok",
        },
        extras={"attention.sliding_window": "sliding_window", "feed_forward_length": "intermediate_size"},
        block={
            **_ATTENTION,
            "attn_sinks": "self_attn.sinks",
            "post_attention_norm": "post_attention_layernorm",
            "ffn_gate_inp": "mlp.router",
        },
        experts_interleaved=True,
        yarn_truncates=False,
        full_every=2,
    ),
}
