"""Orders of scaling, ways of softmax and sums, on real heads: against numpy, and where they break."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model_runtime import Model, load_model
from model_runtime.interventions import CutEdge
from model_runtime.numbers.scaling_order import ORDERS, compare_orders, head_sizes
from model_runtime.numbers.softmax import WAYS, break_curve, softmax_row
from model_runtime.numbers.sums import KINDS, batch_shapes, error_by_length, in_orders, sum_terms
from model_runtime.run import OpenRun, open_run
from tests.tiny_models import FAMILY_CASES, build_model, tiny_tokenizer

IDS = [1, 2, 3, 4, 5, 6, 7]
PROMPT = "When Harry Potter arrived, everyone knew that Harry"


def run_of(family: str, ids: list[int] = IDS, edits: tuple[CutEdge, ...] = ()) -> OpenRun:
    model = Model(build_model(family), tiny_tokenizer(), model_id=family, name=family, revision="local")
    return open_run(model, ids, edits)


@pytest.fixture(scope="module")
def run() -> OpenRun:
    return open_run(load_model(), PROMPT)


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_at_gain_1_every_order_gives_the_model_s_own_pattern_in_fp32(family: str) -> None:
    run = run_of(family)
    head = run.spec.n_heads - 1  # one that shares its keys, where heads do
    report = compare_orders(run, 1, head)
    for order in ORDERS:
        result = report.results[order, "fp32"]
        np.testing.assert_allclose(result.pattern, run.trace.get("pattern", 1, head), atol=2e-6)
        assert result.infinite == 0
        assert result.n_cells == int(np.isfinite(run.trace.get("attn_scores", 1, head)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 8.0, 64.0])
@pytest.mark.parametrize("layer_head", [(24, 4), (18, 8), (12, 2)])
def test_fp16_is_numpy_s_fp16(run: OpenRun, gain: float, layer_head: tuple[int, int]) -> None:
    """The whole way again in numpy: rounded q and k, a wide product rounded once, scaled in fp16's steps."""
    layer, head = layer_head
    q, k = (gain * run.trace.get(point, layer, head // n) for point, n in (("rot_q", 1), ("rot_k", 3)))
    below = np.tril(np.ones((len(q), len(k)), dtype=bool))
    report = compare_orders(run, layer, head, gain=gain)
    with np.errstate(over="ignore", invalid="ignore"):
        for order in ORDERS:
            a, b = q.astype(np.float16), k.astype(np.float16)
            if order == "key":
                b = (b / np.float16(8)).astype(np.float16)
            if order == "query":
                a = (a / np.float16(8)).astype(np.float16)
            product = (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.float16)
            scores = product / np.float16(8) if order == "after" else product
            result = report.results[order, "fp16"]
            assert result.infinite == int((~np.isfinite(scores) & below).sum())
            largest = np.abs(np.where(below, product, 0).astype(np.float64)).max()
            assert result.largest == pytest.approx(largest, rel=2e-3)
            shares = np.where(below, scores.astype(np.float64), -np.inf)
            shares = np.exp(shares - shares.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            broken = tuple(np.flatnonzero(np.isnan(shares).any(1)).tolist())
            assert result.broken_rows == broken
            whole = [row for row in range(len(q)) if row not in broken]
            np.testing.assert_allclose(result.pattern[whole], shares[whole], atol=2e-3)
            assert np.isnan(result.pattern[list(broken)][below[list(broken)]]).all()


@pytest.mark.slow
def test_the_overflow_appears_and_disappears_with_the_order(run: OpenRun) -> None:
    """The lecture's claim, on the default head: at gain 45 only scaling afterwards breaks."""
    report = compare_orders(run, 24, 4, gain=45.25)
    assert report.results["after", "fp16"].largest == math.inf
    assert report.results["after", "fp16"].broken_rows
    for order in ("key", "query"):
        assert report.results[order, "fp16"].infinite == 0
        assert report.results[order, "fp16"].difference < 1e-3
        assert report.results["after", "bf16"].infinite == 0
    before = compare_orders(run, 24, 4, gain=1.0)
    assert before.results["after", "fp16"].infinite == 0


@pytest.mark.slow
def test_minus_infinity_erases_a_key_without_a_word(run: OpenRun) -> None:
    result = compare_orders(run, 18, 8, gain=32.0).results["after", "fp16"]
    assert (result.up, result.nan) == (0, 0)
    assert result.down == result.infinite > 0
    assert result.broken_rows == ()


@pytest.mark.slow
def test_the_gains_at_which_heads_break_are_where_torch_breaks(run: OpenRun) -> None:
    """A thousandth below the computed gain torch's fp16 is finite, a thousandth above it is not."""
    sizes = head_sizes(run)
    for order in ORDERS:
        gains = sizes.breaking_gains(order)
        assert gains.shape == (30, 9)
        for layer, head in ((0, 7), (18, 8), (29, 0)):
            at = gains[layer, head]
            fine = compare_orders(run, layer, head, gain=at * 0.999)
            broken = compare_orders(run, layer, head, gain=at * 1.001)
            assert fine.results[order, "fp16"].infinite == 0
            assert broken.results[order, "fp16"].infinite > 0


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "gemma2"])
def test_sizes_of_heads_by_hand(family: str) -> None:
    run = run_of(family)
    sizes = head_sizes(run)
    n_heads, group = run.spec.n_heads, run.spec.n_heads // run.spec.n_kv_heads
    off = math.sqrt(run.spec.d_head) if run.model.family.q_handed_over_scaled else 1.0
    for head in range(n_heads):
        call = run.trace.call(1)
        q, k = call.query[0, head].numpy() * off, call.key[0, head // group].numpy()
        visible = np.isfinite(run.trace.get("attn_scores", 1, head))
        dot = np.abs(np.where(visible, q.astype(np.float64) @ k.T, 0)).max()
        assert sizes.dot[1, head] == pytest.approx(dot, rel=1e-5)
        assert sizes.q[1, head] == pytest.approx(np.abs(q).max(), rel=1e-6)
        assert sizes.k[1, head] == pytest.approx(np.abs(k).max(), rel=1e-6)


@pytest.mark.slow
def test_softmax_ways_break_where_exponentials_do(run: OpenRun) -> None:
    largest = float(run.trace.get("attn_scores", 18, 8)[8, :9].max())
    for limit, inside in ((math.log(65_520), "narrow"), (math.log(3.4028e38), "wide")):
        gain = math.sqrt(limit / largest)
        fine = softmax_row(run, 18, 8, 8, gain=gain * 0.99, dtype="fp16")
        broken = softmax_row(run, 18, 8, 8, gain=gain * 1.01, dtype="fp16")
        assert not fine.results[False, inside].broken
        assert broken.results[False, inside].broken
        assert not any(broken.results[True, way].broken for way in ("narrow", "wide"))
    row = softmax_row(run, 18, 8, 8, gain=1.0, dtype="fp16")
    np.testing.assert_allclose(row.exact, run.trace.get("pattern", 18, 8)[8, :9], atol=1e-6)
    for way in WAYS:
        assert row.results[way].error < 1e-3
        np.testing.assert_allclose(row.results[way].shares.sum(), 1, atol=2e-3)


@pytest.mark.slow
def test_the_curve_counts_the_rows_that_break(run: OpenRun) -> None:
    gains = (1.0, 3.0, 30.0)
    curve = break_curve(run, 18, 8, gains, "fp16")
    for way in WAYS:
        by_row = [
            np.mean([softmax_row(run, 18, 8, q, gain=g, dtype="fp16").results[way].broken for q in range(9)])
            for g in gains
        ]
        np.testing.assert_allclose(curve.broken[way], by_row)
    assert curve.broken[False, "narrow"][1] > curve.broken[True, "narrow"][1] == 0


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_the_model(family: str, kind: str) -> None:
    run = run_of(family)
    terms = sum_terms(run, kind, layer=1, position=2)  # type: ignore[arg-type]
    stream = run.traced(points=("resid_pre",)).get("resid_pre", 1)[2].astype(np.float64)
    if run.spec.norm == "LayerNorm":
        stream -= stream.mean()
    logits = run.trace.next_token_logits().astype(np.float64)
    expected = {
        "norm": (stream**2).sum(),
        "logit": logits.max(),
        "vocabulary": np.exp(logits - logits.max()).sum(),
    }[kind]
    assert terms.exact == pytest.approx(expected, rel=1e-5)
    for name, value in error_by_length(terms).sums.items():
        assert value == pytest.approx(expected, rel=0.1 if "16" in name else 1e-5)
        if name == "bf16 in order":
            total = torch.zeros((), dtype=torch.bfloat16)
            for a, b in zip(terms.left, terms.right, strict=True):
                total = total + torch.tensor(a).bfloat16() * torch.tensor(b).bfloat16()
            assert value == float(total)
    for value in in_orders(terms).values():
        assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_errors_by_length_are_those_of_a_loop(run: OpenRun) -> None:
    terms = sum_terms(run, "logit")
    report = error_by_length(terms)
    assert report.lengths[-1] == 576
    total, exact, size = np.float16(0), 0.0, 0.0
    for place, (a, b) in enumerate(zip(terms.left, terms.right, strict=True), start=1):
        total = np.float16(total + np.float16(np.float16(a) * np.float16(b)))
        exact += float(a) * float(b)
        size += abs(float(a) * float(b))
        if place in report.lengths:
            got = report.errors["fp16 in order"][report.lengths.index(place)]
            assert got == pytest.approx(abs(float(total) - exact) / size, rel=1e-9)
    assert report.errors["fp32 in order"][-1] < report.errors["fp16 in order"][-1] / 100


@pytest.mark.slow
def test_the_norm_of_the_first_token_overflows_fp16(run: OpenRun) -> None:
    """Massive activations: why Llama's norm is computed in fp32."""
    report = error_by_length(sum_terms(run, "norm", layer=24, position=0))
    assert report.exact > 1e8
    assert report.sums["fp16 in order"] == math.inf == report.errors["fp16 in order"][-1]
    assert report.errors["fp16 numbers, fp32 sum"][-1] < 1e-3


@pytest.mark.slow
def test_a_row_alone_and_in_company(run: OpenRun) -> None:
    shapes = batch_shapes(run).shapes
    assert (shapes[0].rows, shapes[0].differ) == (1, 0)
    assert all(shape.largest < 1e-3 for shape in shapes)
    head = run.model.hf_model.get_output_embeddings().weight
    row = torch.from_numpy(run.traced(points=("ln_final",)).get("ln_final")[-1:])
    alone, together = (row @ head.T)[0], (row.expand(16, -1).contiguous() @ head.T)[0]
    sixteen = next(shape for shape in shapes if shape.rows == 16)
    assert sixteen.differ == int((alone != together).sum())


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss", "llama", "mistral", "opt"])
def test_a_softmax_row_has_the_keys_that_its_query_may_see(family: str) -> None:
    """Windows, cut edges and soft caps: positions, scores and shares are those of the model's own pattern."""
    cuts = (CutEdge(layer=1, head=0, query_pos=11, key_pos=9),)
    run = run_of(family, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], cuts)
    row = softmax_row(run, 1, 0, 11, gain=1.0, dtype="fp16")
    scores = run.trace.get("attn_scores", 1, 0)[11]
    assert row.keys.tolist() == np.flatnonzero(np.isfinite(scores)).tolist()
    assert 9 not in row.keys
    np.testing.assert_allclose(row.scores, scores[row.keys], rtol=2e-3, atol=1e-4)
    shares = np.exp(scores[row.keys] - scores[row.keys].max())
    np.testing.assert_allclose(row.exact, shares / shares.sum(), atol=1e-5)


def test_a_sum_that_overflows_alone_loses_the_row_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every e^x is finite, their sum is not: all shares are 0, which is no distribution."""
    run = run_of("llama")
    flat = torch.full((7, 7), 10.5).tril()
    flat[flat == 0] = float("-inf")
    monkeypatch.setattr("model_runtime.numbers.softmax.head_scores", lambda *args: flat)
    row = softmax_row(run, 0, 0, 6, gain=1.0, dtype="fp16")
    naive = row.results[False, "narrow"]
    assert np.isfinite(naive.exps).all()
    assert naive.total == math.inf
    assert not naive.shares.any()
    assert naive.broken
    assert not row.results[True, "narrow"].broken
    curve = break_curve(run, 0, 0, (1.0,), "fp16")
    assert curve.broken[False, "narrow"][0] == pytest.approx(6 / 7)  # 2 e^10.5 > 65,504
    assert curve.error[False, "narrow"][0] < 1e-3


def test_a_soft_cap_hides_the_overflow_and_it_is_counted_all_the_same() -> None:
    run = run_of("gemma2")
    gain = float(head_sizes(run).breaking_gains("after")[1, 0]) * 1.5
    result = compare_orders(run, 1, 0, gain=gain).results["after", "fp16"]
    assert result.largest == math.inf
    assert result.overflowed > 0
    assert result.infinite == 0
    assert result.broken_rows == ()
