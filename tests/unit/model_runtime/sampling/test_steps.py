"""Sampling with numbers worked out by hand, and properties that hold for any logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runtime.errors import SamplingError, SettingError
from model_runtime.records import SamplingReport
from model_runtime.sampling.settings import DEFAULT_ORDER, SamplingSettings
from model_runtime.sampling.steps import draw, draws, final_distribution, request_generator, sampling_steps

# softmax = 1/2, 1/4, 1/8, 1/8
HALVES = np.log(np.array([8, 4, 2, 2])).astype(np.float32)


def report(logits: np.ndarray = HALVES, generated: tuple[int, ...] = (), **fields: object) -> SamplingReport:
    return sampling_steps(logits, [], generated, SamplingSettings(**fields))  # type: ignore[arg-type]


def step(result: SamplingReport, name: str):  # type: ignore[no-untyped-def]
    return next(s for s in result.steps if s.name == name)


def test_base_is_the_plain_softmax_with_its_entropy() -> None:
    base = report().base
    np.testing.assert_allclose(base.probabilities, [0.5, 0.25, 0.125, 0.125], rtol=1e-7)
    # 1/2 ln 2 + 1/4 ln 4 + 2/8 ln 8 = 1.75 ln 2
    assert base.entropy == pytest.approx(1.75 * math.log(2), rel=1e-6)
    assert base.effective_choices == pytest.approx(2**1.75, rel=1e-6)
    assert base.n_kept == 4


def test_steps_that_are_off_leave_what_they_found() -> None:
    result = report()
    assert [s.name for s in result.steps] == list(DEFAULT_ORDER)
    for s in result.steps:
        assert not s.active
        assert s.probabilities is result.base.probabilities
        assert (s.cut_mass, s.n_kept) == (0.0, 4)


def test_temperature_two_takes_square_roots() -> None:
    weights = np.sqrt([8, 4, 2, 2])
    result = report(temperature=2.0)
    np.testing.assert_allclose(result.final.probabilities, weights / weights.sum(), rtol=1e-6)
    assert step(result, "temperature").value == 2


def test_top_k_keeps_ties_at_its_edge() -> None:
    assert report(top_k=2).final.probabilities == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert step(report(top_k=2), "top_k").cut_mass == pytest.approx(0.25)
    assert report(top_k=3).final.n_kept == 4


def test_top_p_keeps_the_token_that_crosses_the_line() -> None:
    flat = np.zeros(4, dtype=np.float32)  # quarters: exact in float32
    assert [report(flat, top_p=p).final.n_kept for p in (0.0, 0.25, 0.26, 0.5, 0.75, 0.76, 1.0)] == [
        1,
        1,
        2,
        2,
        3,
        4,
        4,
    ]
    # Of equals the ones with the lowest ids go first, as in transformers.
    assert np.flatnonzero(report(flat, top_p=0.5).final.kept).tolist() == [2, 3]


def test_min_p_is_a_share_of_the_top_probability() -> None:
    assert report(min_p=0.3).final.n_kept == 2
    assert report(min_p=0.2).final.n_kept == 4
    assert report(min_p=1.0).final.n_kept == 1


def test_typical_p_can_cut_the_likeliest_token() -> None:
    # Entropy 1.21 nats; surprises 0.69, 1.39, 2.08, 2.08: the second is closest, the first comes after it.
    result = report(typical_p=0.2)
    assert np.flatnonzero(result.final.kept).tolist() == [1]
    assert result.cut_by(0) is step(result, "typical_p")


def test_repetition_divides_positive_and_multiplies_negative_logits_of_the_whole_context() -> None:
    logits = np.array([2.0, -2.0, 1.0, 0.5], dtype=np.float32)
    result = sampling_steps(logits, [0, 1, 999], [2], SamplingSettings(repetition_penalty=2.0))
    assert result.final.scores.tolist() == [1.0, -4.0, 0.5, 0.5]


def test_presence_and_frequency_count_generated_tokens_only() -> None:
    logits = np.zeros(4, dtype=np.float32)
    sampling = SamplingSettings(presence_penalty=0.5, frequency_penalty=0.25)
    result = sampling_steps(logits, [3, 3, 3, 0, 1, 0, 0], [0, 1, 0, 0], sampling)
    # mu - c * 0.25 - (c > 0) * 0.5 with c = 3, 1, 0, 0
    assert result.final.scores.tolist() == [-1.25, -0.75, 0.0, 0.0]
    assert step(result, "presence").scores.tolist() == [-0.5, -0.5, 0.0, 0.0]


def test_order_matters() -> None:
    logits = np.log(np.array([10, 6, 3, 1])).astype(np.float32)
    before = tuple(sorted(DEFAULT_ORDER, key=lambda name: name != "temperature"))
    after = tuple(sorted(DEFAULT_ORDER, key=lambda name: name == "temperature"))
    hot_first = report(logits, temperature=5.0, top_p=0.7, order=before)
    cut_first = report(logits, temperature=5.0, top_p=0.7, order=after)
    assert (hot_first.final.n_kept, cut_first.final.n_kept) == (3, 2)
    assert [s.name for s in cut_first.steps] == list(after)


def test_kept_is_cumulative_and_cut_mass_belongs_to_the_step() -> None:
    result = report(top_k=2, min_p=0.9)
    top_k, min_p = step(result, "top_k"), step(result, "min_p")
    assert (top_k.n_kept, min_p.n_kept) == (2, 1)
    assert top_k.cut_mass == pytest.approx(0.25)
    assert min_p.cut_mass == pytest.approx(1 / 3)
    assert [result.cut_by(i).name if result.cut_by(i) else None for i in range(4)] == [
        None,
        "min_p",
        "top_k",
        "top_k",
    ]


def test_questions_about_the_report() -> None:
    result = report(top_k=1)
    assert result.top(3).tolist() == [0, 1, 2]
    assert [result.rank(i) for i in range(4)] == [1, 2, 3, 4]
    tail = result.tail(1)
    assert (tail.n_tokens, tail.n_kept, tail.final_mass) == (3, 0, 0.0)
    assert tail.mass == pytest.approx(0.5)
    assert result.tail([1, 2]).mass == pytest.approx(0.625)
    fraction = result.fraction(1)
    assert fraction.numerator == pytest.approx(0.5)
    assert fraction.denominator == pytest.approx(2.0)
    assert fraction.probability == pytest.approx(0.25)
    assert result.fraction(1, result.final).probability == 0.0
    with pytest.raises(IndexError, match="no token 4"):
        result.cut_by(4)
    with pytest.raises(ValueError, match="read-only"):
        result.base.probabilities[0] = 1.0


def test_nbytes_counts_shared_arrays_once() -> None:
    assert report().nbytes == 4 * (4 + 8 + 1)
    assert report(top_k=2, top_p=0.9).nbytes == 3 * 4 * (4 + 8 + 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_no_numbers_are_refused(bad: float) -> None:
    logits = np.array([0.0, bad, 1.0], dtype=np.float32)
    with pytest.raises(SamplingError, match="1 of the model's 3 logits are not finite"):
        sampling_steps(logits, [], [], SamplingSettings())
    with pytest.raises(SamplingError):
        final_distribution(logits, [], [], SamplingSettings())


def test_not_a_row_is_refused() -> None:
    with pytest.raises(SamplingError, match="not one row"):
        sampling_steps(np.zeros((2, 3), dtype=np.float32), [], [], SamplingSettings())


@pytest.mark.parametrize("temperature", [1e-5, 1e-38, 1e-45, 1e-300])
def test_a_tiny_temperature_cuts_nothing_and_stays_a_distribution(temperature: float) -> None:
    logits = np.array([3e4, 2.0, -3e4, 0.0], dtype=np.float32)
    final = report(logits, temperature=temperature, top_k=3).final
    assert final.n_kept >= 3
    np.testing.assert_allclose(final.probabilities, [1, 0, 0, 0])


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_p": 1.1},
        {"top_k": -1},
        {"order": ("top_k",)},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        SamplingSettings(**fields)  # type: ignore[arg-type]


ANY_SETTINGS = st.builds(
    SamplingSettings,
    temperature=st.floats(0, 100),
    top_k=st.integers(0, 50),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    typical_p=st.floats(0, 1),
    repetition_penalty=st.floats(0.01, 100),
    presence_penalty=st.floats(-100, 100),
    frequency_penalty=st.floats(-100, 100),
    order=st.permutations(list(DEFAULT_ORDER)).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=30),
    sampling=ANY_SETTINGS,
    ids=st.lists(st.integers(0, 40), max_size=8),
)
def test_every_step_leaves_a_distribution(
    values: list[float], sampling: SamplingSettings, ids: list[int]
) -> None:
    result = sampling_steps(np.array(values, dtype=np.float32), ids, ids, sampling)
    before = result.base
    for s in result.steps:
        assert s.probabilities.sum() == pytest.approx(1.0, abs=1e-9)
        assert 1 <= s.n_kept <= before.n_kept
        assert not (s.kept & ~before.kept).any()
        assert not s.probabilities[~s.kept].any()
        assert 0.0 <= s.cut_mass <= 1.0
        assert 0.0 <= s.entropy <= math.log(s.n_kept) + 1e-9
        if s.name in ("top_k", "top_p", "min_p"):
            assert s.kept[int(np.argmax(before.scores))] or before.scores.max() == s.scores.max()
        before = s
    assert all((result.cut_by(i) is None) == bool(result.final.kept[i]) for i in range(result.d_vocab))
    fast = final_distribution(np.array(values, dtype=np.float32), ids, ids, sampling)
    np.testing.assert_array_equal(fast.probabilities, result.final.probabilities)


@pytest.mark.parametrize("penalty", [0.01, 2.0])
def test_a_penalty_after_a_temperature_near_0_cuts_nothing(penalty: float) -> None:
    """The scores stand at float32's ends already: times 2, or divided by 0.01, they would leave it."""
    rest = tuple(name for name in DEFAULT_ORDER if name not in ("temperature", "repetition"))
    order = ("temperature", "repetition", *rest)
    for temperature in (1e-273, 1e-36):
        sampling = SamplingSettings(temperature=temperature, repetition_penalty=penalty, order=order)
        result = sampling_steps(np.array([0.0, 50.0, 49.0], dtype=np.float32), [0, 1], [], sampling)
        assert result.final.kept.all()
        assert np.isfinite(result.final.scores).all()
        assert result.final.probabilities.sum() == pytest.approx(1.0)


