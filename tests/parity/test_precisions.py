"""One model in three formats against plain Hugging Face forwards, slow loops, and what is known to break."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.greedy import greedy_text
from model_runtime.inner_precision import inner_precision
from model_runtime.interventions import ScaleMLP
from model_runtime.model import Model
from model_runtime.precision_texts import compare_texts
from model_runtime.precisions import (
    ALL,
    CANCELLED,
    COMPARED,
    FIRST,
    INFINITE,
    NAN,
    REST,
    STREAM,
    SUBNORMAL,
    ZERO,
    FormatReading,
    compare_precisions,
    count_lost,
    largest_value,
    stream_errors,
)
from tests.tiny_models import FAMILY_CASES, build_model, tiny_tokenizer

IDS = (3, 14, 15, 92, 65, 35, 89)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def models_of(family: str) -> Callable[[str], Model]:
    """The family's tiny model in any dtype, loaded once each."""
    kept: dict[str, Model] = {}

    def model_of(dtype: str) -> Model:
        if dtype not in kept:
            hf_model = build_model(family).to(getattr(torch, dtype))
            kept[dtype] = Model(hf_model, tiny_tokenizer(), model_id=family, name=family, revision="test")
        return kept[dtype]

    return model_of


def plain_forward(family: str, dtype: torch.dtype) -> tuple[list[np.ndarray], np.ndarray]:
    """Hidden states that enter each layer, and the next-token logits, without our code."""
    model: Any = build_model(family, attention="sdpa").to(dtype).eval()
    # The head reads the last row as the runtime has it: another product would differ in the last bits.
    keep = 1 if dtype == torch.float32 else torch.tensor([len(IDS) - 1])
    with torch.no_grad():
        output = model(torch.tensor([IDS]), output_hidden_states=True, use_cache=False, logits_to_keep=keep)
    return [state[0].float().numpy() for state in output.hidden_states[:-1]], output.logits[
        0, -1
    ].float().numpy()


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_streams_and_logits_are_a_plain_forward_s(family: str) -> None:
    report = compare_precisions(models_of(family), IDS)
    assert [reading.key for reading in report.readings] == list(COMPARED)
    exact, _ = plain_forward(family, torch.float32)
    for reading in report.readings:
        states, logits = plain_forward(family, DTYPES[reading.key])
        np.testing.assert_array_equal(reading.logits, logits)
        for place, (state, reference) in enumerate(zip(states, exact, strict=True)):
            assert reading.largest[STREAM][place] == np.abs(state).max()
            off = np.linalg.norm((state - reference).astype(np.float64))
            expected = off / np.linalg.norm(reference.astype(np.float64))
            assert reading.error[place, ALL] == pytest.approx(expected, rel=1e-6, abs=1e-12)
            rest = np.linalg.norm((state - reference)[1:]) / np.linalg.norm(reference[1:])
            assert reading.error[place, REST] == pytest.approx(float(rest), rel=1e-4, abs=1e-12)
    assert (report.reading("fp32").error == 0).all()
    assert (report.reading("bf16").error[1:, ALL] > report.reading("fp16").error[1:, ALL]).all()
    assert report.nbytes > 3 * report.readings[0].logits.nbytes


@pytest.mark.parametrize("family", [*FAMILY_CASES])
def test_every_family_runs_in_every_format(family: str) -> None:
    report = compare_precisions(models_of(family), IDS, ScaleMLP(1, 2.0**30))
    assert not report.missing
    assert [bool(reading.refusal) for reading in report.readings] == [False, False, True]


def slow_counts(values: np.ndarray, exact: np.ndarray, least: float) -> list[int]:
    counts = [0] * 5
    for value, meant in zip(values.ravel().tolist(), exact.ravel().tolist(), strict=True):
        if math.isinf(value):
            counts[INFINITE] += 1
        elif math.isnan(value):
            counts[NAN] += 1
        elif meant != 0 and value == 0:
            counts[ZERO] += 1
            counts[CANCELLED] += abs(meant) >= least
        elif meant != 0 and abs(value) < least:
            counts[SUBNORMAL] += 1
    return counts


