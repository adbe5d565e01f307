"""One model in three formats against plain Hugging Face forwards, slow loops, and what is known to break."""

from __future__ import annotations

import gc
import math
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.errors import ModelTooLarge, PromptError, UnsupportedModel
from model_runtime.interventions import Intervention, ScaleMLP
from model_runtime.model import Model
from model_runtime.numbers.inner_precision import inner_precision, longest_rows
from model_runtime.numbers.precision_texts import PrecisionTexts, compare_texts
from model_runtime.numbers.precisions import (
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
    PrecisionReport,
    compare_precisions,
    count_lost,
    largest_value,
    stream_errors,
)
from model_runtime.run import ModelIn, Turn, open_run
from model_runtime.sampling.greedy import greedy_text
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


def compared(
    model_in: ModelIn, edits: Intervention | tuple[Intervention, ...] = (), *, turn: Turn = nullcontext
) -> PrecisionReport:
    """The prompt in three formats; the run itself holds a model of its own."""
    return compare_precisions(
        open_run(models_of("llama")("float32"), IDS, edits), model_in=model_in, turn=turn
    )


def continued(
    model_in: ModelIn,
    n_tokens: int,
    edits: Intervention | tuple[Intervention, ...] = (),
    ids: tuple[int, ...] = IDS,
) -> PrecisionTexts:
    run = open_run(models_of("llama")("float32"), ids, edits)
    return compare_texts(run, n_tokens, model_in=model_in)


def plain_forward(family: str, dtype: torch.dtype) -> tuple[list[np.ndarray], np.ndarray]:
    """Hidden states that enter each layer, and the next-token logits, without our code."""
    model: Any = build_model(family, attention="sdpa").to(dtype).eval()
    with torch.no_grad():
        output = model(torch.tensor([IDS]), output_hidden_states=True, use_cache=False, logits_to_keep=1)
    return [state[0].float().numpy() for state in output.hidden_states[:-1]], output.logits[
        0, -1
    ].float().numpy()


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_streams_and_logits_are_a_plain_forward_s(family: str) -> None:
    report = compared(models_of(family))
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
    report = compared(models_of(family), ScaleMLP(1, 2.0**30))
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
    report = compared(model_of)
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
    report = compared(model_of, ScaleMLP(1, 2.0**14))
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
    reading = FormatReading("fp16", {}, counts, {}, np.zeros((4, 3)), none, none)
    assert reading.first_broken == found


def test_layers_read_in_groups_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model_of = models_of("llama")
    whole = compared(model_of)
    monkeypatch.setattr("model_runtime.numbers.precisions._MOST_BYTES", 1)
    turns: list[int] = []

    class Turn:
        def __enter__(self) -> None:
            turns.append(1)

        def __exit__(self, *_: object) -> None: ...

    parts = compared(model_of, turn=Turn)
    assert len(turns) == 4 * whole.n_layers  # fp32 is run again for the second format
    for one, other in zip(whole.readings, parts.readings, strict=True):
        np.testing.assert_array_equal(one.error, other.error)
        np.testing.assert_array_equal(one.logits, other.logits)
        for point in one.counts:
            np.testing.assert_array_equal(one.counts[point], other.counts[point])
            np.testing.assert_array_equal(one.largest[point], other.largest[point])


