"""Draws over the theory and the temperatures side by side: records and figures."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import draws, sampling_steps
from viz.distribution_bars import distribution_bars_figure
from viz.output.draws import binomial_range, draws_figure, draws_record
from viz.output.temperatures import temperatures_record

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])).astype(np.float32)
TEXTS = ["a", " b", "<i>", "\n", "e"]


def test_range_holds_at_least_95_of_100_and_no_more_than_it_needs() -> None:
    from math import comb

    n, p = 50, 0.3
    mass = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    low, high = binomial_range(n, p)
    assert sum(mass[low : high + 1]) >= 0.95
    assert sum(mass[:low]) < 0.025 <= sum(mass[: low + 1])
    assert sum(mass[high + 1 :]) <= 0.025 < sum(mass[high:])


def test_range_of_many_draws_is_finite() -> None:
    low, high = binomial_range(10_000, 1e-9)
    assert (low, high) == (0, 0)


def test_counts_stand_beside_their_expectation() -> None:
    report = sampling_steps(LOGITS, [], [], SamplingSettings())
    counts = draws(report, 100, 7)
    record = draws_record(report.final.probabilities, counts, 7, TEXTS.__getitem__, n_shown=2)
    first, second, others = record.tokens
    assert (first.label, second.label, others.label) == ("a", "·b", "3 others")
    assert first.count + second.count + others.count == record.n == 100
    assert first.count == counts[0]
    assert others.probability == pytest.approx(0.25)
    figure = draws_figure(record).figure
    assert list(figure.data[1].x) == [token.count for token in record.tokens]
    assert list(figure.data[2].x) == pytest.approx([50, 25, 25])


def test_the_table_and_the_words_hold_the_tokens_own_characters() -> None:
    token = '<b>&lt;</b> $5 %{x} "& and many letters more'
    record = draws_record(np.array([1.0]), np.array([9]), 0, lambda token_id: token)
    drawn = draws_figure(record)
    assert drawn.table["token"] == ['<b>&lt;</b>·$5·%{x}·"&·and·many·letters·more']
    assert '“<b>&lt;</b…x} "&”' not in drawn.alt  # blanks are seen
    assert drawn.alt.startswith("“<b>&lt;</b…more” came up 9 times in 9 draws")
    assert str(drawn.figure.layout.title.text).startswith("“&lt;b&gt;&amp;lt;&lt;/b…more” came up")
    assert record.tokens[0].label == "&lt;b&gt;&amp;lt;&lt;/b…more"


def test_a_count_outside_its_range_is_said_in_words() -> None:
    record = draws_record(np.array([0.5, 0.5]), np.array([90, 10]), 0, TEXTS.__getitem__)
    assert [token.inside for token in record.tokens] == [False, False]
    assert record.words.startswith("0 of 2 counts")
    assert "outside" in draws_figure(record).figure.data[3].text[0]


def test_greedy_draws_one_token_every_time() -> None:
    report = sampling_steps(LOGITS, [], [], SamplingSettings(temperature=0))
    record = draws_record(report.final.probabilities, draws(report, 100, 0), 0, TEXTS.__getitem__)
    assert [(token.count, token.low, token.high) for token in record.tokens] == [(100, 100, 100)]


def test_a_tail_too_small_for_a_difference_from_one_is_summed() -> None:
    sharp = np.array([0.0, -45.0, -46.0], dtype=np.float32)
    record = temperatures_record(
        [(1.0, sampling_steps(sharp, [], [], SamplingSettings()))], [0], TEXTS.__getitem__
    )
    assert record.distributions[0].rest == pytest.approx(np.exp(-45.0) + np.exp(-46.0), rel=1e-9)


def test_temperatures_share_rows_and_axis() -> None:
    reports = [
        (temperature, sampling_steps(LOGITS, [], [], SamplingSettings(temperature=temperature)))
        for temperature in (0.0, 1.0, 10.0)
    ]
    record = temperatures_record(reports, [2, 0], TEXTS.__getitem__)
    assert record.texts == ("a", "<i>")
    greedy, own, flat = record.distributions
    assert greedy.shares == (1.0, 0.0)
    assert greedy.rest == 0.0
    assert own.shares == pytest.approx((0.5, 0.125))
    assert own.rest == pytest.approx(0.375)
    assert (greedy.under, own.under, flat.under) == ("1 choice", "3.67 choices", "4.98 choices")
    drawn = distribution_bars_figure(record)
    layout = drawn.figure.layout
    assert layout.xaxis.range == layout.xaxis2.range == layout.xaxis3.range
    assert [trace.x[0] for trace in drawn.figure.data] == [1.0, own.shares[0], flat.shares[0]]
    assert "<i>" not in "".join(layout.yaxis.ticktext)
    assert drawn.table["probability, T = 1"][-1] == own.rest


def test_more_than_three_stand_one_below_the_other_on_a_phone() -> None:
    reports = [
        (temperature, sampling_steps(LOGITS, [], [], SamplingSettings(temperature=temperature)))
        for temperature in (0.0, 0.5, 1.0, 10.0)
    ]
    drawn = distribution_bars_figure(temperatures_record(reports, [2, 0], TEXTS.__getitem__))
    assert drawn.narrow_figure is not None
    wide, phone = drawn.figure.layout, drawn.narrow_figure.layout
    assert wide.xaxis.domain[1] < wide.xaxis2.domain[0]
    assert phone.xaxis.domain == phone.xaxis4.domain == (0, 1)
    assert phone.yaxis.domain[0] > phone.yaxis2.domain[1]
    assert phone.yaxis4.domain[0] == pytest.approx(0)
    assert phone.yaxis4.showticklabels
    assert not wide.yaxis4.showticklabels
