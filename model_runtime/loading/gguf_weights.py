"""A GGUF file's tensors as a Hugging Face model's weights: each has one place, and each place one tensor.

Names and layouts come from `gguf_table`. Shapes are compared on an empty model (torch's "meta" device)
before any number is read; a tensor without a place, a place without a tensor and another shape are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.gguf_config import architecture_of
from model_runtime.loading.gguf_file import SAFETENSORS, GgufFile
from model_runtime.loading.gguf_table import ROPE_TENSORS, Architecture

Layout = Callable[[torch.Tensor], torch.Tensor]
Place = tuple[tuple[str, ...], Layout]  # the file's tensors that make up one of the model's, and how
_AGAIN = "Fetch the model again, or use the model's safetensors files."
_MAY_LACK_BIAS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def check_tensors(file: GgufFile, config: Any) -> None:
    """Hold the file's tensors against an empty model of its config, before any number is read.

    Raises:
        UnsupportedModel: with the tensor's name, and both shapes where they differ.
    """
    wanted, found = _shapes(config), places(file, config)
    for path, (sources, layout) in found.items():
        absent = [name for name in sources if name not in file.tensors]
        if absent:
            raise UnsupportedModel(f"{file.path.name} lacks the tensor {absent[0]!r}.", _AGAIN)
        shape = file.tensors[sources[0]].shape
        if path not in wanted:
            raise UnsupportedModel(
                f"{file.path.name} has the tensor {sources[0]!r}, for which its settings leave no place.",
                _AGAIN,
            )
        if _shape_of(file, sources, layout) != wanted[path]:
            raise UnsupportedModel(
                f"The tensor {sources[0]!r} of {file.path.name} has the shape {_shown(shape)}; by the file's "
                f"settings it would fill {_shown(wanted[path])}.",
                _AGAIN,
            )
    for path in wanted:
        if path not in found and not _unstated_bias(path, found):
            raise UnsupportedModel(
                f"{file.path.name} is not whole: it has no tensor for {path!r}.",
                _AGAIN,
            )


def weights_of(file: GgufFile, config: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The model's weights in `dtype`, read one tensor at a time. `check_tensors` comes first.

    Returns:
        Names as in the model's `state_dict`; a head that is the table of tokens is left out.
    """
    found = places(file, config)
    weights = {path: _laid_out(file, place, dtype) for path, place in found.items()}
    for path, shape in _shapes(config).items():
        if path not in weights:
            weights[path] = torch.zeros(shape, dtype=dtype)  # a bias that no block of the file has
    return weights


def places(file: GgufFile, config: Any) -> dict[str, Place]:
    """Where every tensor of the file goes: the model's name -> the file's tensors and their layout.

    Raises:
        UnsupportedModel: a tensor has no place in this kind of model.
    """
    row = architecture_of(file)
    found: dict[str, Place] = {}
    for name in file.tensors:
        if name in ROPE_TENSORS and row.rotates:
            continue  # it is in the config
        target = _target(row, name)
        if target is None:
            raise UnsupportedModel(
                f"{file.path.name} has a tensor {name[:80]!r}, which has no place in {row.title}; read "
                "without it, the model would compute something else.",
                SAFETENSORS,
            )
        path, sources = target
        found[path] = (sources, _layout(row, name, config))
    return found


def _target(row: Architecture, name: str) -> tuple[str, tuple[str, ...]] | None:
    """The model's name for a tensor of the file, and all the file's tensors that it is made of."""
    stem, _, kind = name.rpartition(".")
    if kind not in ("weight", "bias"):
        return None
    if stem in row.tensors:
        return f"{row.tensors[stem]}.{kind}", (name,)
    block, _, leaf = stem.removeprefix("blk.").partition(".")
    if not stem.startswith("blk.") or not block.isdecimal():
        return None
    if leaf in row.block:
        path = f"{row.blocks}.{block}.{row.block[leaf]}"
        return (path if leaf == "attn_sinks" else f"{path}.{kind}"), (name,)
    if row.experts is None or leaf not in ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"):
        return None
    suffix = "_bias" if kind == "bias" else ""
    if suffix and not row.experts_interleaved:
        return None
    stack = f"{row.blocks}.{block}.{row.experts}"
    if leaf == "ffn_down_exps":
        return f"{stack}.down_proj{suffix}", (name,)
    both = (f"blk.{block}.ffn_gate_exps.{kind}", f"blk.{block}.ffn_up_exps.{kind}")
    return f"{stack}.gate_up_proj{suffix}", both


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


