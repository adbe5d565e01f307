"""What quantization does to a layer's matrices, to 32 weights looked at closely, and to the next token.

    errors = layer_errors(model, layer=3)          # all twenty schemes, and GGUF's two kinds of blocks
    look = close_look(model, 3, "mlp.down_proj.weight", QuantScheme(4, "absmax", "tensor"))
    effect = effect_of(open_run(model, "The quick"), QuantScheme(4), layers=(3,))   # its next token

Nothing here keeps a second model: `effect_of` makes one, runs it once and lets it go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime import steps
from model_runtime.capture.hooks import let_go
from model_runtime.errors import SettingError
from model_runtime.limits import in_gib
from model_runtime.loading.device import free_memory
from model_runtime.model import Model
from model_runtime.numbers.gguf_blocks import BLOCK, BLOCK_BYTES
from model_runtime.numbers.quantization import (
    GROUPS,
    KINDS,
    QuantReport,
    QuantScheme,
    block_matrices,
    dequantize,
    packed_bytes,
    quantize,
    quantized,
)
from model_runtime.numbers.weight_rows import chunk_weights, row_chunks, sum_of_squares
from model_runtime.records.weights import CloseLook, Strip
from model_runtime.run import OpenRun, Turn

SCHEMES: tuple[QuantScheme, ...] = tuple(
    QuantScheme(bits, kind, group) for bits in (4, 8) for kind in KINDS for group in GROUPS
)
_WORK_BYTES = 32  # a number of the largest matrix, while it is packed and compared
MOST_WEIGHTS = 20_000_000  # of a layer are packed in every way, a few seconds of work


@dataclass(frozen=True, eq=False)
class LayerErrors:
    """Errors |near - weight| / |weight| of one layer's matrices under every scheme.

    errors float64 [scheme, matrix], rows as in `SCHEMES`; total and bits (bits per weight, scales and zero
    points counted) float64 [scheme], over all matrices. `blocks`: GGUF kind -> (bits per weight, error), for
    layers whose rows are whole blocks of 32. The errors were measured on every `step`-th row of each matrix.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]  # weights of each matrix
    errors: np.ndarray
    total: np.ndarray
    bits: np.ndarray
    blocks: dict[str, tuple[float, float]]
    step: int = 1

    @property
    def nbytes(self) -> int:
        return int(self.errors.nbytes + self.total.nbytes + self.bits.nbytes) + 64 * len(self.names)


def matrices_of(model: Model, layer: int) -> dict[str, torch.Tensor]:
    """The matrices of a layer as quantization cuts them, [..., out, in], by name; views, not copies."""
    return {
        name: parameter.detach().transpose(-1, -2) if transposed else parameter.detach()
        for name, _, parameter, transposed in block_matrices(model, (layer,))
    }


def matrix_shapes(model: Model, layer: int) -> dict[str, tuple[int, int]]:
    """Rows, and weights in a row, of a layer's matrices by name; experts' rows are counted through."""
    matrices = matrices_of(model, layer)
    return {name: (math.prod(m.shape[:-1]), m.shape[-1]) for name, m in matrices.items()}


def step_for(n_weights: int) -> int:
    """1 where so many weights are measured in full; else n: every n-th row is, some `MOST_WEIGHTS` in all.

    Odd, so that with heads of 64 or 128 rows each place in a head has its turn.
    """
    step = math.ceil(n_weights / MOST_WEIGHTS)
    return step + 1 - step % 2 if step > 1 else 1


def layer_errors(model: Model, layer: int) -> LayerErrors:
    """Pack every matrix of a layer in every way and measure. About a second for four million weights.

    A few rows at a time, so that hardly any memory is needed. Of a layer of more than `MOST_WEIGHTS` every
    n-th row of each matrix is measured (`step_for`); a scale for the whole tensor still comes from all rows.

    Raises:
        SettingError: not even that much memory is free.
    """
    matrices = matrices_of(model, layer)
    _check_work_room(model, matrices.values())
    sizes = tuple(matrix.numel() for matrix in matrices.values())
    step = step_for(sum(sizes))
    off, own = np.zeros((len(SCHEMES), len(matrices))), np.zeros(len(matrices))
    for column, matrix in enumerate(matrices.values()):
        ends = ends_of(matrix)
        for _, rows in row_chunks(matrix, step):
            own[column] += sum_of_squares(rows)
            for number, scheme in enumerate(SCHEMES):
                steps.step()
                near = dequantize(quantize(rows, scheme, ends)).to(matrix.dtype)
                off[number, column] += sum_of_squares(near.float() - rows)
    n_bytes = [sum(packed_bytes(m.shape, scheme) for m in matrices.values()) for scheme in SCHEMES]
    blocks = {kind: _block_error(list(matrices.values()), kind, step) for kind in BLOCK_BYTES}
    floor = np.finfo(np.float64).tiny
    return LayerErrors(
        tuple(matrices),
        sizes,
        np.sqrt(off / np.maximum(own, floor)),
        np.sqrt(off.sum(1) / max(own.sum(), floor)),
        8 * np.array(n_bytes) / sum(sizes),
        {kind: error for kind, error in blocks.items() if error},
        step,
    )


