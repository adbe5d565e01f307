"""Matrices of weights, a few rows at a time: what is made of them stays small, however large they are.

for first, rows in row_chunks(matrix, step=3):     # rows first, first + 3, first + 6, ... of the matrix
    total += sum_of_squares(rows)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

CHUNK = 2**17  # weights at a time; as float32 they fit into a core's cache


def planes(matrix: torch.Tensor) -> list[torch.Tensor]:
    """A matrix or stack of matrices [..., out, in] as [row, in], without a copy of what is large.

    Stacked matrices that are kept the other way round cannot be one table of rows: they come one by one.
    """
    if matrix.is_contiguous():
        return [matrix.reshape(-1, matrix.shape[-1])]
    return list(matrix.flatten(0, -3)) if matrix.dim() > 2 else [matrix]


def row_chunks(matrix: torch.Tensor, step: int = 1) -> Iterator[tuple[int, torch.Tensor]]:
    """Every `step`-th row of a matrix [..., out, in], float32 [row, in], about `CHUNK` weights at a time.

    Before each chunk the number of its first row; rows of stacked matrices are counted through.
    """
    at_once = max(1, CHUNK // matrix.shape[-1]) * step
    before = 0
    for plane in planes(matrix):
        for first in range(0, len(plane), at_once):
            rows = plane[first : first + at_once : step]
            yield before + first, rows.to(torch.float32, memory_format=torch.contiguous_format)
        before += len(plane)


def chunk_weights(matrix: torch.Tensor) -> int:
    """How many weights of a matrix are taken at a time."""
    return min(matrix.numel(), max(CHUNK, matrix.shape[-1]))


def sum_of_squares(numbers: Any) -> float:
    """In float64; on the CPU where the device knows no such numbers (Apple's GPUs)."""
    numbers = numbers.detach()
    if numbers.device.type == "mps":
        numbers = numbers.cpu()
    return float(torch.linalg.vector_norm(numbers, dtype=torch.float64)) ** 2
