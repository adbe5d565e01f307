"""The supported model families: one row says where a family keeps what, and nothing else knows.

Hugging Face's names stop here and in `adapter`. Paths under "block" are relative to one decoder block.
To support a family, add a row; `Adapter` checks every path when a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

QkvLayout = Literal["flat", "pos head", "head pos", "blocks", "interleaved"]
"""How the tensor that q is read from is laid out.

flat [pos, head x d_head]; "pos head" [pos, head, d_head]; "head pos" [head, pos, d_head];
blocks: q, k and v side by side in one projection; interleaved: q, k, v of each head in turn (GPT-NeoX).
"""


@dataclass(frozen=True)
class Family:
    """One row of the table. Paths are attribute names joined by dots; None: the family has no such part."""

    key: str
    title: str  # for people and for the README
    examples: str  # hub ids that people know
    model_types: tuple[str, ...]  # `config.model_type`
    classes: tuple[str, ...]  # Hugging Face's causal LM classes
    # The model
    embed: str = "model.embed_tokens"
    pos_embed: str | None = None  # a learned table of positions
    rotary: str | None = "model.rotary_emb"
    blocks: str = "model.layers"
    ln_final: str = "model.norm"
    head: str = "lm_head"
    # A block
    ln1: str | None = "input_layernorm"
    attention: str = "self_attn"
    q: str = "self_attn.q_proj"  # whose output the rotation reads as q
    k: str = "self_attn.k_proj"
    qkv_layout: QkvLayout = "flat"
    w_o: str = "self_attn.o_proj"  # from all heads' z to the stream
    post_attention_norm: str | None = None
    ln2: str | None = "post_attention_layernorm"
    mlp: str | None = "mlp"  # None: the MLP's layers lie in the block itself
    gate: str = "mlp.gate_proj"  # enters the activation
    up: str | None = "mlp.up_proj"  # the linear half; None: the MLP is not gated
    gate_up_fused: bool = False  # gate and up are the two halves of one projection
    down: str = "mlp.down_proj"
    post_mlp_norm: str | None = None
    router: str | None = None  # in sparse layers
    # Arithmetic
    attention_kernel: Literal["sdpa", "eager"] = "sdpa"  # Hugging Face's own default
    softmax_in_float32: bool = True  # in the eager attention; False: in the dtype of the scores
    window: Literal["none", "all layers", "by layer type"] = "none"
    parallel_flag: str | None = None  # config attribute: attention and MLP side by side
    rotates_flag: str | None = None  # config attribute: per layer, does it rotate?
    q_handed_over_scaled: bool = False  # q is divided by sqrt(d_head) before attention receives it
    rope_half_width: bool = False  # the rotary module gives half of cos and sin: both halves are equal
    notes: str = ""


_LLAMA = Family(
    "llama",
    "Llama",
    "SmolLM2, Llama 2 and 3, TinyLlama",
    ("llama",),
    ("LlamaForCausalLM",),
)

_MIXTRAL = replace(
    _LLAMA,
    key="mixtral",
    title="Mixtral",
    examples="mistralai/Mixtral-8x7B-v0.1",
    model_types=("mixtral",),
    classes=("MixtralForCausalLM",),
    router="mlp.gate",
    window="all layers",
    notes="mixture of experts",
)

_GEMMA2 = replace(
    _LLAMA,
    key="gemma2",
    title="Gemma 2",
    examples="google/gemma-2-2b",
    model_types=("gemma2",),
    classes=("Gemma2ForCausalLM",),
    post_attention_norm="post_attention_layernorm",
    ln2="pre_feedforward_layernorm",
    post_mlp_norm="post_feedforward_layernorm",
    attention_kernel="eager",
    window="by layer type",
    notes="soft caps, norms after attention and MLP, sliding windows in every second layer",
)

FAMILIES: tuple[Family, ...] = (
    _LLAMA,
    replace(
        _LLAMA,
        key="mistral",
        title="Mistral",
        examples="mistralai/Mistral-7B-v0.1",
        model_types=("mistral",),
        classes=("MistralForCausalLM",),
        window="all layers",
        notes="sliding window",
    ),
    replace(
        _LLAMA,
        key="qwen2",
        title="Qwen 2 and 2.5",
        examples="Qwen/Qwen2.5-0.5B",
        model_types=("qwen2",),
        classes=("Qwen2ForCausalLM",),
        window="by layer type",
    ),
    replace(
        _LLAMA,
        key="qwen3",
        title="Qwen 3",
        examples="Qwen/Qwen3-0.6B",
        model_types=("qwen3",),
        classes=("Qwen3ForCausalLM",),
        q="self_attn.q_norm",
        k="self_attn.k_norm",
        qkv_layout="pos head",
        window="by layer type",
        notes="q and k are normalised before the rotation",
    ),
    _GEMMA2,
    replace(
        _GEMMA2,
        key="gemma3",
        title="Gemma 3 (text)",
        examples="google/gemma-3-1b-it",
        model_types=("gemma3_text",),
        classes=("Gemma3ForCausalLM",),
        q="self_attn.q_norm",
        k="self_attn.k_norm",
        qkv_layout="head pos",
        attention_kernel="sdpa",
        notes="two RoPE bases, norms after attention and MLP, sliding windows in most layers",
    ),
    replace(
        _LLAMA,
        key="phi3",
        title="Phi-3 and Phi-4-mini",
        examples="microsoft/Phi-3-mini-4k-instruct",
        model_types=("phi3",),
        classes=("Phi3ForCausalLM",),
        q="self_attn.qkv_proj",
        k="self_attn.qkv_proj",
        qkv_layout="blocks",
        gate="mlp.gate_up_proj",
        up="mlp.gate_up_proj",
        gate_up_fused=True,
        window="all layers",
        notes="partial rotation and longrope in some sizes",
    ),
    replace(
        _LLAMA,
        key="smollm3",
        title="SmolLM3",
        examples="HuggingFaceTB/SmolLM3-3B",
        model_types=("smollm3",),
        classes=("SmolLM3ForCausalLM",),
        rotates_flag="no_rope_layers",
        window="by layer type",
        notes="every fourth layer does not rotate (NoPE)",
    ),
    Family(
        "gpt2",
        "GPT-2",
        "gpt2, gpt2-medium, gpt2-large, gpt2-xl, distilgpt2",
        ("gpt2",),
        ("GPT2LMHeadModel",),
        embed="transformer.wte",
        pos_embed="transformer.wpe",
        rotary=None,
        blocks="transformer.h",
        ln_final="transformer.ln_f",
        ln1="ln_1",
        attention="attn",
        q="attn.c_attn",
        k="attn.c_attn",
        qkv_layout="blocks",
        w_o="attn.c_proj",
        ln2="ln_2",
        gate="mlp.c_fc",
        up=None,
        down="mlp.c_proj",
        softmax_in_float32=False,
        notes="learned positions",
    ),
    Family(
        "gpt_neox",
        "GPT-NeoX, Pythia",
        "EleutherAI/pythia-70m ... pythia-12b",
        ("gpt_neox",),
        ("GPTNeoXForCausalLM",),
        embed="gpt_neox.embed_in",
        rotary="gpt_neox.rotary_emb",
        blocks="gpt_neox.layers",
        ln_final="gpt_neox.final_layer_norm",
        attention="attention",
        q="attention.query_key_value",
        k="attention.query_key_value",
        qkv_layout="interleaved",
        w_o="attention.dense",
        gate="mlp.dense_h_to_4h",
        up=None,
        down="mlp.dense_4h_to_h",
        parallel_flag="use_parallel_residual",
        notes="attention and MLP side by side (parallel block), partial rotation",
    ),
    Family(
        "opt",
        "OPT",
        "facebook/opt-125m, opt-1.3b ... (not opt-350m)",
        ("opt",),
        ("OPTForCausalLM",),
        embed="model.decoder.embed_tokens",
        pos_embed="model.decoder.embed_positions",
        rotary=None,
        blocks="model.decoder.layers",
        ln_final="model.decoder.final_layer_norm",
        ln1="self_attn_layer_norm",
        w_o="self_attn.out_proj",
        ln2="final_layer_norm",
        mlp=None,
        gate="fc1",
        up=None,
        down="fc2",
        q_handed_over_scaled=True,
        notes="learned positions; the size with norms after the blocks (350m) is refused",
    ),
    replace(
        _LLAMA,
        key="olmo2",
        title="OLMo 2",
        examples="allenai/OLMo-2-0425-1B",
        model_types=("olmo2",),
        classes=("Olmo2ForCausalLM",),
        ln1=None,
        q="self_attn.q_norm",
        k="self_attn.k_norm",
        post_attention_norm="post_attention_layernorm",
        ln2=None,
        post_mlp_norm="post_feedforward_layernorm",
        notes="norms after attention and MLP only",
    ),
    _MIXTRAL,
    replace(
        _MIXTRAL,
        key="qwen2_moe",
        title="Qwen 1.5/2 MoE",
        examples="Qwen/Qwen1.5-MoE-A2.7B",
        model_types=("qwen2_moe",),
        classes=("Qwen2MoeForCausalLM",),
        window="by layer type",
        notes="mixture of experts with a shared expert; dense layers may be mixed in",
    ),
    replace(
        _MIXTRAL,
        key="qwen3_moe",
        title="Qwen 3 MoE",
        examples="Qwen/Qwen3-30B-A3B",
        model_types=("qwen3_moe",),
        classes=("Qwen3MoeForCausalLM",),
        q="self_attn.q_norm",
        k="self_attn.k_norm",
        qkv_layout="pos head",
        notes="mixture of experts; dense layers may be mixed in",
    ),
    replace(
        _MIXTRAL,
        key="olmoe",
        title="OLMoE",
        examples="allenai/OLMoE-1B-7B-0924",
        model_types=("olmoe",),
        classes=("OlmoeForCausalLM",),
        q="self_attn.q_norm",
        k="self_attn.k_norm",
        window="none",
        notes="mixture of experts; q, k and v may be clipped",
    ),
    replace(
        _MIXTRAL,
        key="gpt_oss",
        title="GPT-OSS",
        examples="openai/gpt-oss-20b",
        model_types=("gpt_oss",),
        classes=("GptOssForCausalLM",),
        router="mlp.router",
        attention_kernel="eager",
        softmax_in_float32=False,
        window="by layer type",
        rope_half_width=True,
        notes="mixture of experts, attention sinks, YaRN",
    ),
)

# Families that people will try and that cannot work, with what is missing (config.model_type -> reason).
_OWN_ATTENTION = "its attention ignores a custom attention function, so nothing could be captured"
REFUSED: dict[str, str] = {
    "gptj": _OWN_ATTENTION,
    "gpt_neo": _OWN_ATTENTION,
    "bloom": _OWN_ATTENTION,
    "falcon": _OWN_ATTENTION,
    "mpt": _OWN_ATTENTION,
    "codegen": _OWN_ATTENTION,
    "gemma3": "it reads images too; only the text model (gemma3_text) is supported",
    "mamba": "it has no attention",
    "t5": "it is an encoder-decoder, not a causal language model",
    "bert": "it is not a causal language model",
}