def ends_of(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and largest number of a whole matrix, float32 [1, 1]."""
    ends = [torch.aminmax(rows) for _, rows in row_chunks(matrix)]
    least, most = (torch.stack([end[i] for end in ends]) for i in (0, 1))
    return least.min().reshape(1, 1), most.max().reshape(1, 1)


def _block_error(matrices: Sequence[torch.Tensor], kind: str, step: int = 1) -> tuple[float, float] | None:
    """Bits per weight and error of GGUF blocks, packed by the `gguf` package; None where rows do not fit."""
    from gguf import GGMLQuantizationType, quants

    if any(matrix.shape[-1] % BLOCK for matrix in matrices):
        return None
    off = own = 0.0
    for matrix in matrices:
        for _, rows in row_chunks(matrix, step):
            steps.step()
            weight = rows.cpu().numpy()
            near = quants.dequantize(
                quants.quantize(weight, GGMLQuantizationType[kind]), GGMLQuantizationType[kind]
            )
            off += float(np.square(near.astype(np.float64) - weight).sum())
            own += float(np.square(weight, dtype=np.float64).sum())
    return 8 * BLOCK_BYTES[kind] / BLOCK, math.sqrt(off / own) if own else 0.0


# Thirty-two weights


def close_look(model: Model, layer: int, name: str, scheme: QuantScheme) -> CloseLook:
    """Two short strips of a matrix under a scheme; a few rows are held at a time.

    Raises:
        SettingError: the layer has no matrix of this name, or not even that much memory is free.
    """
    matrices = matrices_of(model, layer)
    if name not in matrices:
        raise SettingError(f"Layer {layer} has no matrix {name!r}.", f"Choose one of {', '.join(matrices)}.")
    matrix = matrices[name]
    _check_work_room(model, [matrix])
    step, size = step_for(matrix.numel()), min(BLOCK, matrix.shape[-1])
    ends = ends_of(matrix)
    row, column = _place_of_largest(matrix, float(torch.maximum(-ends[0], ends[1])))
    strips = [_strip(matrix, row, column // size * size, size, scheme, ends)]
    gone, n, tops, numbers = 0, 0, [], []
    for first, rows in row_chunks(matrix, step):
        near = dequantize(quantize(rows, scheme, ends))
        gone, n = gone + int(((near == 0) & (rows != 0)).sum()), n + rows.numel()
        whole = rows[:, : rows.shape[1] // size * size].reshape(len(rows), -1, size)
        tops.append(whole.abs().amax(-1).cpu())
        numbers.append(first + step * np.arange(len(rows)))
    strip, block = _place_of_median(torch.cat(tops))
    strips.append(_strip(matrix, int(np.concatenate(numbers)[strip]), block * size, size, scheme, ends))
    return CloseLook(strips[0], strips[1], gone / n, step)


def _place_of_largest(matrix: torch.Tensor, size: float) -> tuple[int, int]:
    """Row and column of the first weight that is `size` or -`size`."""
    for first, rows in row_chunks(matrix):
        found = (rows.abs() == size).reshape(-1)
        if bool(found.any()):
            row, column = divmod(int(found.int().argmax()), rows.shape[1])
            return first + row, column
    return 0, 0  # of no number at all


def _place_of_median(tops: torch.Tensor) -> tuple[int, int]:
    """Row and column of the lower median of a table."""
    flat = tops.reshape(-1)
    median = flat.kthvalue((len(flat) - 1) // 2 + 1).values
    return divmod(int((flat == median).int().argmax()), tops.shape[1])


def _row_of(matrix: torch.Tensor, row: int) -> torch.Tensor:
    """One row [in] of a matrix, float32; rows of stacked experts are counted through."""
    place = tuple(int(i) for i in np.unravel_index(row, matrix.shape[:-1]))
    return matrix[place].float()


def _strip(
    matrix: torch.Tensor,
    row: int,
    start: int,
    size: int,
    scheme: QuantScheme,
    ends: tuple[torch.Tensor, torch.Tensor],
) -> Strip:
    weights = _row_of(matrix, row)
    packed = quantize(weights[None], scheme, ends)
    group = start // int(scheme.group) if scheme.group.isdecimal() else 0
    cut = slice(start, start + size)
    return Strip(
        row,
        start,
        weights[cut].cpu().numpy().copy(),
        dequantize(packed)[0, cut].cpu().numpy().copy(),
        packed.codes.reshape(-1)[: len(weights)][cut].cpu().numpy().astype(np.int64),
        float(packed.scales[group]),
        float(packed.zeros[group]),
        scheme.levels,
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
    return _row_of(matrix, row)[start : start + n].cpu().numpy().copy()


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
    _require(needed, model, "Packing", "Quantize the selected layer alone, or choose a smaller model.")


def _check_work_room(model: Model, matrices: Iterable[torch.Tensor]) -> None:
    """As `check_room`, for what takes a few rows of one matrix at a time."""
    most = max((chunk_weights(matrix) for matrix in matrices), default=0)
    _require(
        _WORK_BYTES * most, model, "Measuring", "Wait until other work is done, or choose a smaller model."
    )


def _require(needed: int, model: Model, work: str, remedy: str) -> None:
    free = free_memory(model.device)
    if needed > free:
        raise SettingError(
            f"{work} this needs {in_gib(needed)} beside the model; {in_gib(free)} of memory is free.", remedy
        )


def effect_of(
    run: OpenRun, scheme: QuantScheme, layers: tuple[int, ...] | None = None, turn: Turn = nullcontext
) -> QuantEffect:
    """Pack the matrices of `layers` (None: all), run the prompt once, keep the logits.

    Args:
        turn: around the forward pass alone, for servers.

    Raises:
        SettingError: not enough memory.
        PromptError, InterventionError: as `Model.trace`.
    """
    check_room(run.model, layers)
    twin, report = quantized(run.model, scheme, layers)
    try:
        with turn():
            trace = twin.trace(run.prompt, points=(), interventions=run.interventions)
        return QuantEffect(report, trace.next_token_logits())
    finally:
        let_go(twin.hf_model)
