"""One head taken apart, every family: against Hugging Face's attention output and torch's function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model, interventions, recombination_error, score_terms
from model_runtime.attention.masks import as_used, pattern_under
from model_runtime.attention.sdpa_check import sdpa_check
from model_runtime.attention.stages import head_stages
from model_runtime.errors import NotCaptured
from model_runtime.interventions import CutEdge, Patch, ScaleHead
from tests.open_runs import run_with
from tests.tiny_models import ALL_CASES, VOCABULARY, build_model, tiny_tokenizer

IDS = torch.randint(1, VOCABULARY, (24,), generator=torch.Generator().manual_seed(3)).tolist()
POINTS = ("pattern", "z", "attn_out")
CELLS = ((0, 0), (5, 3), (9, 1), (23, 23), (3, 9))
HALF = [torch.bfloat16, torch.float16]


def model_of(case: str, dtype: torch.dtype = torch.float32) -> Model:
    hf_model = build_model(case).to(dtype)
    return Model(hf_model, tiny_tokenizer(), model_id=case, name=case, revision="random")


def trace_of(model: Model, **options: Any) -> Any:
    return model.trace(IDS, points=POINTS, **options)


@pytest.mark.parametrize("case", ALL_CASES)
def test_stages_are_the_models_own(case: str) -> None:
    """Patterns to the bit; z to the bit of the eager model; what the heads add makes up attn_out."""
    model = model_of(case)
    trace, exact = trace_of(model), trace_of(model, exact=True)
    for layer in range(3):
        for head in range(4):
            stages = head_stages(run_with(trace, model), layer, head)
            np.testing.assert_array_equal(stages.pattern, trace.get("pattern", layer, head))
            np.testing.assert_array_equal(stages.scores, trace.get("attn_scores", layer, head))
            np.testing.assert_allclose(stages.z, trace.get("z", layer, head), atol=5e-6)
            z = head_stages(run_with(exact, model), layer, head).z
            np.testing.assert_allclose(z, exact.get("z", layer, head), atol=1e-6)
        scale = np.abs(trace.get("attn_out", layer)).max()
        error = recombination_error(run_with(trace, model), layer)
        if case in ("gemma2", "gemma3", "olmo2"):
            assert error is None, "a norm after attention mixes the heads"
        else:
            assert error is not None
            assert error < 2e-6 * scale, (layer, error)


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("case", ["llama", "gemma2", "gpt2", "gpt2-upcast", "opt", "gpt_neox", "gpt_oss"])
def test_stages_in_half_precision_are_the_models_own(case: str, dtype: torch.dtype) -> None:
    model = model_of(case, dtype)
    trace = trace_of(model, exact=True)
    eps = torch.finfo(dtype).eps
    stages = head_stages(run_with(trace, model), 1, 2)
    np.testing.assert_array_equal(stages.pattern, trace.get("pattern", 1, 2))
    z = trace.get("z", 1, 2)
    np.testing.assert_allclose(stages.z, z, atol=2 * eps * np.abs(z).max())
    error = recombination_error(run_with(trace, model), 1)
    assert error is None or error < 2 * eps * np.abs(trace.get("attn_out", 1)).max()
    assert stages.dtype == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize("case", ALL_CASES)
def test_each_stage_follows_from_the_one_before(case: str) -> None:
    model = model_of(case)
    trace, spec = trace_of(model), model.spec
    for layer, head in ((0, 0), (1, 3), (2, 2)):
        s = head_stages(run_with(trace, model), layer, head)
        assert s.kv_head == head // (spec.n_heads // spec.n_kv_heads)
        assert head in s.group
        assert len(s.group) * spec.n_kv_heads == spec.n_heads
        q, k, v = (x.astype(np.float64) for x in (s.q, s.k, s.v))
        np.testing.assert_allclose(s.dots, q @ k.T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(s.scaled, s.dots * s.scaling, rtol=1e-6)
        last = s.scaled if s.capped is None else s.capped
        if s.softcap is not None:
            np.testing.assert_allclose(last, np.tanh(s.scaled / s.softcap) * s.softcap, atol=1e-6)
        np.testing.assert_array_equal(s.scores, np.where(s.visible, last, -np.inf))
        total = s.pattern.sum(-1) + (0 if s.sink is None else s.sink)
        np.testing.assert_allclose(total, 1, atol=2e-6)
        np.testing.assert_allclose(s.z, s.pattern @ v, atol=1e-5)
        assert s.result.shape == (24, spec.d_model)
        assert s.w_o_shape == (spec.d_head, spec.d_model)
        rows, keys = np.arange(24)[:, None], np.arange(24)[None, :]
        window = spec.layers[layer].window or 24
        np.testing.assert_array_equal(s.visible, (keys <= rows) & (keys > rows - window))
        np.testing.assert_array_equal(as_used(run_with(trace), layer), s.visible)


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_equation_of_a_cell_gives_the_pattern(case: str) -> None:
    model = model_of(case)
    trace = trace_of(model)
    for layer in range(3):
        stages = head_stages(run_with(trace, model), layer, 1)
        for query_pos, key_pos in CELLS:
            terms = score_terms(stages, query_pos, key_pos)
            assert abs(terms.probability - stages.pattern[query_pos, key_pos]) < 1e-6
            assert abs(terms.dot - stages.dots[query_pos, key_pos]) < 1e-4
            assert terms.visible == stages.visible[query_pos, key_pos]
            assert (terms.sink_term > 0) == (case == "gpt_oss")
            np.testing.assert_array_equal(terms.products, terms.q * terms.k)


@pytest.mark.parametrize("case", ALL_CASES)
def test_chosen_queries_have_the_rows_of_all(case: str) -> None:
    model = model_of(case)
    trace, part = trace_of(model), model.trace(IDS, points=POINTS, positions=(2, 7, 23))
    whole = head_stages(run_with(trace, model), 1, 2)
    for few in (
        head_stages(run_with(trace, model), 1, 2, queries=(23, 2)),
        head_stages(run_with(part, model), 1, 2, queries=(23, 2)),
    ):
        assert few.queries.tolist() == [23, 2]
        for name in ("q", "dots", "scaled", "pattern", "visible", "z", "result"):
            np.testing.assert_allclose(getattr(few, name), getattr(whole, name)[[23, 2]], atol=1e-5)
        np.testing.assert_array_equal(few.k, whole.k)
        assert score_terms(few, 23, 4).probability == score_terms(whole, 23, 4).probability
    np.testing.assert_array_equal(head_stages(run_with(part, model), 1, 2).queries, (2, 7, 23))
    error = recombination_error(run_with(part, model), 0)
    assert error is None or error < 1e-4
    with pytest.raises(NotCaptured, match="no query 5"):
        head_stages(run_with(part, model), 1, 2, queries=5)


@pytest.mark.parametrize("case", ALL_CASES)
def test_edits_of_attention_are_in_the_stages(case: str) -> None:
    """A cut edge is not visible; a scaled head has the z and result after the scaling."""
    model = model_of(case)
    edits = (
        CutEdge(1, query_pos=9, key_pos=8, head=2),
        CutEdge(1, query_pos=9, key_pos=9, head=None),
        ScaleHead(1, 2, -0.5, positions=(4, 9)),
        ScaleHead(1, 2, 3.0),
    )
    trace = trace_of(model, interventions=edits)
    stages, other = head_stages(run_with(trace, model), 1, 2), head_stages(run_with(trace, model), 1, 3)
    assert not stages.visible[9, 8]
    assert not stages.visible[9, 9]
    assert other.visible[9, 8]
    assert other.z_factor is None
    assert as_used(run_with(trace), 1)[9, 8]
    assert not as_used(run_with(trace), 1, 2)[9, 8]
    assert stages.pattern[9, 8] == stages.pattern[9, 9] == 0
    assert score_terms(stages, 9, 8).probability == 0
    assert stages.z_factor is not None
    assert stages.z_factor[[3, 4, 9]].tolist() == [3.0, -1.5, -1.5]
    np.testing.assert_allclose(stages.z, trace.get("z", 1, 2), atol=1e-5)
    error = recombination_error(run_with(trace, model), 1)
    assert error is None or error < 1e-4
    assert sdpa_check(run_with(trace, model), 1).ok


def test_an_edit_of_attn_out_itself_is_no_sum_of_heads() -> None:
    model = model_of("llama")
    patch = Patch("attn_out", 1, 3, (1.0,) * 32)
    trace = trace_of(model, interventions=patch)
    assert recombination_error(run_with(trace, model), 1) is None
    assert recombination_error(run_with(trace, model), 0) is not None
    # A trace that did not keep attn_out is run again, edits included.
    cut = interventions.ScaleHead(0, 1)
    bare = model.trace(IDS, interventions=cut)
    kept = recombination_error(run_with(trace_of(model, interventions=cut), model), 0)
    assert recombination_error(run_with(bare, model), 0) == kept


@pytest.mark.parametrize("case", ALL_CASES)
def test_torchs_function_agrees_where_it_can_compute_the_layer(case: str) -> None:
    model = model_of(case)
    trace = trace_of(model)
    for layer in range(3):
        check = sdpa_check(run_with(trace, model), layer)
        assert check.applies == (case not in ("gemma2", "gpt_oss"))
        if check.applies:
            assert check.ok, check
            assert check.largest_error < 5e-6
            assert check.n_values == 4 * 24 * 8
        else:
            assert ("soft-capped at 2" in check.reason) == (case == "gemma2")


@pytest.mark.parametrize("case", ALL_CASES)
def test_other_masks_keep_caps_and_sinks(case: str) -> None:
    """Against the softmax written out here in float64, on the captured q and k."""
    model = model_of(case)
    trace = trace_of(model)
    config = model.hf_model.config
    for layer in range(3):
        s = head_stages(run_with(trace, model), layer, 1)
        scores = s.q.astype(np.float64) @ s.k.T.astype(np.float64) * s.scaling
        if cap := getattr(config, "attn_logit_softcapping", None):
            scores = np.tanh(scores / cap) * cap
        powers = np.exp(scores)
        sink = np.exp(float(model.adapter.attentions[layer].sinks[1].detach())) if case == "gpt_oss" else 0.0
        expected = powers / (powers.sum(-1, keepdims=True) + sink)
        found = pattern_under(run_with(trace), layer, 1, "bidirectional")
        np.testing.assert_allclose(found, expected, atol=2e-6)
        seen = np.tri(24) * powers
        causal = seen / (seen.sum(-1, keepdims=True) + sink)
        np.testing.assert_allclose(pattern_under(run_with(trace), layer, 1, "causal"), causal, atol=2e-6)
        few = pattern_under(run_with(trace), layer, 1, "prefix", prefix=5, queries=(3, 20))
        whole = pattern_under(run_with(trace), layer, 1, "prefix", prefix=5)
        np.testing.assert_allclose(few, whole[[3, 20]], atol=1e-6)
        assert (whole[3, :5] > 0).all()
        if window := model.spec.layers[layer].window:
            same = pattern_under(run_with(trace), layer, 1, "window", window=window)
            np.testing.assert_allclose(same, trace.get("pattern", layer, 1), atol=1e-6)
