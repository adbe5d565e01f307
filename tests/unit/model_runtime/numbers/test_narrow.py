"""Narrow arithmetic against a slow reference: exact fractions, rounded after every step."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runtime.numbers.formats import FORMATS, Exact, encode
from model_runtime.numbers.narrow import blocked_sum, pairwise_sum, product_sums, running_sum, softmax

KEYS = {torch.float16: "fp16", torch.bfloat16: "bf16"}
NARROW = list(KEYS)
# Ties, subnormals of fp16, numbers near its largest, signs; all are rounded to the format before use.
EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2048.0,
    2049.0,
    6e-8,
    5.96e-8,
    -6.1e-5,
    3e-5,
    255.9,
    300.0,
    65504.0,
    -60000.0,
    0.1,
]
numbers = st.one_of(
    st.sampled_from(EDGES), st.floats(-400, 400, width=32), st.floats(-(2.0**-13), 2.0**-13, width=32)
)


def rounded(value: Fraction | float, dtype: torch.dtype) -> float:
    """One exact value in the format, as a Python number."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    exact = Fraction(value)
    stored = encode(Exact(exact, exact < 0), FORMATS[KEYS[dtype]])
    return float(stored.value) if stored.value is not None else math.copysign(math.inf, exact)


def add(a: float, b: float, dtype: torch.dtype) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return a + b
    return rounded(Fraction(a) + Fraction(b), dtype)


def times(a: float, b: float, dtype: torch.dtype) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b
    return rounded(Fraction(a) * Fraction(b), dtype)


def same(got: float, expected: float) -> bool:
    return got == expected or (math.isnan(got) and math.isnan(expected))


@pytest.mark.parametrize("dtype", NARROW)
@given(left=st.lists(numbers, min_size=1, max_size=9), right=st.lists(numbers, min_size=9, max_size=9))
@settings(max_examples=150, deadline=None)
def test_a_dot_product_rounds_after_every_product_and_every_sum(
    dtype: torch.dtype, left: list[float], right: list[float]
) -> None:
    a, b = (torch.tensor(row, dtype=torch.float32).to(dtype) for row in (left, right[: len(left)]))
    total = 0.0
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        total = add(total, times(x, y, dtype), dtype)
    got = float(product_sums(a[None].float(), b[None].float(), dtype, "narrow"))
    assert same(got, total), (left, right, got, total)


@pytest.mark.parametrize("dtype", NARROW)
@given(values=st.lists(numbers, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_running_sums_round_at_every_step(dtype: torch.dtype, values: list[float]) -> None:
    row = torch.tensor(values, dtype=torch.float32).to(dtype)
    total, expected = None, []
    for value in row.tolist():
        total = value if total is None else add(total, value, dtype)
        expected.append(total)
    assert all(map(same, running_sum(row).tolist(), expected))


@pytest.mark.parametrize("dtype", NARROW)
@given(values=st.lists(numbers, min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_pairwise_sum_adds_neighbours_first(dtype: torch.dtype, values: list[float]) -> None:
    row = torch.tensor(values, dtype=torch.float32).to(dtype)
    level = row.tolist()
    while len(level) > 1:
        level = [*level, *([0.0] * (len(level) % 2))]
        level = [add(a, b, dtype) for a, b in zip(level[::2], level[1::2], strict=True)]
    assert same(float(pairwise_sum(row)), level[0])


def test_fp32_in_order_rounds_to_fp32_at_every_step_where_torch_keeps_more() -> None:
    ones = torch.full((200_000,), 0.1)
    total = np.float32(0)
    for value in ones.numpy():
        total = np.float32(total + value)
    assert float(running_sum(ones)[-1]) == float(total)
    assert float(ones.cumsum(0)[-1]) != float(total)  # why torch's own is not used


def test_counting_stops_at_2048_in_fp16_and_at_256_in_bf16() -> None:
    for dtype, stop in ((torch.float16, 2048), (torch.bfloat16, 256)):
        ones = torch.ones(3000, dtype=dtype)
        assert float(running_sum(ones)[-1]) == stop
        assert float(blocked_sum(ones, 250)) == 3000 if dtype is torch.float16 else True
    assert float(pairwise_sum(torch.ones(3000).half())) == 3000


def test_partial_sums_overflow_although_the_whole_does_not() -> None:
    """60,000 + 60,000 - 60,000: finite with fp32 inside, infinite with a rounding after every step."""
    a, b = torch.tensor([[60_000.0, 60_000.0, -60_000.0]]), torch.ones(1, 3)
    assert float(product_sums(a, b, torch.float16, "wide")) == 60_000
    assert float(product_sums(a, b, torch.float16, "narrow")) == math.inf
    assert float(product_sums(a, b, torch.bfloat16, "narrow")) == pytest.approx(60_000, rel=0.01)


@pytest.mark.parametrize("dtype", NARROW)
def test_a_matrix_product_on_this_device_is_wide_inside(dtype: torch.dtype) -> None:
    """What the page says of torch: sums are fp32 inside, rounded once; a rounding at every step differs."""
    made = torch.Generator().manual_seed(0)
    left, right = (3 * torch.randn(24, 64, generator=made) for _ in range(2))
    narrow_left, narrow_right = left.to(dtype), right.to(dtype)
    exact = narrow_left.double() @ narrow_right.double().T
    once = exact.to(dtype)
    wide = product_sums(left, right, dtype, "wide")
    narrow = product_sums(left, right, dtype, "narrow")
    assert (wide != once).double().mean() < 0.01  # a tie that the fp32 sum moved
    assert (narrow != once).double().mean() > 0.5


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_softmax_step_by_step(dtype: torch.dtype) -> None:
    scores = torch.tensor([[3.3, -1.7, 9.2, 0.01]]).to(dtype)
    for shifted in (False, True):
        row = scores[0].tolist()
        top = max(row) if shifted else 0.0
        exps = [rounded(math.exp(add(s, -top, dtype)), dtype) for s in row]
        total = exps[0]
        for value in exps[1:]:
            total = add(total, value, dtype)
        expected = [rounded(Fraction(value) / Fraction(total), dtype) for value in exps]
        assert softmax(scores, dtype, shifted=shifted, inside="narrow")[0].tolist() == expected


def test_softmax_edges() -> None:
    """Naive: fp16 breaks above 11.1, fp32 above 88.7. Shifted: neither. -inf has no share."""

    def broken(row: list[float], **way: object) -> bool:
        return bool(softmax(torch.tensor([row]), torch.float16, **way).isnan().any())  # type: ignore[arg-type]

    for top, narrow, wide in (
        (11.0, False, False),
        (11.5, True, False),
        (88.0, True, False),
        (89.0, True, True),
    ):
        row = [top, 0.0, -math.inf]
        assert broken(row, shifted=False, inside="narrow") == narrow
        assert broken(row, shifted=False, inside="wide") == wide
        assert not broken(row, shifted=True, inside="narrow")
        assert not broken(row, shifted=True, inside="wide")
    assert broken([-200.0, -210.0], shifted=False, inside="wide")  # all e^x are 0: 0 / 0
    assert not broken([-200.0, -210.0], shifted=True, inside="narrow")
    assert broken([math.inf, 0.0], shifted=True, inside="wide")  # infinity less infinity
    shares = softmax(torch.tensor([[0.0, 1.0, -math.inf]]), torch.float16, shifted=True, inside="wide")
    assert shares[0, 2] == 0
    assert torch.equal(shares, torch.tensor([[0.0, 1.0, -math.inf]]).softmax(-1).half())