@pytest.mark.parametrize(("most_bytes", "at_once"), [(2**29, 1), (1, 2)])
def test_each_model_is_had_once_and_let_go(
    most_bytes: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many groups of layers there are; and the next one is loaded after the last one has gone."""
    monkeypatch.setattr("model_runtime.numbers.precisions._MOST_BYTES", most_bytes)
    loads, alive = Counter[str](), weakref.WeakSet[Model]()

    def model_of(dtype: str) -> Model:
        loads[dtype] += 1
        gc.collect()
        assert len(alive) < most, "another model is still held"
        model = models_of("llama")(dtype)
        alive.add(model)
        return model

    most = at_once
    report = compared(model_of)
    assert loads == {"float32": 1, "bfloat16": 1, "float16": 1}
    assert (report.reading("fp32").sizes[STREAM] > 0).all()
    gc.collect()
    assert not alive
    loads.clear()
    most = 1
    assert len(continued(model_of, 3).texts) == 3
    assert loads == {"float32": 1, "bfloat16": 1, "float16": 1}


def failing(error: Exception, dtype: str = "float16") -> Callable[[str], Model]:
    """The tiny Llama, whose `dtype` raises."""
    model_of = models_of("llama")

    def failing_of(asked: str) -> Model:
        if asked == dtype:
            raise error
        return model_of(asked)

    return failing_of


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), ModelTooLarge, "in fp16"),
        (RuntimeError("can't allocate memory: you tried to allocate 9 bytes"), ModelTooLarge, "in fp16"),
        (MemoryError(), ModelTooLarge, "in fp16"),
        (ModelTooLarge("Too large.", "Choose."), ModelTooLarge, "Too large"),
        (RuntimeError("A collecting forward captured nothing"), RuntimeError, "captured nothing"),
        (PromptError("Blank."), PromptError, "Blank"),
    ],
)
def test_what_says_nothing_of_the_format_is_raised(
    error: Exception, raised: type[Exception], words: str
) -> None:
    """A report without a format would be kept for everybody: only what stays so may be left out."""
    for compare in (
        lambda: compared(failing(error)),
        lambda: continued(failing(error), 2),
    ):
        with pytest.raises(raised, match=words):
            compare()


def test_a_family_without_the_format_is_told() -> None:
    model_of = failing(UnsupportedModel("No kernel.", "Use fp32."), "bfloat16")
    assert compared(model_of).missing == {"bf16": "No kernel. Use fp32."}
    assert continued(model_of, 2).missing == {"bf16": "No kernel. Use fp32."}


def test_fp32_is_counted_where_no_other_format_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_runtime.numbers.precisions._MOST_BYTES", 1)
    whole = compared(models_of("llama")).reading("fp32")

    def lacking(dtype: str) -> Model:
        if dtype != "float32":
            raise RuntimeError("\"addmm\" not implemented for 'Half'")
        return models_of("llama")(dtype)

    report = compared(lacking)
    assert [*report.missing] == ["bf16", "fp16"]
    for point, sizes in report.reading("fp32").sizes.items():
        np.testing.assert_array_equal(sizes, whole.sizes[point])


def test_counts_of_all_points_are_a_slow_loop_s() -> None:
    reading = compared(models_of("llama"), ScaleMLP(1, 2.0**14)).reading("fp16")
    for place in range(4):
        counts, size = list(reading.counts[STREAM][place]), int(reading.sizes[STREAM][place])
        for point in ("attn_out", "mlp_post", "mlp_out") if place else ():
            counts = [a + b for a, b in zip(counts, reading.counts[point][place - 1], strict=True)]
            size += int(reading.sizes[point][place - 1])
        assert list(reading.lost[place]) == counts
        assert reading.looked_at[place] == size
    assert reading.lost[2:].any()


def test_a_format_that_cannot_be_had_is_told() -> None:
    model_of = models_of("llama")

    def lacking(dtype: str) -> Model:
        if dtype == "float16":
            raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'\nmore")
        return model_of(dtype)

    report = compared(lacking)
    assert report.missing == {"fp16": "\"addmm_impl_cpu_\" not implemented for 'Half'"}
    assert [reading.key for reading in report.readings] == ["fp32", "bf16"]
    texts = continued(lacking, 3)
    assert [text.key for text in texts.texts] == ["fp32", "bf16"]
    assert "Half" in texts.missing["fp16"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_texts_are_the_greedy_ones_and_part_where_they_differ(family: str) -> None:
    model_of = models_of(family)
    found = continued(model_of, 12)
    reference = found.texts[0]
    for text in found.texts:
        model = model_of(str(DTYPES[text.key])[6:])
        expected = [token.token.id for token in greedy_text(open_run(model, IDS), 12).tokens]
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
    partings = [continued(model_of, 12, ids=(i, i + 1)).texts[1].parting for i in range(1, 13)]
    assert any(parting is not None for parting in partings)


def test_a_broken_distribution_is_not_drawn_from() -> None:
    texts = continued(models_of("llama"), 4, ScaleMLP(1, 2.0**14)).texts
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


def test_rows_that_are_zero_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded rows at both ends of the table must not make every share 100 %, nor the norm fail."""
    model = models_of("llama")("float16")
    table = model.hf_model.get_input_embeddings().weight.detach()
    with torch.no_grad():
        table[:100] = 0
        table[-100:] = 0
    inner = inner_precision(model)
    assert inner.product_rounded < 0.9
    assert inner.norm
    rows = longest_rows(table, 72)
    sizes = table.float().norm(dim=1)
    np.testing.assert_array_equal(rows.float().norm(dim=1), sizes.sort(descending=True).values[:72])
    with torch.no_grad():
        table.zero_()
    assert inner_precision(model).terms == 0


def test_of_a_large_table_some_thousand_rows_are_tried() -> None:
    table = torch.ones(50_000, 1) * torch.arange(50_000)[:, None]
    assert longest_rows(table, 3)[:, 0].tolist() == [49_992, 49_980, 49_968]


class NarrowNorm(torch.nn.LayerNorm):
    """Computes in its input's format: the squares of 300 overflow in fp16, and only its bias is left."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squares = (x * x).sum(-1, keepdim=True) / x.shape[-1]
        return x / (squares + self.eps).sqrt() * self.weight + self.bias


@pytest.mark.parametrize(("dtype", "wide"), [("float16", False), ("bfloat16", True), ("float32", True)])
def test_a_norm_that_overflows_inside_is_found_out_despite_its_bias(dtype: str, wide: bool) -> None:
    model = models_of("gpt2")(dtype)
    norm = NarrowNorm(model.spec.d_model).to(getattr(torch, dtype))
    torch.nn.init.normal_(norm.bias)
    model.adapter.model_roles["ln_final"] = norm
    inner = inner_precision(model)
    assert inner.norm is wide
    model.adapter.model_roles["ln_final"] = None
    inner = inner_precision(model)
    assert inner.norm is None


def test_first_and_rest_are_apart() -> None:
    exact = np.array([[1000.0, 0], [1, 0], [0, 1]], np.float32)
    values = exact + np.array([[10, 0], [0, 0.5], [0, 0]], np.float32)
    errors = stream_errors(values, exact)
    assert errors[FIRST] == pytest.approx(0.01)
    assert errors[REST] == pytest.approx(0.5 / math.sqrt(2))
    assert errors[ALL] == pytest.approx(math.sqrt(100.25 / 1_000_002))
