"""Calculators and timings against length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_runtime.records import CostFit, CostMeasurement
from viz.attention.cost import (
    cost_curve_figure,
    cost_curve_record,
    exponent_of,
    growth_sentence,
    length_curves_figure,
    length_curves_record,
    steps,
)

LENGTHS = (64, 128, 256, 512)
SQUARE = [1e-6 * n * n for n in LENGTHS]
LINEAR = [1e-3 * n for n in LENGTHS]
MEASURED = CostMeasurement(
    lengths=LENGTHS,
    forward_seconds=tuple(LINEAR),
    attention_seconds=tuple(SQUARE),
    n_scores=(),
    score_bytes=(),
    forward_fit=None,
    attention_fit=CostFit(0.0, 0.0, 1e-6, 0.9999),
    layer=0,
    n_heads=1,
    dtype="float32",
    device="cpu",
    threads=1,
    stopped="",
)


def test_formulas_at_every_length_and_at_the_prompt() -> None:
    record = length_curves_record(
        {"full": lambda n: n * (n + 1) // 2, "window": lambda n: 3 * n}, 10, title="t", quantity="pairs"
    )
    assert record.lengths == steps(10)
    assert record.curves[0].at_prompt == 55
    assert record.curves[1].values[record.lengths.index(10)] == 30
    assert record.low == 1.0
    figure = length_curves_figure(record).figure
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert figure.layout.shapes[0].x0 == 10
    assert len({trace.line.dash for trace in figure.data if trace.mode == "lines"}) == 2
    assert length_curves_figure(record).narrow_figure.layout.showlegend  # type: ignore[union-attr]


def test_a_prompt_longer_than_the_axis_is_on_it() -> None:
    assert steps(200_000)[-1] == 200_000


def test_the_exponent_is_read_off_the_longest_lengths() -> None:
    assert exponent_of(LENGTHS, SQUARE) == pytest.approx(2)
    assert exponent_of(LENGTHS, LINEAR) == pytest.approx(1)
    assert exponent_of((64,), [1.0]) is None


def test_measured_points_with_their_curve_in_words() -> None:
    record = cost_curve_record(MEASURED, 9)
    assert record.timed[0].milliseconds == pytest.approx((4.096, 16.384, 65.536, 262.144))
    assert record.timed[0].words == "0.00100 n² milliseconds (r² = 0.9999)"
    assert record.timed[0].fit is not None
    assert record.timed[0].fit[-1] == pytest.approx(262.144)
    assert record.timed[1].words == "Too few lengths for a curve."
    assert growth_sentence(record, 0) == (
        "attention of one layer: 262\xa0ms at 512 tokens, 4 times as long as at 256. Over the longest "
        "lengths the time grows as n to the power 2.00 (nearly the square, or more)."
    )
    drawn = cost_curve_figure(record)
    assert [trace.name for trace in drawn.figure.data] == [
        "attention of one layer, fitted",
        "attention of one layer",
        "whole model",
    ]
    assert drawn.figure.layout.title.text.endswith("n<sup>2.00</sup>")


def test_one_length_only_is_drawn_without_a_curve() -> None:
    one = replace(
        MEASURED, lengths=(64,), attention_seconds=(0.001,), forward_seconds=(0.002,), attention_fit=None
    )
    record = cost_curve_record(one, 11)
    assert growth_sentence(record, 0) == "attention of one layer: 1\xa0ms at 64 tokens."
    cost_curve_figure(record)
