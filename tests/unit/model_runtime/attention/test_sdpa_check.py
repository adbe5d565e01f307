"""The check against torch's function: it holds, it says where it cannot apply, and it fails when it must."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from model_runtime import Model
from model_runtime.attention import sdpa_check as module
from model_runtime.attention.sdpa_check import sdpa_check
from model_runtime.interventions import CutEdge
from tests.open_runs import run_with
from tests.tiny_models import build_model, tiny_tokenizer

IDS = tuple(range(10, 30))


def model_of(case: str = "llama", dtype: torch.dtype = torch.float32) -> Model:
    hf_model = build_model(case).to(dtype)
    return Model(hf_model, tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_it_holds_in_the_models_dtype(dtype: torch.dtype) -> None:
    trace = model_of(dtype=dtype).trace(IDS, interventions=CutEdge(1, 0, 5, 4))
    check = sdpa_check(run_with(trace), 1)
    assert check.applies
    assert check.ok
    assert check.dtype == str(dtype).removeprefix("torch.")
    assert check.n_values == 4 * 20 * 8
    assert (check.largest_error < 1e-5) == (dtype == torch.float32)


def test_blocks_of_queries_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = model_of("mistral").trace(IDS, positions=(1, 7, 19))
    whole = sdpa_check(run_with(trace), 0)
    monkeypatch.setattr(module, "_CELLS", 1)  # one query at a time
    one_by_one = sdpa_check(run_with(trace), 0)
    assert one_by_one.ok
    assert whole.n_values == one_by_one.n_values == 4 * 3 * 8


def test_what_torch_cannot_compute_is_said() -> None:
    soft_capped, sink = (sdpa_check(run_with(model_of(case).trace(IDS)), 0) for case in ("gemma2", "gpt_oss"))
    assert (soft_capped.applies, soft_capped.ok, soft_capped.n_values) == (False, True, 0)
    assert "soft-capped at 2" in soft_capped.reason
    assert "sink" in sink.reason


def test_a_wrong_stage_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = model_of().trace(IDS)
    right = module.pattern_and_sink

    def without_mask(call, head):  # type: ignore[no-untyped-def]
        return right(dataclasses.replace(call, mask=torch.ones(1, 1, 20, 20, dtype=torch.bool)), head)

    monkeypatch.setattr(module, "pattern_and_sink", without_mask)
    assert not sdpa_check(run_with(trace), 0).ok


def test_nan_is_not_equal() -> None:
    trace = model_of().trace(IDS)
    call = trace.call(0)
    broken = dataclasses.replace(call, value=torch.full_like(call.value, math.nan))
    check = sdpa_check(run_with(dataclasses.replace(trace, calls={0: broken})), 0)
    assert check.applies
    assert not check.ok
