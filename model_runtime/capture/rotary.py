"""Rotary positions: edits of the rotation, and rotary modules that no longer change themselves.

transformers' rotary modules of type `dynamic` and `longrope` write to their own buffers in every forward.
On a model shared by threads that gives wrong rotations without an error, so their forward is replaced by
one that works on a private copy and gives what a freshly loaded model would.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

CosSin = tuple[torch.Tensor, torch.Tensor]
_MAX_MODULES = 16  # rebuilt rotary modules kept per model; each is a few hundred bytes


@dataclass(frozen=True)
class RopeEdit:
    """What a request changes about the rotation; the defaults change nothing."""

    base: float | None = None  # another theta
    ntk_factor: float = 1.0  # theta times factor^(d/(d-2)): "NTK-aware" (Peng et al. 2023, section 3.1)
    linear_factor: float = (
        1.0  # frequencies divided by it, as if positions were (Chen et al. 2023, section 3)
    )
    offset: int = 0  # added to every position
    off: bool = False  # every token at position 0, so that nothing rotates


def rope_angles(edit: RopeEdit, n_tokens: int, d_rotary: int, base: float) -> torch.Tensor:
    """How far each pair turns at each position, radians, [pos, pair] (Su et al. 2021, section 3.2.2).

    The formula, made to be read. What runs is the family's own module under the same edit (`RopeEditor`),
    which may scale the rotation besides.
    """
    base = base if edit.base is None else edit.base
    if edit.ntk_factor != 1.0:  # the fastest pair keeps its angle, the slowest is divided by the factor
        base = base * edit.ntk_factor ** (d_rotary / (d_rotary - 2))
    frequencies = base ** (-torch.arange(0, d_rotary, 2) / d_rotary) / edit.linear_factor  # [pair]
    positions = torch.zeros(n_tokens) if edit.off else torch.arange(n_tokens) + edit.offset  # [pos]
    return torch.outer(positions, frequencies)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """(x1, x2) -> (-x2, x1) for the two halves of the last axis."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate [head, pos, d_head] by cos and sin [pos, d_rotary]; what lies beyond d_rotary passes.

    RoPE (Su et al. 2021, arXiv:2104.09864, section 3.4.2) in the split-halves layout: entry m of the first
    half and entry m of the second half form the pair that turns by position x frequency m. So cos and sin
    hold every pair's number twice.
    """
    turning, passing = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    turned = (turning * cos + rotate_half(turning) * sin).to(x.dtype)  # [head, pos, d_rotary]
    return torch.cat((turned, passing), dim=-1) if passing.shape[-1] else turned


def _private_copy(rotary: nn.Module) -> nn.Module:
    """A copy with buffers of its own, which may be written to; the original is only read."""
    private = copy.copy(rotary)
    private.__dict__["_buffers"] = {
        name: None if value is None else value.clone() for name, value in rotary._buffers.items()
    }
    private.__dict__.pop("forward", None)
    return private


def changes_itself(rotary: nn.Module) -> bool:
    types: Any = getattr(rotary, "rope_type", "default")
    names = types.values() if isinstance(types, dict) else (types,)
    return any("dynamic" in name or name == "longrope" for name in names)


def read_anew(parameters: dict[str, Any], trained: int, before: int, after: int) -> bool:
    """Whether a text that grows from `before` to `after` tokens turns its earlier keys otherwise.

    Keys in a cache were turned when they were read. Longrope has other frequencies beyond its first length,
    dynamic RoPE at every length beyond the `trained` one: a forward of the whole text has all keys alike.
    """
    kind = str(parameters.get("rope_type"))
    if kind == "longrope":
        return before <= int(parameters["original_max_position_embeddings"]) < after
    return "dynamic" in kind and after > trained


def stateless(rotary: nn.Module, *args: Any, **kwargs: Any) -> CosSin:
    """The forward of a self-changing module, on a private copy."""
    return _private_copy(rotary)(*args, **kwargs)


class RopeEditor:
    """Computes cos and sin of one model under a `RopeEdit`. Thread-safe.

    A changed base is computed by a rotary module of the family's own class, built from a config with
    that base, so the result equals a model edited by hand to the bit.
    """

    def __init__(self, rotary: nn.Module, config: Any) -> None:
        self._rotary, self._config = rotary, config
        self._built: OrderedDict[tuple[float | None, float], nn.Module] = OrderedDict()
        self._lock = threading.Lock()

    def cos_sin(
        self, edit: RopeEdit, x: torch.Tensor, position_ids: torch.Tensor, *layer_type: Any
    ) -> CosSin:
        """cos and sin [1, pos, d_rotary] for these positions, in the dtype the family uses."""
        module = _private_copy(self._module(edit.base, edit.ntk_factor))
        positions = position_ids * 0 if edit.off else position_ids + edit.offset
        plain: CosSin = module(x, positions, *layer_type)
        if edit.linear_factor == 1.0:
            return plain
        # The forward above set the frequencies for this length, where that matters (dynamic, longrope).
        # transformers' decorator would set them again: the function inside it only multiplies.
        for name, value in module._buffers.items():
            if value is not None and name.endswith("inv_freq"):
                module._buffers[name] = value / edit.linear_factor
        scaled: CosSin = inspect.unwrap(type(module).forward)(module, x, positions, *layer_type)
        return scaled

    def _module(self, base: float | None, ntk_factor: float) -> nn.Module:
        if base is None and ntk_factor == 1.0:
            return self._rotary
        with self._lock:
            key = (base, ntk_factor)
            if key not in self._built:
                self._built[key] = self._build(base, ntk_factor)
                if len(self._built) > _MAX_MODULES:
                    self._built.popitem(last=False)
            self._built.move_to_end(key)
            return self._built[key]

    def _build(self, base: float | None, ntk_factor: float) -> nn.Module:
        config = copy.deepcopy(self._config)
        parameters = config.rope_parameters
        sets = [parameters] if "rope_type" in parameters else [p for p in parameters.values() if p]
        d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        for one in sets:
            d_rotary = int(d_head * one.get("partial_rotary_factor", 1.0))
            theta = one["rope_theta"] if base is None else base
            one["rope_theta"] = theta * ntk_factor ** (d_rotary / (d_rotary - 2))
        device = next(iter(self._rotary.buffers())).device
        return type(self._rotary)(config=config).to(device)
