"""Weights in other formats: counts and errors against numpy, on real models."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from model_runtime.numbers.weights import LOWEST, ROUND_TRIPS
from model_runtime.numbers.weights import weight_ranges as ranges_of_model
from model_runtime.records.formats import FORMATS
from model_runtime.records.weights import WeightRanges
from tests.tiny_models import build_model


def weight_ranges(hf_model: nn.Module) -> WeightRanges:
    return ranges_of_model(SimpleNamespace(hf_model=hf_model))  # type: ignore[arg-type]  # all that is read


class Two(nn.Module):
    """Weights whose sizes are known."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1, 1, bias=False)])
        self.layers[0].weight = nn.Parameter(torch.tensor(values))
        self.top = nn.Parameter(torch.tensor([1.0]))


def test_counts_by_hand() -> None:
    ranges = weight_ranges(Two([0.0, 0.5, -0.75, 1.0, 70000.0, 1e-5, 1e-9]))
    assert ranges.names == ("outside the layers", "layer 0")
    row = ranges.counts[1]
    assert row[-1 - LOWEST] == 2  # 0.5 and 0.75
    assert row[0 - LOWEST] == 1
    assert (ranges.zeros[1], ranges.sizes[1], ranges.largest[1]) == (1, 7, 70000.0)
    fp16 = ranges.trips["fp16"]
    assert (fp16.above[1], fp16.subnormal[1], fp16.gone[1]) == (1, 2, 1)
    assert ranges.trips["bf16"].above[1] == 0
    assert ranges.trips["e4m3"].above[1] == 1
    assert (ranges.trips["e4m3"].subnormal[1], ranges.trips["e4m3"].gone[1]) == (2, 2)
    assert ranges.counts.sum() + ranges.zeros.sum() == ranges.sizes.sum() == 8


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_a_round_trip_is_numpy_s(family: str) -> None:
    model = build_model(family)
    ranges = weight_ranges(model)
    assert ranges.sizes.sum() == sum(parameter.numel() for parameter in model.parameters())
    group = [
        parameter.detach().numpy().ravel()
        for name, parameter in model.named_parameters()
        if ".1." in f".{name}"
    ]
    weights = np.concatenate(group)
    stored = weights.astype(np.float16).astype(np.float32)
    expected = np.linalg.norm((stored - weights).astype(np.float64)) / np.linalg.norm(
        weights.astype(np.float64)
    )
    at = ranges.names.index("layer 1")
    assert ranges.trips["fp16"].error[at] == pytest.approx(expected, rel=1e-9)
    assert ranges.sizes[at] == len(weights)


def test_a_round_trip_moves_no_weight_by_more_than_half_a_gap() -> None:
    ranges = weight_ranges(build_model("llama"))
    for key in ROUND_TRIPS:
        # Half a gap is at most epsilon / 2 of a normal number; a subnormal one may lose all of itself.
        bound = float(FORMATS[key].epsilon) / 2 if not ranges.trips[key].subnormal.sum() else 1
        assert (ranges.trips[key].error <= bound).all()
        assert (ranges.trips[key].error > 0).all()
    errors = [ranges.trips[key].error.max() for key in ("fp16", "bf16", "e4m3")]
    assert errors == sorted(errors)


def test_a_tied_head_is_counted_once() -> None:
    model = build_model("gpt2")
    assert model.lm_head.weight is model.transformer.wte.weight
    assert weight_ranges(model).sizes.sum() == sum(p.numel() for p in model.parameters())
