"""Tiny random models saved the way real ones are, for tests of loading. Seeds are fixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte: 256 of them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def tiny_llama(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config).eval()


def tiny_gpt2() -> Any:
    torch.manual_seed(1)
    return GPT2LMHeadModel(GPT2Config(vocab_size=256, n_embd=16, n_layer=2, n_head=2, n_positions=64)).eval()


def save(
    folder: Path, model: Any | None = None, *, dtype: torch.dtype = torch.float32, **options: Any
) -> Path:
    """Save a model and the byte tokenizer into `folder`; `options` go to `save_pretrained`."""
    (model or tiny_llama()).to(dtype).save_pretrained(folder, **options)
    byte_tokenizer().save_pretrained(folder)
    return folder


def save_in_hub_layout(
    cache: Path, hub_id: str, model: Any | None = None, *, commit: str = COMMIT, ref: str | None = "main"
) -> Path:
    """Save as the hub's library keeps what it downloaded: refs/<branch> and snapshots/<commit>."""
    storage = cache / ("models--" + hub_id.replace("/", "--"))
    if ref is not None:
        (storage / "refs").mkdir(parents=True, exist_ok=True)
        (storage / "refs" / ref).write_text(commit, encoding="utf-8")
    return save(storage / "snapshots" / commit, model)


def save_mxfp4(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A tiny GPT-OSS whose experts are packed as in the published checkpoints; and its tensors."""
    torch.manual_seed(2)
    config = GptOssConfig(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    save(folder, GptOssForCausalLM(config), dtype=torch.bfloat16)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        n_experts, d_in, d_out = tensors.pop(name).shape
        tensors[f"{name}_blocks"] = torch.randint(
            0, 256, (n_experts, d_out, d_in // 32, 16), dtype=torch.uint8
        )
        tensors[f"{name}_scales"] = torch.randint(118, 124, (n_experts, d_out, d_in // 32), dtype=torch.uint8)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    described = json.loads((folder / "config.json").read_text()) | {
        "quantization_config": {"quant_method": "mxfp4"}
    }
    (folder / "config.json").write_text(json.dumps(described))
    return folder, tensors


def copy_of(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))