def _unpermuted(values: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Rows of q or k from pairs side by side to split halves (convert_hf_to_gguf.py, LlamaModel.permute)."""
    pairs = values.reshape(n_heads, -1, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def _in_turn_by_head(values: torch.Tensor, n_heads: int) -> torch.Tensor:
    """All q, all k, all v -> q, k and v of each head in turn (GPT-NeoX)."""
    blocks = values.reshape(3, n_heads, -1, *values.shape[1:])
    return blocks.swapaxes(0, 1).reshape(values.shape)


def _in_turn(gate_and_up: torch.Tensor) -> torch.Tensor:
    """Rows of gate, then those of up -> one of each in turn (GPT-OSS)."""
    return torch.stack(gate_and_up.chunk(2, dim=1), dim=2).reshape(gate_and_up.shape)


def _layout(row: Architecture, name: str, config: Any) -> Layout:
    """How the file's numbers are laid out for the model."""
    stem, _, kind = name.rpartition(".")
    leaf = stem.split(".")[-1]
    if row.permuted and leaf in ("attn_q", "attn_k"):
        heads = config.num_attention_heads if leaf == "attn_q" else config.num_key_value_heads
        return partial(_unpermuted, n_heads=heads)
    if row.norms_plus_one and leaf.endswith("norm"):
        return lambda values: values - 1.0
    if leaf in row.transposed and kind == "weight":
        return lambda values: values.T
    if row.interleaved_qkv and leaf == "attn_qkv":
        return partial(_in_turn_by_head, n_heads=config.num_attention_heads)
    if leaf == "ffn_gate_inp_shexp":
        return lambda values: values.reshape(1, -1)
    if row.experts_interleaved and leaf in ("ffn_gate_exps", "ffn_up_exps"):
        return _in_turn if kind == "bias" else lambda values: _in_turn(values).swapaxes(1, 2)
    if row.experts_interleaved and leaf == "ffn_down_exps" and kind == "weight":
        return lambda values: values.swapaxes(1, 2)
    return _as_it_is


def model_class(config: Any) -> Any:
    """The library's class of causal language models for a config."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    mapping: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    return mapping[type(config)]


def _shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a model of this config; it is built without numbers."""
    with torch.device("meta"):
        model = model_class(config)(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        shapes.pop("lm_head.weight", None)
    return shapes


def _shape_of(file: GgufFile, sources: tuple[str, ...], layout: Layout) -> tuple[int, ...]:
    """The shape after the layout; empty where the layout does not fit."""
    try:
        parts = [torch.empty(file.tensors[name].shape, device="meta") for name in sources]
        return tuple(layout(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]).shape)
    except (RuntimeError, IndexError):
        return ()


def _laid_out(file: GgufFile, place: Place, dtype: torch.dtype) -> torch.Tensor:
    sources, layout = place
    parts = [torch.from_numpy(file.read(file.tensors[name])) for name in sources]
    return layout(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]).to(dtype).contiguous()


def _unstated_bias(path: str, found: dict[str, Place]) -> bool:
    """Whether a bias is missing because no block of the file has one of its kind: there is none then."""
    stem, _, kind = path.rpartition(".")
    leaf = stem.rpartition(".")[2]
    same = any(one.endswith(f".{leaf}.bias") for one in found)
    return kind == "bias" and leaf in _MAY_LACK_BIAS and not same


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)
