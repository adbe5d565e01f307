"""A model's own weights in other number formats: how large they are, and what a round trip does to them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_runtime.numbers.formats import FORMATS
from model_runtime.numbers.weight_rows import sum_of_squares

LOWEST, HIGHEST = -40, 16  # powers of two; the ends hold what lies beyond
ROUND_TRIPS: tuple[str, ...] = ("fp16", "bf16", "e4m3", "e5m2")
_CHUNK = 2**24  # numbers at a time, so that a large model needs little memory besides its own
_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """What a format does to the weights of each group (rows as in `WeightRanges.names`).

    Counts are int64 [group]: `above` the largest number, `subnormal` below the smallest normal one, `gone` to
    zero (also counted as subnormal). error float64 [group]: |stored - weight| / |weight| over the group, of
    those that stay finite.
    """

    above: np.ndarray
    subnormal: np.ndarray
    gone: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class WeightRanges:
    """Sizes of all weights by layer.

    counts int64 [group, exponent]: weights with 2^e <= |w| < 2^(e+1), e from `LOWEST` to `HIGHEST`.
    zeros, sizes int64 [group]; largest float64 [group].
    """

    names: tuple[str, ...]  # "embedding and head", "layer 0", ...
    counts: np.ndarray
    zeros: np.ndarray
    sizes: np.ndarray
    largest: np.ndarray
    trips: dict[str, RoundTrip]

    @property
    def nbytes(self) -> int:
        return int(self.counts.nbytes + 8 * len(self.names) * (3 + 4 * len(self.trips)))


def weight_ranges(hf_model: Any) -> WeightRanges:
    """Count the weights of a model by size and send them through each format and back.

    Weights are compared as float32; a tied matrix is counted once. Casts are torch's: to the nearest, ties to
    even; e4m3 stops at 448, where "above" counts what was larger.
    """
    names: list[str] = []
    tallies: list[_Tally] = []
    for group, tensor in _grouped(hf_model):
        if group not in names:
            names.append(group)
            tallies.append(_Tally())
        for chunk in tensor.detach().reshape(-1).split(_CHUNK):
            tallies[names.index(group)].add(chunk.float())
    order = sorted(range(len(names)), key=lambda i: _rank(names[i]))
    return _collected([names[i] for i in order], [tallies[i] for i in order])


def _grouped(hf_model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in hf_model.named_parameters():
        layer = _LAYER.search(f".{name}")
        yield (f"layer {layer[1]}" if layer else "outside the layers"), parameter


def _rank(name: str) -> int:
    return int(name.removeprefix("layer ")) if name.startswith("layer ") else -1


class _Tally:
    """Running counts of one group."""

    def __init__(self) -> None:
        self.counts = torch.zeros(HIGHEST - LOWEST + 1, dtype=torch.int64)
        self.zeros = self.size = 0
        self.largest = self.squares = 0.0
        self.trips = {key: [0, 0, 0, 0.0] for key in ROUND_TRIPS}  # above, subnormal, gone, squared error

    def add(self, weights: torch.Tensor) -> None:
        sizes = weights.abs()
        present = sizes[sizes > 0]
        # frexp gives m 2^e with m from 1/2 to 1, so the power of two below is e - 1.
        exponents = (torch.frexp(present).exponent - 1).clamp(LOWEST, HIGHEST) - LOWEST
        self.counts += torch.bincount(exponents, minlength=len(self.counts)).cpu()
        self.zeros += weights.numel() - present.numel()
        self.size += weights.numel()
        self.largest = max(self.largest, float(sizes.max()))
        self.squares += sum_of_squares(weights)
        for key in ROUND_TRIPS:
            self._add_trip(key, weights, sizes)

    def _add_trip(self, key: str, weights: torch.Tensor, sizes: torch.Tensor) -> None:
        row, trip = FORMATS[key], self.trips[key]
        assert row.torch_dtype is not None
        stored = weights.to(getattr(torch, row.torch_dtype)).float()
        above = sizes > float(row.largest)
        off = torch.where(above, 0.0, stored - weights)
        trip[0] += int(above.sum())
        trip[1] += int(((sizes > 0) & (sizes < float(row.smallest_normal))).sum())
        trip[2] += int(((stored == 0) & (sizes > 0)).sum())
        trip[3] += sum_of_squares(off)


def _collected(names: list[str], tallies: list[_Tally]) -> WeightRanges:
    def column(key: str, place: int) -> np.ndarray:
        return np.array([tally.trips[key][place] for tally in tallies], dtype=np.int64)

    def error(key: str) -> np.ndarray:
        return np.array(
            [math.sqrt(t.trips[key][3] / t.squares) if t.squares else 0.0 for t in tallies], dtype=np.float64
        )

    return WeightRanges(
        tuple(names),
        torch.stack([tally.counts for tally in tallies]).numpy(),
        np.array([tally.zeros for tally in tallies], dtype=np.int64),
        np.array([tally.size for tally in tallies], dtype=np.int64),
        np.array([tally.largest for tally in tallies], dtype=np.float64),
        {key: RoundTrip(column(key, 0), column(key, 1), column(key, 2), error(key)) for key in ROUND_TRIPS},
    )
