"""Distributions side by side: which tokens, which shares, what is said, and what the figure draws."""

from __future__ import annotations

import numpy as np
import pytest

from viz.distribution_bars import DistributionBars, compared_record, distribution_bars_figure

TEXTS = [" a", "<b>", "c", "d", "e"]
NAN = np.nan


def pair(first: list[float], second: list[float], most: int = 2) -> DistributionBars:
    rows = {name: np.log(np.array(p)) for name, p in (("before", first), ("after", second))}
    made = compared_record(rows, TEXTS.__getitem__, most=most, each=most)
    assert made is not None
    return made


def test_the_likeliest_of_both_are_there_in_the_first_s_order() -> None:
    made = pair([0.5, 0.3, 0.1, 0.06, 0.04], [0.1, 0.2, 0.05, 0.6, 0.05])
    first, second = made.distributions
    assert made.token_ids == (0, 1, 3)
    assert first.shares == pytest.approx((0.5, 0.3, 0.06))
    assert second.shares == pytest.approx((0.1, 0.2, 0.6))
    assert (first.rest, second.rest) == pytest.approx((0.14, 0.1))
    assert made.title == "“·a” gives way to “d”; 55.0\xa0% of the probability moves"


def test_equal_distributions_move_nothing() -> None:
    made = pair([0.5, 0.2, 0.1, 0.1, 0.1], [0.5, 0.2, 0.1, 0.1, 0.1])
    assert made.title == "“·a” stays the likeliest; 0\xa0% of the probability moves"
    assert made.change.divergence == 0


def test_a_pair_stands_on_one_axis_and_tokens_cannot_be_markup() -> None:
    made = pair([0.3, 0.5, 0.1, 0.06, 0.04], [0.1, 0.7, 0.1, 0.05, 0.05])
    drawn = distribution_bars_figure(made)
    assert [tuple(bar.x) for bar in drawn.figure.data] == [one.bars for one in made.distributions]
    assert drawn.figure.layout.xaxis.range[0] == 0
    assert "<b>" not in " ".join(drawn.figure.layout.yaxis.ticktext)
    assert "&lt;b&gt;" in drawn.figure.layout.yaxis.ticktext[0]
    assert drawn.table["token"][-1] == "all others"
    assert sum(drawn.table["probability, after"]) == pytest.approx(1)  # type: ignore[arg-type]


def test_three_stand_in_the_same_rows() -> None:
    fp32, bf16 = np.array([3.0, 2.9, 0, -1, -5]), np.array([2.9, 3.0, 0, -1, -5])
    rows = {"fp32": fp32, "bf16": bf16, "fp16": fp32}
    record = compared_record(rows, TEXTS.__getitem__, most=3, each=1)
    assert record is not None
    assert record.token_ids == (0, 1, 2)
    for one, logits in zip(record.distributions, rows.values(), strict=True):
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(one.shares, expected[:3], rtol=1e-6)
        assert one.rest == pytest.approx(expected[3:].sum(), rel=1e-5)
    p, q = (np.exp(x) / np.exp(x).sum() for x in (fp32, bf16))
    assert record.change.divergence == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-6)
    assert record.title.startswith("bf16 prefers “<b>” to “·a”; fp16 moves 0\xa0%")
    assert [one.under for one in record.distributions][::2] == ["reference", "KL 0 nats"]
    drawn = distribution_bars_figure(record)
    assert "<b>" not in "".join(drawn.figure.layout.yaxis.ticktext) + drawn.figure.layout.title.text
    assert drawn.table["probability, bf16"][0] == record.distributions[1].shares[0]
    layout = drawn.figure.layout
    assert layout.xaxis.range == layout.xaxis2.range == layout.xaxis3.range
    flat = compared_record({"fp32": np.zeros(5)}, TEXTS.__getitem__, most=2)
    assert flat is not None
    assert flat.top == pytest.approx(0.6)  # all others together are the longest bar


def test_a_broken_format_has_no_bars_and_says_why() -> None:
    good, bad = np.array([1.0, 2, 0, 0, 0]), np.full(5, NAN)
    why = {"fp16": "5 of the model's 5 logits are not finite: there is no distribution."}
    rows = {"fp32": good, "bf16": good, "fp16": bad}
    record = compared_record(rows, TEXTS.__getitem__, refusals=why)
    assert record is not None
    assert record.title == "fp16 has no distribution left; bf16 moves 0\xa0% of the probability"
    drawn = distribution_bars_figure(record)
    assert len(drawn.figure.data[2].x) == 0
    assert any("no distribution" in note.text for note in drawn.figure.layout.annotations)
    assert set(drawn.table["probability, fp16"]) == {"no distribution"}
    assert why["fp16"] in drawn.alt
    # Without fp32 there is nothing to compare with; without any, nothing to draw.
    alone = compared_record({"fp32": bad, "bf16": good}, TEXTS.__getitem__, refusals={"fp32": "broken"})
    assert alone is not None
    assert alone.title == "fp32 has no distribution left"
    assert compared_record({"fp32": bad}, TEXTS.__getitem__, refusals={"fp32": "broken"}) is None
