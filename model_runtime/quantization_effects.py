"""What quantization does to a layer's matrices, to 32 weights looked at closely, and to the next token.

    errors = layer_errors(model, layer=3)          # all twenty schemes, and GGUF's two kinds of blocks
    look = close_look(model, 3, "mlp.down_proj.weight", QuantScheme(4, "absmax", "tensor"))
    effect = effect_of(model, "The quick", QuantScheme(4), layers=(3,))   # logits of the packed model

Nothing here keeps a second model: `effect_of` makes one, runs it once and lets it go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_runtime.device import free_memory
from model_runtime.errors import SettingError
from model_runtime.gguf_blocks import BLOCK, BLOCK_BYTES
from model_runtime.interventions import Intervention
from model_runtime.limits import in_gib
from model_runtime.model import Model, Prompt
from model_runtime.quantization import (
    GROUPS,
    KINDS,
    Packed,
    QuantReport,
    QuantScheme,
    block_matrices,
    dequantize,
    quantize,
    quantized,
)

SCHEMES: tuple[QuantScheme, ...] = tuple(
    QuantScheme(bits, kind, group) for bits in (4, 8) for kind in KINDS for group in GROUPS
)
_WORK_BYTES = 32  # a number of the largest matrix, while it is packed and compared


@dataclass(frozen=True, eq=False)
class LayerErrors:
    """Errors |near - weight| / |weight| of one layer's matrices under every scheme.

    errors float64 [scheme, matrix], rows as in `SCHEMES`; total and bits (bits per weight, scales and zero
    points counted) float64 [scheme], over all matrices. `blocks`: GGUF kind -> (bits per weight, error), for
    layers whose rows are whole blocks of 32.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]  # weights of each matrix
    errors: np.ndarray
    total: np.ndarray
    bits: np.ndarray
    blocks: dict[str, tuple[float, float]]

    @property
    def nbytes(self) -> int:
        return int(self.errors.nbytes + self.total.nbytes + self.bits.nbytes) + 64 * len(self.names)


def matrices_of(model: Model, layer: int) -> dict[str, torch.Tensor]:
    """The matrices of a layer as quantization cuts them, [..., out, in], by name; views, not copies."""
    return {
        name: parameter.detach().transpose(-1, -2) if transposed else parameter.detach()
        for name, _, parameter, transposed in block_matrices(model, (layer,))
    }


def layer_errors(model: Model, layer: int) -> LayerErrors:
    """Pack every matrix of a layer in every way and measure. About a second for four million weights."""
    matrices = matrices_of(model, layer)
    off = np.zeros((len(SCHEMES), len(matrices)))
    own, n_bytes = np.zeros(len(matrices)), np.zeros(len(SCHEMES))
    for column, matrix in enumerate(matrices.values()):
        own[column] = float(matrix.double().square().sum())
        for row, scheme in enumerate(SCHEMES):
            packed = quantize(matrix, scheme)
            off[row, column] = _squares(dequantize(packed).to(matrix.dtype), matrix)
            n_bytes[row] += packed.n_bytes
    sizes = tuple(matrix.numel() for matrix in matrices.values())
    floor = np.finfo(np.float64).tiny
    return LayerErrors(
        tuple(matrices),
        sizes,
        np.sqrt(off / np.maximum(own, floor)),
        np.sqrt(off.sum(1) / max(own.sum(), floor)),
        8 * n_bytes / sum(sizes),
        {kind: error for kind in BLOCK_BYTES if (error := _block_error(list(matrices.values()), kind))},
    )


def _squares(near: torch.Tensor, weight: torch.Tensor) -> float:
    return float((near.double() - weight.double()).square().sum())


def _block_error(matrices: Sequence[torch.Tensor], kind: str) -> tuple[float, float] | None:
    """Bits per weight and error of GGUF blocks, packed by the `gguf` package; None where rows do not fit."""
    from gguf import GGMLQuantizationType, quants

    if any(matrix.shape[-1] % BLOCK for matrix in matrices):
        return None
    off = own = 0.0
    for matrix in matrices:
        weight = matrix.float().reshape(-1, matrix.shape[-1]).cpu().numpy()
        near = quants.dequantize(
            quants.quantize(weight, GGMLQuantizationType[kind]), GGMLQuantizationType[kind]
        )
        off += float(np.square(near.astype(np.float64) - weight).sum())
        own += float(np.square(weight, dtype=np.float64).sum())
    return 8 * BLOCK_BYTES[kind] / BLOCK, math.sqrt(off / own) if own else 0.0


# Thirty-two weights


@dataclass(frozen=True, eq=False)
class Strip:
    """Neighbours of one row, before and after: weights, near float32 [n], codes int64 [n].

    Level c of their grid is scale x (c - zero), c from levels[0] to levels[1].
    """

    row: int  # of the matrix; rows of stacked experts are counted through
    start: int  # column of the first
    weights: np.ndarray
    near: np.ndarray
    codes: np.ndarray
    scale: float
    zero: float
    levels: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return int(self.weights.nbytes + self.near.nbytes + self.codes.nbytes)


