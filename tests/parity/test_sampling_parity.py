"""Our sampling steps against transformers' processors: same kept sets, same scores to the bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from model_runtime.records import SamplingReport
from model_runtime.sampling.settings import DEFAULT_ORDER, SamplingSettings
from model_runtime.sampling.steps import final_distribution, sampling_steps

MAKERS = {
    "repetition": lambda s: RepetitionPenaltyLogitsProcessor(float(s.repetition_penalty)),
    "temperature": lambda s: TemperatureLogitsWarper(float(s.temperature)),
    "top_k": lambda s: TopKLogitsWarper(s.top_k),
    "top_p": lambda s: TopPLogitsWarper(s.top_p),
    "min_p": lambda s: MinPLogitsWarper(s.min_p),
    "typical_p": lambda s: TypicalLogitsWarper(s.typical_p),
}


def theirs(logits: np.ndarray, context: list[int], sampling: SamplingSettings) -> torch.Tensor:
    """transformers' scores after its processors, run in `sampling.order`. [d_vocab]"""
    names = [name for name in sampling.order if name in MAKERS and sampling.is_active(name)]
    processors = LogitsProcessorList([MAKERS[name](sampling) for name in names])
    return processors(torch.tensor([context]), torch.tensor(logits)[None])[0]


def with_our_choice_of_equals(expected: torch.Tensor, report: SamplingReport) -> torch.Tensor:
    """Of tokens with exactly equal scores at top-p's edge transformers keeps whichever its sort puts last.

    Above 16 tokens that sort is not stable and depends on the processor, so there is nothing to agree with;
    how many of the equals stay, and their score, must agree.
    """
    theirs_kept, ours_kept = torch.isfinite(expected), torch.tensor(report.final.kept)
    swapped_in, swapped_out = ours_kept & ~theirs_kept, theirs_kept & ~ours_kept
    if not bool(swapped_in.any()):
        return expected
    assert len(expected) > 16
    assert int(swapped_in.sum()) == int(swapped_out.sum())
    scores = torch.tensor(report.final.scores)
    assert len({*scores[swapped_in].tolist(), *expected[swapped_out].tolist()}) == 1
    return torch.where(swapped_in | swapped_out, scores, expected)


def assert_equal(logits: np.ndarray, context: list[int], sampling: SamplingSettings) -> None:
    expected = theirs(logits, context, sampling)
    report = sampling_steps(logits, context, [], sampling)
    expected = with_our_choice_of_equals(expected, report)
    np.testing.assert_array_equal(report.final.scores, expected.numpy())
    np.testing.assert_array_equal(report.final.kept, torch.isfinite(expected).numpy())
    # Theirs are float32 probabilities: 1e-6 is a few of its steps at 1.
    np.testing.assert_allclose(
        report.final.probabilities, expected.softmax(-1).numpy(), rtol=5e-6, atol=1e-12
    )
    fast = final_distribution(logits, context, [], sampling)
    np.testing.assert_array_equal(fast.probabilities, report.final.probabilities)
    np.testing.assert_array_equal(fast.model_probabilities, report.base.probabilities)
    assert (fast.entropy, fast.n_kept) == (report.final.entropy, report.final.n_kept)
    assert fast.model_entropy == report.base.entropy


SETTINGS = st.builds(
    SamplingSettings,
    temperature=st.sampled_from([1.0, 0.01, 0.2, 0.7, 1.3, 10.0, 100.0]),
    top_k=st.sampled_from([0, 1, 2, 3, 7, 40, 10_000]),
    top_p=st.sampled_from([1.0, 0.999, 0.9, 0.75, 0.5, 0.25, 0.1, 0.0]),
    min_p=st.sampled_from([0.0, 0.001, 0.05, 0.25, 0.5, 1.0]),
    typical_p=st.sampled_from([1.0, 0.95, 0.5, 0.2, 0.01]),
    repetition_penalty=st.sampled_from([1.0, 1.1, 2.0, 0.5]),
    order=st.permutations(list(SamplingSettings().order)).map(tuple),
)

# Few different values: many ties, and running sums that fall exactly on thresholds.
TIED = st.sampled_from([0.0, -1.0, 1.0, 2.0, float(np.log(2)), float(np.log(4)), 30.0])
ANY = st.floats(-60, 60, width=32)
CONTEXT = st.lists(st.integers(0, 90), min_size=1, max_size=20)