def test_counts_are_a_slow_loop_s() -> None:
    rng = np.random.default_rng(0)
    exact = (rng.normal(size=(40, 50)) * 10.0 ** rng.integers(-9, 6, (40, 50))).astype(np.float32)
    exact[0, :9] = 0
    with np.errstate(over="ignore"):
        values = exact.astype(np.float16).astype(np.float32)
    values[1, :7] = 0  # not too small: cancelled
    values[0, :3] = 1e-6  # where fp32 has 0 nothing is lost
    values[2, :4] = np.nan
    counts = count_lost(values, exact, 2.0**-14)
    assert list(counts) == slow_counts(values, exact, 2.0**-14)
    assert all(counts)
    assert count_lost(exact[5:6, :5], exact[5:6, :5], 0.0) == (0, 0, 0, 0, 0)


def test_underflow_of_a_model_is_a_slow_loop_s() -> None:
    model_of = models_of("gpt2")
    report = compare_precisions(model_of, IDS)
    for key in ("bf16", "fp16"):
        traces = [model_of(d).trace(IDS, points=("mlp_post",)) for d in (str(DTYPES[key])[6:], "float32")]
        for layer in range(report.n_layers):
            values, exact = (trace.get("mlp_post", layer) for trace in traces)
            least = float(torch.finfo(DTYPES[key]).smallest_normal)
            assert list(report.reading(key).counts["mlp_post"][layer]) == slow_counts(values, exact, least)
            assert report.reading(key).sizes["mlp_post"][layer] == values.size


def test_what_is_not_finite_is_told_apart() -> None:
    values, exact = np.ones((3, 4), np.float32), np.ones((3, 4), np.float32)
    assert largest_value(values) == 1
    values[1, 2] = np.nan
    assert math.isnan(largest_value(values))
    assert np.isnan(stream_errors(values, exact)).tolist() == [True, False, True]
    values[1, 3] = -np.inf
    assert largest_value(values) == np.inf
    assert count_lost(values, exact, 2.0**-14)[:2] == (1, 1)
    assert np.isnan(stream_errors(values[:1], exact[:1])).tolist() == [False, False, True]  # no rest
    assert np.isnan(stream_errors(values[:1], 0 * exact[:1])).all()


def test_a_gain_breaks_fp16_and_nobody_else() -> None:
    model_of = models_of("llama")
    before = model_of("float16").trace(IDS).next_token_logits()
    report = compare_precisions(model_of, IDS, ScaleMLP(1, 2.0**14))
    fp32, bf16, fp16 = report.readings
    assert fp16.first_broken == (1, "mlp_out")
    assert fp16.counts[STREAM][2, INFINITE] > 0
    assert fp16.largest[STREAM][2] == np.inf
    assert np.isnan(fp16.largest[STREAM][3])
    assert fp16.finite_tokens.tolist()[:2] == [len(IDS)] * 2
    assert fp16.finite_tokens[3] == 0
    assert fp16.counts[STREAM][3, NAN] == fp16.sizes[STREAM][3]
    assert np.isnan(fp16.error[3]).all()
    assert "are not finite" in fp16.refusal
    for reading in (fp32, bf16):
        assert reading.first_broken is None
        assert not reading.refusal
    np.testing.assert_array_equal(model_of("float16").trace(IDS).next_token_logits(), before)


@pytest.mark.parametrize(
    ("point", "row", "found"),
    [
        (STREAM, 0, (-1, STREAM)),  # what enters the first layer
        (STREAM, 2, (1, STREAM)),  # the stream alone: the sum overflowed, not what was added
        ("attn_out", 2, (2, "attn_out")),
    ],
)
def test_the_first_broken_place_by_hand(point: str, row: int, found: tuple[int, str]) -> None:
    counts = {name: np.zeros((3 + (name == STREAM), 5), np.int64) for name in ("attn_out", "mlp_out", STREAM)}
    counts[point][row, INFINITE] = 1
    counts[STREAM][3, NAN] = 7
    counts["mlp_out"][2, NAN] = 7
    counts["mlp_out"][0, ZERO] = 5
    none = np.zeros(4)
    reading = FormatReading("fp16", {}, counts, {}, np.zeros((4, 3)), none, none, "")
    assert reading.first_broken == found


