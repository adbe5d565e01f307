"""Rows of a layer's heads, their overlap, and the sizes of Infini-attention, on tiny models of every "
"family."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.attention.cost import cache_bytes
from model_runtime.attention.infini import infini_sizes, pays_from
from model_runtime.attention.layer_rows import head_overlap, layer_rows, overlap_of
from model_runtime.errors import PointUnavailable
from model_runtime.model import Model
from tests.open_runs import run_with
from tests.pages.specs import spec_of
from tests.tiny_models import FAMILY_CASES, TEXT, tiny_model


def model_of(case: str) -> Model:
    hf_model, tokenizer = tiny_model(case)
    return Model(hf_model, tokenizer, model_id=case, name=case, revision="local")


@pytest.mark.parametrize("case", sorted(FAMILY_CASES))
def test_rows_are_those_of_the_whole_patterns(case: str) -> None:
    trace = model_of(case).trace(TEXT)
    last = len(trace.tokens) - 1
    try:
        whole = trace.get("pattern", layer=1)
    except PointUnavailable:
        pytest.skip("no patterns in this family")
    rows = layer_rows(run_with(trace), 1, [last, 2])
    np.testing.assert_allclose(rows.pattern, whole[:, [last, 2]], atol=1e-6)
    assert rows.queries == (last, 2)
    assert rows.nbytes >= rows.pattern.nbytes
    if rows.sink is not None:
        np.testing.assert_allclose(rows.sink, trace.get("sink_weight", layer=1)[:, [last, 2]], atol=1e-6)


def test_the_overlap_leaves_the_first_token_out() -> None:
    trace = model_of("llama").trace(TEXT)
    found = head_overlap(run_with(trace), 1)
    whole = trace.get("pattern", layer=1)[:, 1:, :].astype(np.float64)
    a, b = whole[0, :, 1:], whole[3, :, 1:]
    expected = 2 * np.minimum(a, b).sum() / (a.sum() + b.sum())
    assert found.overlap[0, 3] == pytest.approx(expected, abs=1e-6)
    assert found.overlap[0, 3] == found.overlap[3, 0]
    np.testing.assert_allclose(np.diag(found.overlap), 1, atol=1e-6)
    assert found.n_queries == len(trace.tokens) - 1
    assert found.first_share == pytest.approx(whole[:, :, 0].mean(), abs=1e-6)
    assert head_overlap(run_with(trace), 1, most_queries=3).n_queries == 3


def test_overlap_by_hand_and_of_a_prompt_of_one_token() -> None:
    reads = np.array([[[0.2, 0.8]], [[0.6, 0.2]], [[0.0, 0.0]]])
    found = overlap_of(reads)
    assert found[0, 1] == pytest.approx(2 * (0.2 + 0.2) / 1.8)
    assert found[0, 2] == 0
    assert np.isnan(found[2, 2])
    one = head_overlap(run_with(model_of("llama").trace([5])), 0)
    assert one.n_queries == 1
    assert np.isnan(one.overlap).all()
    assert one.first_share == 1


def test_infini_sizes_by_hand() -> None:
    spec = spec_of(n_kv_heads=1, d_head=8, n_layers=2)
    sizes = infini_sizes(spec, segment=10)
    assert (sizes.head_numbers, sizes.heads) == (8 * 8 + 8, 2)
    assert sizes.memory_bytes == 72 * 2 * 4
    assert sizes.segment_bytes == cache_bytes(spec, 10) == 2 * 10 * 2 * 8 * 4
    n = pays_from(spec, 10)
    assert cache_bytes(spec, n - 1) <= sizes.total_bytes < cache_bytes(spec, n)
