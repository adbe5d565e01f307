"""Head measures and stream contributions, on patterns small enough to work out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from model_runtime import Model, Trace, head_measures, stream_contributions
from model_runtime.attention import measures
from model_runtime.capture.attention_function import AttentionCall
from model_runtime.errors import NotCaptured
from model_runtime.interventions import CutEdge
from model_runtime.run import open_run
from tests.open_runs import run_with
from tests.tiny_models import build_model, tiny_tokenizer

IDS = (9, 80, 12, 80, 31, 9)  # position 3 repeats 1, position 5 repeats 0


def model_of(case: str = "llama") -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


def with_pattern(trace: Trace, patterns: list[np.ndarray]) -> Trace:
    """The trace as if every head of layer 0 had one of these patterns: scores are their logarithms."""
    n = len(patterns[0])
    query = torch.zeros(1, len(patterns), n, n)
    for head, pattern in enumerate(patterns):
        query[0, head] = torch.tensor(pattern).clamp_min(1e-30).log()
    key = torch.eye(n)[None, None].expand(1, len(patterns), n, n)
    call = AttentionCall(query, key, key, None, None, 1.0, None, None, True, False, query.device)
    return dataclasses.replace(trace, layers=(0,), calls={0: call})


def rows_to(columns: list[int]) -> np.ndarray:
    """A pattern whose query q puts everything on key columns[q]."""
    return np.eye(len(columns), dtype=np.float32)[columns]


def test_measures_of_patterns_made_by_hand() -> None:
    trace = model_of().trace(IDS)
    uniform = np.tril(np.ones((6, 6), dtype=np.float32))
    uniform /= uniform.sum(1, keepdims=True)
    patterns = [
        rows_to([0, 0, 1, 2, 3, 4]),  # the token before
        rows_to([0, 0, 0, 0, 0, 0]),  # the first token
        rows_to([0, 1, 2, 2, 4, 1]),  # what followed the token's last occurrence
        rows_to([0, 1, 2, 1, 4, 0]),  # the token's last occurrence
        uniform,
    ]
    found = head_measures(run_with(with_pattern(trace, patterns)))
    assert found.layers == (0,)
    assert found.n_repeated == 2
    np.testing.assert_allclose(found.previous_token[0, :4], [1, 1 / 5, 1 / 5, 0], atol=1e-6)
    np.testing.assert_allclose(found.first_token[0, :4], [1 / 5, 1, 0, 1 / 5], atol=1e-6)
    np.testing.assert_allclose(found.induction[0, :4], [1 / 2, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(found.duplicate_token[0, :4], [0, 1 / 2, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.mean_distance[0, :2], [5 / 6, 15 / 6], atol=1e-6)
    np.testing.assert_allclose(found.entropy[0, :4], 0, atol=1e-6)
    # Uniform over 1 to 6 tokens: entropy is the mean of ln n.
    np.testing.assert_allclose(found.entropy[0, 4], np.log(np.arange(1, 7)).mean(), rtol=1e-6)
    np.testing.assert_allclose(found.mean_distance[0, 4], np.mean([q / 2 for q in range(6)]), rtol=1e-6)


@pytest.mark.parametrize("case", ["llama", "gemma2", "gpt_oss", "gpt2", "mistral"])
def test_measures_agree_with_the_patterns_of_the_trace(case: str) -> None:
    trace = model_of(case).trace(IDS)
    found = head_measures(run_with(trace))
    assert found.entropy.shape == (3, 4)
    assert found.entropy.dtype == np.float32
    for layer in range(3):
        pattern = trace.get("pattern", layer).astype(np.float64)
        previous = np.mean([pattern[:, q, q - 1] for q in range(1, 6)], axis=0)
        np.testing.assert_allclose(found.previous_token[layer], previous, atol=1e-6)
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.nansum(pattern * np.log(pattern), axis=-1).mean(-1)
        np.testing.assert_allclose(found.entropy[layer], entropy, atol=1e-5)
        duplicate = (pattern[:, 3, 1] + pattern[:, 5, 0]) / 2
        np.testing.assert_allclose(found.duplicate_token[layer], duplicate, atol=1e-6)
        induction = (pattern[:, 3, 2] + pattern[:, 5, 1]) / 2
        np.testing.assert_allclose(found.induction[layer], induction, atol=1e-6)


def test_undefined_measures_are_nan_and_one_token_is_no_error() -> None:
    model = model_of()
    found = head_measures(run_with(model.trace((5, 6, 7))))
    assert found.n_repeated == 0
    assert np.isnan(found.induction).all()
    assert np.isnan(found.duplicate_token).all()
    assert np.isfinite(found.previous_token).all()
    one = head_measures(run_with(model.trace((5,))))
    assert (one.entropy == 0).all()
    assert np.isnan(one.previous_token).all()


def test_measures_of_some_layers_and_positions() -> None:
    model = model_of()
    found = head_measures(run_with(model.trace(IDS, layers=(1,), positions=(3, 5))))
    pattern = model.trace(IDS).get("pattern", 1)
    assert found.layers == (1,)
    expected = (pattern[:, 3, 2] + pattern[:, 5, 4]) / 2
    np.testing.assert_allclose(found.previous_token[0], expected, atol=1e-6)
    with pytest.raises(NotCaptured, match="pattern"):
        head_measures(run_with(model.trace(IDS, points=["resid_post"])))


@pytest.mark.parametrize("case", ["llama", "gemma2", "olmo2", "gpt_neox", "gpt2", "mixtral"])
def test_contributions_are_lengths_of_what_is_added(case: str) -> None:
    model = model_of(case)
    found = stream_contributions(open_run(model, IDS))
    trace = model.trace(IDS, points=["resid_pre", "attn_out", "mlp_out", "resid_post", "ln_final"])
    for name in ("resid_pre", "attn_out", "mlp_out", "resid_post"):
        expected = np.linalg.norm(trace.get(name), axis=-1)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-5)
    expected = np.linalg.norm(trace.get("ln_final"), axis=-1)
    np.testing.assert_allclose(found.ln_final, expected, rtol=1e-5)


@pytest.mark.parametrize("case", ["llama", "mistral", "gemma2", "gpt_oss"])
@pytest.mark.parametrize("positions", [None, (1, 4, 7, 11)])
def test_blocks_of_queries_give_the_measures_of_all_at_once(
    case: str, positions: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut edges of queries in other blocks included."""
    cuts = (CutEdge(1, None, 11, 11), CutEdge(1, 2, 7, 6), CutEdge(1, 0, 1, 1))
    trace = model_of(case).trace(IDS * 2, positions=positions, interventions=cuts)
    whole = head_measures(run_with(trace))
    for cells in (1, 4 * 3 * 5):  # one query at a time; several blocks of several queries
        monkeypatch.setattr(measures, "_CELLS", cells)
        found = head_measures(run_with(trace))
        for name in measures._MEASURES:
            np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_the_measures_of_a_long_prompt_hold_little_at_a_time() -> None:
    queries = list(range(8192))
    blocks = list(measures._blocks(queries, 32, torch.device("cpu")))
    assert [start for start, _ in blocks] == [0, *(stop for _, stop in blocks)][:-1]
    assert blocks[-1][1] == 8192
    assert max(32 * (stop - start) * stop for start, stop in blocks) * 4 <= 2 * 2**20