def test_draw_lands_where_the_uniform_number_falls() -> None:
    probabilities = np.array([0.0, 0.25, 0.0, 0.75, 0.0])
    rng, twin = request_generator(5), request_generator(5)
    for _ in range(200):
        assert draw(probabilities, rng) == (1 if twin.random() < 0.25 else 3)


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda w: sum(w) > 0),
    seed=st.integers(0, 2**63 - 1),
)
def test_draw_never_takes_a_token_of_probability_zero(weights: list[float], seed: int) -> None:
    probabilities = np.array(weights) / sum(weights)
    rng = request_generator(seed)
    assert all(probabilities[draw(probabilities, rng)] > 0 for _ in range(20))


def test_draws_agree_with_the_probabilities_and_with_the_first_draw() -> None:
    result = report(temperature=1.3)
    counts = draws(result, 100_000, seed=3)
    assert counts.sum() == 100_000
    # Four standard deviations of a count.
    p = result.final.probabilities
    assert (np.abs(counts - 100_000 * p) < 4 * np.sqrt(100_000 * p * (1 - p))).all()
    assert int(np.argmax(draws(result, 1, seed=3))) == draw(p, request_generator(3))
    np.testing.assert_array_equal(counts, draws(result, 100_000, seed=3))
    assert (counts != draws(result, 100_000, seed=4)).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 2.5},
        {"top_k": 5.0},
        {"seed": 1.5},
        {"max_new_tokens": "5"},
        {"temperature": "0.8"},
        {"top_p": None},
        {"min_p": True},
        {"order": "temperature"},
        {"order": None},
        {"order": [*DEFAULT_ORDER[1:], 3]},
    ],
    ids=str,
)
def test_settings_of_another_type_are_refused_when_made(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        SamplingSettings(**wrong)  # type: ignore[arg-type]


def test_lists_and_numpy_numbers_become_plain_values_so_that_settings_stay_keys() -> None:
    made = SamplingSettings(
        temperature=np.float32(0.5),  # type: ignore[arg-type]
        top_k=np.int64(3),  # type: ignore[arg-type]
        order=list(DEFAULT_ORDER),  # type: ignore[arg-type]
    )
    assert made == SamplingSettings(temperature=0.5, top_k=3)
    assert hash(made) == hash(SamplingSettings(temperature=0.5, top_k=3))
    assert type(made.top_k) is int


def test_the_tail_takes_numpy_numbers_and_refuses_ids_that_do_not_exist() -> None:
    result = sampling_steps(np.array([3.0, 2.0, 1.0, 0.0], dtype=np.float32), [], [], SamplingSettings())
    assert result.tail(np.int64(2)) == result.tail(2) == result.tail(np.array([0, 1]))  # type: ignore[arg-type]
    assert result.tail([]).n_tokens == 4
    for wrong in ([-1], [99]):
        with pytest.raises(IndexError, match="no token"):
            result.tail(wrong)
