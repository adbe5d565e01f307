"""The rotation that a GGUF file states, as Hugging Face's `rope_parameters`.

llama.cpp knows a base, one rule of scaling by name, and divisors of the frequencies as a tensor. Whatever a
file states is turned into parameters that give the same frequencies, or the file is refused.

Sources: llama.cpp, src/llama-model.cpp and ggml/src/ggml-cpu/ops.cpp (rope); convert_hf_to_gguf.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from model_runtime.loading.gguf_file import GgufFile
from model_runtime.loading.gguf_stated import Stated
from model_runtime.loading.gguf_table import Architecture

DEFAULT_BASE = 10_000.0  # llama.cpp's, where a file states none
# Llama 3.1 and later: (low_freq_factor, high_freq_factor, original_max_position_embeddings). The file holds
# only the divisors that these give; they get their own name where these are what was meant.
LLAMA3 = (1.0, 4.0, 8192)

Parameters = dict[str, Any]


def rope_parameters(file: GgufFile, row: Architecture, stated: Stated, config: dict[str, Any]) -> Parameters:
    """`rope_parameters` for the config, one set or one for each kind of layer.

    Args:
        config: what is known of it; `head_dim` and `max_position_embeddings` are read.
    """
    base = stated.number("rope.freq_base", DEFAULT_BASE)
    common: Parameters = {"rope_theta": base}
    d_head, d_rotary = config["head_dim"], stated.whole("rope.dimension_count", config["head_dim"])
    if d_rotary != d_head:
        factor = d_rotary / d_head
        if not row.partial_rotation or d_rotary > d_head or d_rotary % 2:
            stated.refuse("rope.dimension_count", f"while its heads are {d_head:,} wide")
        # The library rounds d_head * factor down.
        common["partial_rotary_factor"] = factor if int(d_head * factor) == d_rotary else factor + 1e-9
    scaled = common | _scaling(file, row, stated, d_rotary, config["max_position_embeddings"])
    if not row.two_bases:
        return scaled
    window_base = stated.number("rope.freq_base_swa", DEFAULT_BASE)
    return {
        "full_attention": scaled,
        "sliding_attention": {"rope_type": "default", "rope_theta": window_base},
    }


def _scaling(file: GgufFile, row: Architecture, stated: Stated, d_rotary: int, context: int) -> Parameters:
    """The rule of scaling with its numbers."""
    factor = stated.number("rope.scaling.factor", 0.0) or stated.number("rope.scale_linear", 0.0)
    trained = stated.whole("rope.scaling.original_context_length", context)
    attention = stated.number("rope.scaling.attn_factor", 1.0)
    attention *= stated.number("rope.scaling.yarn_attn_factor", 1.0)
    kind = stated.text("rope.scaling.type", "linear" if factor else "none")
    divisors = {name: _divisors(file, name, d_rotary, stated) for name in ("freqs", "factors_long")}
    short = _divisors(file, "factors_short", d_rotary, stated)
    long = divisors["factors_long"]
    if (long is None) != (short is None):
        absent = "rope_factors_short.weight" if short is None else "rope_factors_long.weight"
        stated.refuse_tensor(absent, "which belongs to the other of the pair")
    if kind == "yarn" and long is None and divisors["freqs"] is None:
        return _yarn(row, stated, factor, trained, attention)
    if long is not None and short is not None and kind in ("none", "longrope"):
        return _by_divisors(short, long, attention, trained)
    if kind == "longrope" or (long is not None and kind != "none"):
        stated.refuse("rope.scaling.type", "without the divisors that belong to it")
    if attention != 1.0:
        stated.refuse("rope.scaling.attn_factor", f"with the rule {kind!r}")
    if divisors["freqs"] is not None:
        if kind == "linear" and factor not in (0.0, 1.0):
            stated.refuse("rope.scaling.factor", "beside divisors of its own (rope_freqs.weight)")
        return _named_llama3(stated, divisors["freqs"], d_rotary, context)
    if kind == "linear" and factor not in (0.0, 1.0):
        return {"rope_type": "linear", "factor": factor}
    if kind not in ("linear", "none"):
        stated.refuse("rope.scaling.type", "a rule that is not known here")
    return {"rope_type": "default"}


def _divisors(file: GgufFile, name: str, d_rotary: int, stated: Stated) -> np.ndarray | None:
    """The divisors of the frequencies in the tensor `rope_<name>.weight`, one a pair; None without one."""
    tensor = file.tensors.get(f"rope_{name}.weight")
    if tensor is None:
        return None
    if tensor.shape != (d_rotary // 2,):
        stated.refuse_tensor(
            tensor.name, f"which does not hold one number for each of {d_rotary // 2:,} pairs"
        )
    values = file.read(tensor)
    if not (np.isfinite(values).all() and (values > 0).all()):
        stated.refuse_tensor(tensor.name, "with numbers that divide nothing")
    return values


def _yarn(row: Architecture, stated: Stated, factor: float, trained: int, attention: float) -> Parameters:
    if factor < 1.0:
        stated.refuse("rope.scaling.type", "without a factor of 1 or more (rope.scaling.factor)")
    found: Parameters = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": trained,
        "beta_fast": stated.number("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": stated.number("rope.scaling.yarn_beta_slow", 1.0),
        "truncate": row.yarn_truncates,
    }
    if attention != 1.0:  # llama.cpp multiplies it with YaRN's own
        found["attention_factor"] = attention * (0.1 * math.log(factor) + 1.0)
    return found


def _by_divisors(short: np.ndarray, long: np.ndarray, attention: float, trained: int) -> Parameters:
    """Explicit divisors of the frequencies: `short` up to `trained` tokens, `long` beyond."""
    return {
        "rope_type": "longrope",
        "short_factor": [float(one) for one in short],
        "long_factor": [float(one) for one in long],
        "factor": 1.0,
        "attention_factor": attention,
        "original_max_position_embeddings": trained,
    }


def _named_llama3(stated: Stated, divisors: np.ndarray, d_rotary: int, context: int) -> Parameters:
    """`rope_freqs.weight`: by Llama 3's rule where that gives these divisors, else as they stand."""
    low, high, trained = LLAMA3
    factor = round(float(divisors.max()), 4)
    base = stated.number("rope.freq_base", DEFAULT_BASE)
    turns = trained / (2 * math.pi * base ** (np.arange(0, d_rotary, 2) / d_rotary))  # within the old length
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    if factor > 1.0 and np.allclose(1 / ((1 - smooth) / factor + smooth), divisors, rtol=1e-5):
        return {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": trained,
        }
    return _by_divisors(divisors, divisors, 1.0, context)