def rows(min_size: int, max_size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(TIED, min_size=min_size, max_size=max_size) | st.lists(
        ANY, min_size=min_size, max_size=max_size
    )


@settings(max_examples=300, deadline=None)
@given(values=rows(1, 16), sampling=SETTINGS, context=CONTEXT)
def test_equal_with_ties_and_thresholds_in_any_order(
    values: list[float], sampling: SamplingSettings, context: list[int]
) -> None:
    assert_equal(np.array(values, dtype=np.float32), context, sampling)


@settings(max_examples=200, deadline=None)
@given(values=rows(17, 90), sampling=SETTINGS, context=CONTEXT)
def test_equal_on_longer_rows_in_transformers_order(
    values: list[float], sampling: SamplingSettings, context: list[int]
) -> None:
    ordered = dataclasses.replace(sampling, order=DEFAULT_ORDER)
    assert_equal(np.array(values, dtype=np.float32), context, ordered)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(),
        SamplingSettings(temperature=0.8, top_p=0.9),
        SamplingSettings(temperature=10.0, top_p=0.999),
        SamplingSettings(
            temperature=0.7, top_k=50, top_p=0.95, min_p=0.02, typical_p=0.9, repetition_penalty=1.2
        ),
        SamplingSettings(typical_p=0.95),
        SamplingSettings(temperature=1.5, min_p=0.1),
    ],
    ids=["off", "warm", "flat", "all", "typical", "min-p"],
)
def test_equal_over_a_whole_vocabulary(sampling: SamplingSettings, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal(49_152) * 3 + rng.gumbel(size=49_152)).astype(np.float32)
    if seed % 2:  # bfloat16 logits: thousands of exact ties
        logits = torch.tensor(logits).bfloat16().float().numpy()
    assert_equal(logits, rng.integers(0, 49_152, 200).tolist(), sampling)


def test_greedy_is_transformers_argmax_also_with_ties() -> None:
    logits = np.array([1, 5, 5, 2, 5], dtype=np.float32)
    report = sampling_steps(logits, [], [], SamplingSettings(temperature=0.0))
    assert int(torch.argmax(torch.tensor(logits))) == 1
    assert np.flatnonzero(report.final.kept).tolist() == [1]
    penalised = sampling_steps(logits, [1], [], SamplingSettings(temperature=0.0, repetition_penalty=1.5))
    assert np.flatnonzero(penalised.final.kept).tolist() == [2]


@pytest.mark.parametrize("seed", range(20))
def test_equal_where_a_running_sum_meets_typical_p_exactly(seed: int) -> None:
    logits = torch.randn(12, generator=torch.Generator().manual_seed(seed))
    surprise = -logits.log_softmax(-1)
    closest = (surprise - (surprise * (-surprise).exp()).sum()).abs().argsort()
    met = float(logits[closest].softmax(-1).cumsum(-1)[2])
    assert_equal(logits.numpy(), [0], SamplingSettings(typical_p=met))
    assert_equal(
        logits.numpy(), [0], SamplingSettings(top_p=1 - float(logits.sort()[0].softmax(-1).cumsum(-1)[4]))
    )


COLD_FIRST = (
    "temperature",
    "repetition",
    *(n for n in DEFAULT_ORDER if n not in ("temperature", "repetition")),
)
EXTREME = st.sampled_from([2.0, 1.9, 0.0, -1.0, 3.4e38, 3.3e38, -3.4e38, 1e-38])


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(EXTREME, min_size=1, max_size=6),
    temperature=st.sampled_from([0.5, 0.01, 1e-3, 1e-39, 1e-100]),
    penalty=st.sampled_from([2.0, 0.5, 1.3, 100.0]),
    context=st.lists(st.integers(0, 6), max_size=4),
    order=st.sampled_from([COLD_FIRST, DEFAULT_ORDER]),
)
@example(values=[2.0, 1.9, -3.4e38], temperature=0.5, penalty=2.0, context=[0], order=COLD_FIRST)
@example(values=[3.4e38, 3.3e38], temperature=1.0, penalty=0.5, context=[0, 1], order=DEFAULT_ORDER)
def test_where_float32_ends_equal_to_transformers_in_float64(
    values: list[float], temperature: float, penalty: float, context: list[int], order: tuple[str, ...]
) -> None:
    logits = np.array(values, dtype=np.float32)
    ids = [token_id for token_id in context if token_id < len(values)]
    sampling = SamplingSettings(temperature=temperature, repetition_penalty=penalty, order=order)
    expected = theirs(logits.astype(np.float64), ids or [0], sampling) if ids else None
    if expected is None:  # transformers takes no empty context; nothing to penalise leaves the temperature
        expected = torch.tensor(logits.astype(np.float64)) / temperature
    final = sampling_steps(logits, ids, [], sampling).final
    assert final.kept.all()
    # Where float32 does hold the scores, a score of 2 / 0.01 is off by its last digit.
    close = {"rtol": 1e-3, "atol": 1e-9}
    np.testing.assert_allclose(final.probabilities, expected.softmax(-1).numpy(), **close)


def test_a_temperature_before_a_penalty_at_float32s_end_by_hand() -> None:
    # 2 / 0.5 = 4, halved by the penalty: 2; 1.9 / 0.5 = 3.8; the third is beyond float32: probability 0.
    one, other = np.exp(2.0), np.exp(3.8)
    sampling = SamplingSettings(temperature=0.5, repetition_penalty=2.0, order=COLD_FIRST)
    found = sampling_steps(np.array([2.0, 1.9, -3.4e38], dtype=np.float32), [0], [], sampling)
    expected = [one / (one + other), other / (one + other), 0]
    np.testing.assert_allclose(found.final.probabilities, expected, rtol=1e-6)
    assert found.final.probabilities.round(2).tolist() == [0.14, 0.86, 0]
