"""Infini-attention by formula: a window of exact keys and values, and a memory that never grows.

Munkhdalai, Faruqui and Gopal 2024 (arXiv:2404.07143): each head attends within a segment and, before it moves
on, adds the segment's keys and values to a matrix, M += phi(K)^T V, and to a vector, z += sum of phi(K); what
is older is read from them as phi(Q) M / (phi(Q) z). Nothing here is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model_runtime.attention.cost import cache_bytes
from model_runtime.records import ModelSpec


@dataclass(frozen=True)
class InfiniSizes:
    """Sizes for one model, had it this attention.

    segment: tokens kept exactly. head_numbers: of one head's memory, d_head^2 + d_head. heads: memories in
    all layers together, one for each key and value head. segment_bytes, memory_bytes: of all of them in the
    model's dtype.
    """

    segment: int
    head_numbers: int
    heads: int
    segment_bytes: int
    memory_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.segment_bytes + self.memory_bytes


def infini_sizes(spec: ModelSpec, segment: int) -> InfiniSizes:
    """Bytes that Infini-attention would keep in this model, whatever the length of the text.

    The published models have a memory for each head; where heads share keys and values, here one for each
    key and value head.
    """
    numbers = spec.d_head * spec.d_head + spec.d_head
    heads = spec.n_layers * spec.n_kv_heads
    itemsize = getattr(torch, spec.dtype).itemsize
    return InfiniSizes(segment, numbers, heads, cache_bytes(spec, segment), numbers * heads * itemsize)


def pays_from(spec: ModelSpec, segment: int) -> int:
    """The length from which the plain cache is larger than segment and memory together.

    Layers with a sliding window keep the window in both; where every layer has one the answer is 0: never.
    """
    total = infini_sizes(spec, segment).total_bytes
    low, high = 0, 1
    while cache_bytes(spec, high) <= total:
        low, high = high, 2 * high
        if high > 2**40:
            return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cache_bytes(spec, middle) <= total else (low, middle)
    return high
