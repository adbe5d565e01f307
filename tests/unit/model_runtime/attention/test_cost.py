"""Costs: counted by hand, fitted on curves that are known, and stopped where they must be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from model_runtime import (
    Model,
    cache_bytes,
    layer_types,
    measure_cost,
    multiplications,
    projection_sizes,
    score_counts,
)
from model_runtime.attention import cost
from model_runtime.attention.cost import fit_cost
from model_runtime.attention.formulas import GPT3, linear_pays_from
from model_runtime.errors import PromptError
from model_runtime.limits import Limits
from tests.tiny_models import build_model, tiny_tokenizer

IDS = (9, 80, 12)


def model_of(case: str = "llama") -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


@pytest.mark.parametrize("window", [None, 1, 3, 7, 20])
def test_scores_are_the_cells_of_the_mask(window: int | None) -> None:
    for n in (1, 2, 7, 12):
        cells = np.tri(n) - (0 if window is None else np.tri(n, k=-window))
        assert score_counts(n, window) == cells.sum()


def test_cache_of_multi_head_grouped_and_multi_query() -> None:
    spec = model_of().spec  # 3 layers, 4 heads on 2 kv heads of 8, float32
    assert cache_bytes(spec, 10) == 2 * 3 * 10 * 2 * 8 * 4
    assert cache_bytes(spec, 10, spec.n_heads) == 2 * cache_bytes(spec, 10)
    assert cache_bytes(spec, 10, 1) == cache_bytes(spec, 10) // 2
    half = dataclasses.replace(spec, dtype="bfloat16")
    assert cache_bytes(half, 10) == cache_bytes(spec, 10) // 2


def test_the_cache_is_what_the_model_keeps() -> None:
    model = model_of()
    _, state = model.step(IDS)
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in state.cache.layers)
    assert cache_bytes(model.spec, 3) == kept


def test_a_sliding_window_bounds_the_cache_of_its_layers() -> None:
    spec = model_of("gemma2").spec  # windows of 6 in layers 0 and 2
    per_token = 2 * spec.n_kv_heads * spec.d_head * 4
    assert cache_bytes(spec, 5) == 15 * per_token
    assert cache_bytes(spec, 20) == (6 + 20 + 6) * per_token


def test_a_known_curve_is_found() -> None:
    lengths = (64, 128, 256, 512, 1024)
    fit = fit_cost(lengths, [1e-3 + 2e-5 * n + 3e-8 * n * n for n in lengths])
    assert fit is not None
    np.testing.assert_allclose((fit.a, fit.b, fit.c, fit.r2), (1e-3, 2e-5, 3e-8, 1), rtol=1e-6)
    assert fit.at(2048) == pytest.approx(1e-3 + 2e-5 * 2048 + 3e-8 * 2048**2)
    assert fit.squared_share(1000) == pytest.approx(0.03 / (0.001 + 0.02 + 0.03))
    line = fit_cost(lengths, [float(n) for n in lengths])
    assert line is not None
    assert line.squared_share(1000) == pytest.approx(0, abs=1e-9)
    falling = fit_cost(lengths, [5.0, 4.0, 3.0, 2.0, 1.0])
    assert falling is not None
    assert (falling.b, falling.c) == (0, 0)
    assert fit_cost(lengths[:3], (1, 2, 3)) is None


def test_a_measurement_of_a_tiny_model() -> None:
    model = model_of("mistral")
    found = measure_cost(model, IDS, (40, 8, 16, 32, 64, 400), layer=1, seconds=3)
    assert found.lengths == (8, 16, 32, 40, 64)
    assert "reads at most 128 tokens" in found.stopped
    assert all(second > 0 for second in (*found.forward_seconds, *found.attention_seconds))
    assert found.n_scores == tuple(score_counts(n, 6) for n in found.lengths)
    assert found.score_bytes == tuple(n * n * 4 * 4 for n in found.lengths)
    assert found.attention_fit is not None
    assert found.forward_fit is not None
    assert (found.layer, found.n_heads, found.dtype) == (1, 4, "float32")
    assert found.threads == torch.get_num_threads()


def test_it_stops_for_the_apps_limit_the_memory_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    limited = measure_cost(model, IDS, (8, 16, 32), limits=Limits(max_prompt_tokens=20), seconds=1)
    assert limited.lengths == (8, 16)
    assert "traces at most 20" in limited.stopped
    assert limited.attention_fit is None
    hurried = measure_cost(model, IDS, (8, 16, 32), seconds=0)
    assert hurried.lengths == ()
    assert "too long" in hurried.stopped
    monkeypatch.setattr(cost, "free_memory", lambda device: 50_000)
    small = measure_cost(model, IDS, (8, 16, 32), seconds=1)
    assert small.lengths == (8, 16)
    assert "GB" in small.stopped
    with pytest.raises(PromptError):
        measure_cost(model, ())


@pytest.mark.parametrize("case", ["gemma2", "gpt_oss", "gpt2"])
def test_other_families_are_measured_too(case: str) -> None:
    assert measure_cost(model_of(case), IDS, (8, 16), seconds=1).lengths == (8, 16)


def test_multiplications_and_where_linear_attention_pays() -> None:
    assert multiplications("full", 10, 8) == 2 * 8 * 55
    assert multiplications("window", 10, 8, window=2) == 2 * 8 * 19
    assert multiplications("linear", 10, 8) == 10 * (2 * 64 + 8)
    for d_head in (8, 64, 128):
        n = linear_pays_from(d_head)
        assert multiplications("linear", n, d_head) < multiplications("full", n, d_head)
        assert multiplications("linear", n - 1, d_head) >= multiplications("full", n - 1, d_head)


def test_layer_types_of_vaswanis_table() -> None:
    attention, recurrent, convolution, restricted = layer_types(n=81, d=10, kernel=3, window=27)
    assert (attention.operations, attention.sequential, attention.path) == (81 * 81 * 10, 1, 1)
    assert (recurrent.operations, recurrent.sequential, recurrent.path) == (81 * 100, 81, 81)
    assert (convolution.operations, convolution.sequential, convolution.path) == (3 * 81 * 100, 1, 4)
    assert (restricted.operations, restricted.sequential, restricted.path) == (27 * 81 * 10, 1, 3)
    assert [row.path for row in layer_types(n=1, d=4)] == [1, 1, 1, 1]


def test_sizes_of_the_attention_matrices() -> None:
    assert math.prod(GPT3.head_shapes["W_q"]) == 1_572_864
    assert math.prod(GPT3.shapes["W_o"]) == 150_994_944
    assert GPT3.total == 57_982_058_496  # a third of its 175 billion weights


@pytest.mark.parametrize("case", ["llama", "qwen3", "gpt2", "gpt_neox", "opt"])
def test_sizes_are_those_of_the_loaded_weights(case: str) -> None:
    model = model_of(case)
    sizes = projection_sizes(model.spec)
    weights = sum(p.numel() for m in model.adapter.attentions for p in m.parameters() if p.dim() == 2)
    assert sizes.total == weights
    assert sizes.shapes["W_o"] == tuple(model.adapter.output_projection(0)[0].shape)