@dataclass(frozen=True, eq=False)
class CloseLook:
    """Up to 32 neighbours around the largest weight of a matrix, and 32 typical ones.

    Typical: the block whose largest weight is the median of all blocks' largest weights.
    """

    largest: Strip
    typical: Strip
    to_zero: float  # share of all weights of the matrix, 0 to 1, that were not 0 and became 0

    @property
    def nbytes(self) -> int:
        return self.largest.nbytes + self.typical.nbytes


def close_look(model: Model, layer: int, name: str, scheme: QuantScheme) -> CloseLook:
    """Two short strips of a matrix under a scheme.

    Raises:
        SettingError: the layer has no matrix of this name.
    """
    matrices = matrices_of(model, layer)
    if name not in matrices:
        raise SettingError(f"Layer {layer} has no matrix {name!r}.", f"Choose one of {', '.join(matrices)}.")
    matrix = matrices[name].float()
    packed = quantize(matrix, scheme)
    near = dequantize(packed).reshape(-1, matrix.shape[-1])
    rows = matrix.reshape(-1, matrix.shape[-1])
    size = min(BLOCK, rows.shape[1])
    n_blocks = rows.shape[1] // size
    tops = rows[:, : n_blocks * size].reshape(len(rows), n_blocks, size).abs().amax(-1).reshape(-1)
    order = torch.argsort(tops, stable=True)
    largest, typical = int(order[-1]), int(order[(len(order) - 1) // 2])
    gone = float(((near == 0) & (rows != 0)).double().mean())
    cut = [_strip(rows, near, packed, *divmod(place, n_blocks), size) for place in (largest, typical)]
    return CloseLook(cut[0], cut[1], gone)


def _strip(rows: torch.Tensor, near: torch.Tensor, packed: Packed, row: int, block: int, size: int) -> Strip:
    start = block * size
    group = packed.scheme.group
    per_row = 1 if group == "channel" else math.ceil(packed.width / int(group)) if group.isdecimal() else 0
    place = row * per_row + (start // int(group) if group.isdecimal() else 0)
    scale, zero = float(packed.scales[place]), float(packed.zeros[place])
    cut = slice(start, start + size)
    codes = np.rint(near[row, cut].cpu().numpy() / scale + zero) if scale else np.full(size, zero)
    return Strip(
        row,
        start,
        rows[row, cut].cpu().numpy().copy(),
        near[row, cut].cpu().numpy().copy(),
        codes.astype(np.int64),
        scale,
        zero,
        packed.scheme.levels,
    )


def row_strip(model: Model, layer: int, name: str, row: int, start: int, n: int = BLOCK) -> np.ndarray:
    """`n` neighbours of a row of a matrix, float32 [n]; rows of stacked experts are counted through.

    Raises:
        SettingError: the layer has no such matrix, or the matrix no such place.
    """
    matrix = matrices_of(model, layer).get(name)
    if matrix is None:
        raise SettingError(f"Layer {layer} has no matrix {name!r}.", "Choose one of its own.")
    n_rows = math.prod(matrix.shape[:-1])
    if not (0 <= row < n_rows and 0 <= start <= matrix.shape[-1] - n):
        raise SettingError(
            f"{name} has no {n} weights from column {start} of row {row} on.",
            f"It has {n_rows:,} rows of {matrix.shape[-1]:,} weights.",
        )
    place = tuple(int(i) for i in np.unravel_index(row, matrix.shape[:-1]))
    return matrix[place][start : start + n].float().cpu().numpy().copy()


# The next token


@dataclass(frozen=True, eq=False)
class QuantEffect:
    """What the packed model says: logits float32 [d_vocab] of the next token, and what packing did."""

    report: QuantReport
    logits: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(self.logits.nbytes) + 8 * len(self.report.errors_by_layer)


def check_room(model: Model, layers: Sequence[int] | None) -> None:
    """Refuse to pack more than free memory holds beside the model.

    Raises:
        SettingError: with both numbers.
    """
    sizes = [(p.numel(), p.element_size()) for _, _, p, _ in block_matrices(model, layers)]
    needed = sum(n * size for n, size in sizes) + _WORK_BYTES * max((n for n, _ in sizes), default=0)
    free = free_memory(model.device)
    if needed > free:
        raise SettingError(
            f"Packing this needs {in_gib(needed)} beside the model; {in_gib(free)} of memory is free.",
            "Quantize the selected layer alone, or choose a smaller model.",
        )


def effect_of(
    model: Model,
    prompt: Prompt,
    scheme: QuantScheme,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    turn: Any = None,
) -> QuantEffect:
    """Pack the matrices of `layers` (None: all), run the prompt once, keep the logits.

    Args:
        turn: a context manager factory around the forward pass alone, for servers.

    Raises:
        SettingError: not enough memory.
        PromptError, InterventionError: as `Model.trace`.
    """
    check_room(model, layers)
    twin, report = quantized(model, scheme, layers)
    if turn is None:
        trace = twin.trace(prompt, points=(), interventions=tuple(interventions))
    else:
        with turn():
            trace = twin.trace(prompt, points=(), interventions=tuple(interventions))
    return QuantEffect(report, trace.next_token_logits())