def test_layers_read_in_groups_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model_of = models_of("llama")
    whole = compare_precisions(model_of, IDS)
    monkeypatch.setattr("model_runtime.precisions._MOST_BYTES", 1)
    turns: list[int] = []

    class Turn:
        def __enter__(self) -> None:
            turns.append(1)

        def __exit__(self, *_: object) -> None: ...

    parts = compare_precisions(model_of, IDS, turn=Turn)
    assert len(turns) == 3 * whole.n_layers
    for one, other in zip(whole.readings, parts.readings, strict=True):
        np.testing.assert_array_equal(one.error, other.error)
        np.testing.assert_array_equal(one.logits, other.logits)
        for point in one.counts:
            np.testing.assert_array_equal(one.counts[point], other.counts[point])
            np.testing.assert_array_equal(one.largest[point], other.largest[point])


def test_a_format_that_cannot_be_had_is_told() -> None:
    model_of = models_of("llama")

    def lacking(dtype: str) -> Model:
        if dtype == "float16":
            raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'\nmore")
        return model_of(dtype)

    report = compare_precisions(lacking, IDS)
    assert report.missing == {"fp16": "\"addmm_impl_cpu_\" not implemented for 'Half'"}
    assert [reading.key for reading in report.readings] == ["fp32", "bf16"]
    texts = compare_texts(lacking, IDS, 3)
    assert [text.key for text in texts.texts] == ["fp32", "bf16"]
    assert "Half" in texts.missing["fp16"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_texts_are_the_greedy_ones_and_part_where_they_differ(family: str) -> None:
    model_of = models_of(family)
    found = compare_texts(model_of, IDS, 12)
    reference = found.texts[0]
    for text in found.texts:
        model = model_of(str(DTYPES[text.key])[6:])
        expected = [token.token.id for token in greedy_text(model, IDS, 12).tokens]
        mine = [token.id for token in text.tokens]
        assert mine == expected
        theirs = [token.id for token in reference.tokens]
        pairs = list(zip(mine, theirs, strict=False))
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        assert (text.parting.index if text.parting else None) == first
        if text.parting is not None:
            assert text.parting.in_reference[0] >= text.parting.in_reference[1]
            assert text.parting.in_format[1] >= text.parting.in_format[0]
            ids = (*IDS, *theirs[:first])
            logits = model_of("float32").trace(ids).next_token_logits().astype(np.float64)
            shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            assert text.parting.in_reference[0] == pytest.approx(shares[text.parting.reference.id], rel=1e-4)
            assert text.parting.in_reference[1] == pytest.approx(shares[text.parting.other.id], rel=1e-4)
    assert found.nbytes > 0


def test_formats_do_part_somewhere() -> None:
    """Of some prompts one must, or the test above compares nothing."""
    model_of = models_of("llama")
    partings = [compare_texts(model_of, (i, i + 1), 12).texts[1].parting for i in range(1, 13)]
    assert any(parting is not None for parting in partings)


def test_a_broken_distribution_is_not_drawn_from() -> None:
    texts = compare_texts(models_of("llama"), IDS, 4, ScaleMLP(1, 2.0**14)).texts
    assert [len(text.tokens) for text in texts] == [4, 4, 0]
    assert "there is no distribution" in texts[2].refusal
    assert texts[2].parting is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_products_are_summed_in_a_wider_format(family: str, dtype: str) -> None:
    """The claim of the page, on this machine's kernels."""
    inner = inner_precision(models_of(family)(dtype))
    assert inner.product > 0.98
    assert inner.product_rounded < 0.9
    assert inner.softmax > 0.95
    assert inner.norm


def test_a_sum_rounded_at_every_step_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were products summed in half precision, the share of exact ones would say so."""
    model = models_of("llama")("float16")

    def stepwise(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(len(x), len(w), dtype=x.dtype)
        for term in range(x.shape[1]):
            total = total + x[:, term, None] * w[None, :, term]
        return total

    monkeypatch.setattr(torch.nn.functional, "linear", stepwise)
    inner = inner_precision(model)
    assert inner.product == inner.product_rounded < 0.9


def test_first_and_rest_are_apart() -> None:
    exact = np.array([[1000.0, 0], [1, 0], [0, 1]], np.float32)
    values = exact + np.array([[10, 0], [0, 0.5], [0, 0]], np.float32)
    errors = stream_errors(values, exact)
    assert errors[FIRST] == pytest.approx(0.01)
    assert errors[REST] == pytest.approx(0.5 / math.sqrt(2))
    assert errors[ALL] == pytest.approx(math.sqrt(100.25 / 1_000_002))
