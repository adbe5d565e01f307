"""Weights in 8 or 4 bits: rounded to a grid of whole numbers, with a scale for each group of them.

    scheme = QuantScheme(bits=4, kind="zero_point", group=32)
    packed = quantize(weight, scheme)          # codes, scales, zero points
    near = dequantize(packed)                  # float32, the shape of `weight`

    model_with_4_bits = quantized(model, scheme, layers=(3,))   # a model of its own; `model` stays as it is

absmax: w = s c, c from -(2^(b-1) - 1) to 2^(b-1) - 1, s = max |w| / (2^(b-1) - 1).
zero_point: w = s (c - z), c and z from 0 to 2^b - 1, s = (max - min) / (2^b - 1), where the range is
widened to hold 0, so that 0 stays 0.

Sources: Jacob et al. 2018 (arXiv:1712.05877), section 2.1, for the zero point; Dettmers et al. 2022
(arXiv:2208.07339), section 2.1, for both; groups of 32 to 128 as in GPTQ (Frantar et al. 2022) and GGUF.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from model_runtime.errors import SettingError
from model_runtime.model import Model
from model_runtime.numbers.weight_rows import sum_of_squares

GROUPS: tuple[str, ...] = ("tensor", "channel", "128", "64", "32")
KINDS: tuple[str, ...] = ("absmax", "zero_point")
_SCALE_BYTES, _ZERO_BYTES = 2, 1  # a scale is kept as fp16, a zero point in a byte
_TRANSPOSED = ("Conv1D", "GptOssExperts")  # classes whose matrices are [in, out]


@dataclass(frozen=True)
class QuantScheme:
    """How numbers are packed.

    `group`: which numbers share a scale: "tensor" (all), "channel" (one output's row), or that many
    neighbours of a row ("128", "64", "32").

    Raises:
        SettingError: a width, kind or group that does not exist.
    """

    bits: int = 8
    kind: str = "absmax"
    group: str = "channel"

    def __post_init__(self) -> None:
        if self.bits not in (4, 8) or self.kind not in KINDS or self.group not in GROUPS:
            raise SettingError(
                f"There is no quantization with {self.bits} bits, {self.kind!r}, groups of {self.group!r}.",
                f"Choose 4 or 8 bits, one of {', '.join(KINDS)}, and a group of {', '.join(GROUPS)}.",
            )

    @property
    def levels(self) -> tuple[int, int]:
        """The least and the largest code.

        >>> QuantScheme(4, "absmax").levels, QuantScheme(4, "zero_point").levels
        ((-7, 7), (0, 15))
        """
        top: int = 2 ** (self.bits - 1) - 1
        return (-top, top) if self.kind == "absmax" else (0, 2**self.bits - 1)


@dataclass(frozen=True, eq=False)
class Packed:
    """Quantized numbers.

    codes int16 [group, member], scales and zeros float32 [group, 1]: a number is scale x (code - zero).
    The rest says how they were cut: rows [row, width] of the weight's last axis, padded to whole groups.
    """

    scheme: QuantScheme
    codes: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    shape: tuple[int, ...]
    width: int  # numbers of a row that are real; the rest of its last group is padding

    @property
    def n_groups(self) -> int:
        return len(self.scales)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return packed_bytes(self.shape, self.scheme)


def packed_bytes(shape: Sequence[int], scheme: QuantScheme) -> int:
    """Bytes of packed numbers [..., in]: the codes, and a scale (and a zero point) a group. No padding."""
    rows, width = math.prod(shape[:-1]), shape[-1]
    n_groups = {"tensor": 1, "channel": rows}.get(scheme.group)
    if n_groups is None:
        n_groups = rows * math.ceil(width / int(scheme.group))
    constants = _SCALE_BYTES + (_ZERO_BYTES if scheme.kind == "zero_point" else 0)
    return math.ceil(rows * width * scheme.bits / 8) + n_groups * constants


def quantize(
    weight: torch.Tensor, scheme: QuantScheme, ends: tuple[torch.Tensor, torch.Tensor] | None = None
) -> Packed:
    """Numbers [..., in] rounded to the scheme's grid. Scales are rounded to fp16 first, as they are kept.

    Nearest code, ties to even. A group of equal numbers, or of zeros, loses nothing but its scale's rounding.

    Args:
        ends: least and largest number of the whole matrix, where `weight` is some rows of it and one scale
            serves all of them (group "tensor"); other groups do not need it.
    """
    rows, width = in_groups(weight.detach().float(), scheme.group)
    if ends is None or scheme.group != "tensor":
        ends = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    low, high = scheme.levels
    if scheme.kind == "absmax":
        scales = (torch.maximum(-ends[0], ends[1]) / high).half().float()
        zeros = torch.zeros_like(scales)
    else:
        least, most = ends[0].clamp(max=0), ends[1].clamp(min=0)
        scales = ((most - least) / high).half().float()
        zeros = in_steps(-least, scales).round().clamp(low, high)
    codes = (in_steps(rows, scales).round() + zeros).clamp(low, high).to(torch.int16)
    return Packed(scheme, codes, scales, zeros, tuple(weight.shape), width)


def in_steps(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """numbers / scales; 0 where the scale is 0, because all of the group is."""
    return torch.where(scales > 0, numbers / scales, torch.zeros_like(numbers))


def dequantize(packed: Packed) -> torch.Tensor:
    """The numbers that a packed weight stands for, float32, in the weight's own shape."""
    numbers = packed.scales * (packed.codes - packed.zeros)
    if packed.scheme.group == "tensor":
        return numbers.reshape(packed.shape)
    n_rows = math.prod(packed.shape[:-1])
    return numbers.reshape(n_rows, -1)[:, : packed.width].reshape(packed.shape)


def in_groups(weight: torch.Tensor, group: str) -> tuple[torch.Tensor, int]:
    """[..., in] as [group, member]; the last group of a row is filled up with its last number."""
    width = weight.shape[-1]
    if group == "tensor":
        return weight.reshape(1, -1), width
    rows = weight.reshape(-1, width)
    if group == "channel":
        return rows, width
    size = int(group)
    if spare := -width % size:
        rows = torch.cat((rows, rows[:, -1:].expand(-1, spare)), dim=1)
    return rows.reshape(-1, size), width


# Models


def block_matrices(
    model: Model, layers: Sequence[int] | None = None
) -> Iterator[tuple[str, int, nn.Parameter, bool]]:
    """Every matrix of the blocks: name, layer, weight, and whether it is kept as [in, out].

    Norms, biases, routers, embeddings and the head are left out: they are small, or looked up.
    """
    for layer, block in enumerate(model.adapter.blocks):
        if layers is not None and layer not in layers:
            continue
        router: Any = model.adapter.layer_roles[layer]["router"]
        kept = (
            {id(parameter) for parameter in router.parameters()} if isinstance(router, nn.Module) else set()
        )
        for path, module in block.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() >= 2 and not name.endswith("bias") and id(parameter) not in kept:
                    dotted = f"{path}.{name}" if path else name
                    yield dotted, layer, parameter, type(module).__name__ in _TRANSPOSED


@dataclass(frozen=True)
class QuantReport:
    """What packing did to the weights: numbers, bytes before and after, and the error of all together."""

    n_weights: int
    bytes_before: int
    bytes_after: int
    error: float  # |near - weight| / |weight| over all
    errors_by_layer: tuple[float, ...]  # NaN for layers left alone

    @property
    def bits(self) -> float:
        """Bits a weight, scales and zero points counted."""
        return 8 * self.bytes_after / self.n_weights


def quantized(
    model: Model, scheme: QuantScheme, layers: Sequence[int] | None = None
) -> tuple[Model, QuantReport]:
    """A model whose blocks' matrices went through the scheme and back; it shares everything else.

    Args:
        layers: only these; None all.
    """
    names = {id(parameter): name for name, parameter in model.hf_model.named_parameters()}
    weights: dict[str, torch.Tensor] = {}
    squares = torch.zeros(len(model.adapter.blocks), 2, dtype=torch.float64)
    n, before, after = 0, 0, 0
    for _, layer, parameter, transposed in block_matrices(model, layers):
        matrix = parameter.detach().transpose(-1, -2) if transposed else parameter.detach()
        packed = quantize(matrix, scheme)
        near = dequantize(packed).to(parameter.dtype)
        squares[layer, 0] += sum_of_squares(near.float() - matrix.float())
        squares[layer, 1] += sum_of_squares(matrix)
        weights[names[id(parameter)]] = near.transpose(-1, -2).contiguous() if transposed else near
        n, before = n + parameter.numel(), before + parameter.numel() * parameter.element_size()
        after += packed.n_bytes
    errors = (squares[:, 0] / squares[:, 1]).sqrt()  # 0 / 0 is NaN: a layer left alone
    total = squares.sum(0)
    report = QuantReport(n, before, after, float((total[0] / total[1]).sqrt()), tuple(errors.tolist()))
    label = f"{scheme.bits}-bit {scheme.kind} {scheme.group}"
    return model.with_weights(weights, label), report
