"""A model's own weights in other number formats: how large they are, and what a round trip does to them."""

from __future__ import annotations

import re

import numpy as np
import torch

from model_runtime.model import Model
from model_runtime.numbers.weight_rows import sum_of_squares
from model_runtime.records.formats import FORMATS, NumberFormat
from model_runtime.records.weights import RoundTrip, WeightRanges

LOWEST, HIGHEST = -40, 16  # powers of two; the ends hold what lies beyond
ROUND_TRIPS: tuple[str, ...] = ("fp16", "bf16", "e4m3", "e5m2")
_CHUNK = 2**24  # numbers at a time, so that a large model needs little memory besides its own
_LAYER = re.compile(r"\.(\d+)\.")


def weight_ranges(model: Model) -> WeightRanges:
    """Count the weights of a model by size and send them through each format and back.

    Weights are compared as float32; a tied matrix is counted once. Casts are torch's: to the nearest, ties to
    even; e4m3 stops at 448, where "above" counts what was larger.
    """
    groups: dict[str, list[torch.Tensor]] = {}
    for name, parameter in model.hf_model.named_parameters():
        layer = _LAYER.search(f".{name}")
        group = f"layer {layer[1]}" if layer else "outside the layers"
        groups.setdefault(group, []).append(parameter.detach().reshape(-1))
    names = sorted(groups, key=lambda name: int(name.removeprefix("layer ")) if name[-1].isdigit() else -1)
    counts = np.zeros((len(names), HIGHEST - LOWEST + 1), dtype=np.int64)
    sizes, largest, squares = (np.zeros(len(names)) for _ in range(3))
    lost = {key: np.zeros((len(names), 4)) for key in ROUND_TRIPS}
    for row, name in enumerate(names):
        for weights in (chunk.float() for tensor in groups[name] for chunk in tensor.split(_CHUNK)):
            counts[row] += count_sizes(weights)
            sizes[row] += len(weights)
            largest[row] = max(largest[row], float(weights.abs().max()))
            squares[row] += sum_of_squares(weights)
            for key in ROUND_TRIPS:
                lost[key][row] += round_trip(weights, FORMATS[key])
    whole = sizes.astype(np.int64)
    trips = {}
    for key, table in lost.items():
        above, subnormal, gone = table[:, :3].T.astype(np.int64)
        error = np.sqrt(np.divide(table[:, 3], squares, out=np.zeros(len(names)), where=squares > 0))
        trips[key] = RoundTrip(above, subnormal, gone, error)
    return WeightRanges(tuple(names), LOWEST, counts, whole - counts.sum(1), whole, largest, trips)


def count_sizes(weights: torch.Tensor) -> np.ndarray:
    """How many weights [n] have each size, int64 [exponent]: 2^e <= |w| < 2^(e+1), e from `LOWEST` on."""
    sizes = weights.abs()
    present = sizes[sizes > 0]
    # frexp gives m 2^e with m from 1/2 to 1, so the power of two below is e - 1.
    exponents = (torch.frexp(present).exponent - 1).clamp(LOWEST, HIGHEST) - LOWEST
    return torch.bincount(exponents, minlength=HIGHEST - LOWEST + 1).cpu().numpy()


def round_trip(weights: torch.Tensor, number_format: NumberFormat) -> tuple[int, int, int, float]:
    """Weights [n], float32, cast to a format and back: to the nearest, ties to even (IEEE 754-2019, 4.3.1).

    Returns:
        How many are above the largest number, below the smallest normal one, and set to 0; and the squared
        error of those that are not above.
    """
    dtype = getattr(torch, str(number_format.torch_dtype))
    stored = weights.to(dtype).float()  # [n]
    sizes = weights.abs()
    above = sizes > float(number_format.largest)  # infinity now, or in e4m3 its largest number
    subnormal = (sizes > 0) & (sizes < float(number_format.smallest_normal))
    gone = (stored == 0) & (sizes > 0)
    off = torch.where(above, 0.0, stored - weights)
    return int(above.sum()), int(subnormal.sum()), int(gone.sum()), sum_of_squares(off)
