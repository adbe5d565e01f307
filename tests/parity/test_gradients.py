"""Gradients against plain transformers, finite differences and numpy's float16; nothing is left behind."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.errors import ModelTooLarge, PromptError
from model_runtime.numbers import gradients
from model_runtime.numbers.gradients import (
    LOWEST,
    SCALES,
    backward,
    fp16_limits,
    loss_gradients,
    loss_scaling,
    weight_groups,
)
from tests.tiny_models import FAMILY_CASES, TEXT, build_model, tiny_tokenizer

PASSES = (-16, 0, 8, 24)


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def ids_of(model: Model, n: int = 12) -> tuple[int, ...]:
    return model.prompt_ids(TEXT)[:n]


def plain_backward(case: str, ids: tuple[int, ...]) -> tuple[float, dict[str, torch.Tensor]]:
    """Hugging Face's own loss and torch's own `.backward()`, on a model that we never touched."""
    hf_model = copy.deepcopy(build_model(case))
    inputs = torch.tensor([ids])
    loss = hf_model(input_ids=inputs, labels=inputs, use_cache=False).loss
    loss.backward()
    # A weight that took no part has None: an expert that nobody asked.
    return float(loss.detach()), {
        name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in hf_model.named_parameters()
    }


@pytest.mark.parametrize("case", [*FAMILY_CASES])
def test_gradients_of_weights_are_those_of_a_plain_backward(case: str) -> None:
    model = model_of(case)
    ids = ids_of(model)
    loss, expected = plain_backward(case, ids)
    found = backward(model, ids, torch.float32)
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.weights.keys() == expected.keys()
    for name, gradient in found.weights.items():
        scale = float(expected[name].abs().max())
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-3, atol=1e-4 * scale + 1e-9)


@pytest.mark.parametrize(
    ("case", "blocks"), [("gpt2", "transformer.h"), ("llama", "model.layers"), ("mixtral", "model.layers")]
)
def test_gradients_of_the_stream_are_those_at_each_layer_s_output(case: str, blocks: str) -> None:
    model = model_of(case)
    ids = ids_of(model)
    hf_model, kept = build_model(case), []

    def keep(module: Any, args: Any, output: Any) -> None:
        output.retain_grad()
        kept.append(output)

    for block in hf_model.get_submodule(blocks):
        block.register_forward_hook(keep)
    inputs = torch.tensor([ids])
    out = hf_model(input_ids=inputs, labels=inputs, use_cache=False)
    out.logits.retain_grad()
    out.loss.backward()
    found = backward(model, ids, torch.float32)
    assert len(found.stream) == model.spec.n_layers + 2
    for mine, theirs in zip(found.stream[1:], [*kept, out.logits], strict=True):
        np.testing.assert_allclose(mine, theirs.grad, rtol=1e-3, atol=1e-8)
    # A logit's gradient in closed form: (p - 1 for the right token) / n, and 0 at the last token.
    p = out.logits[0, :-1].softmax(-1).detach()
    p[torch.arange(len(ids) - 1), inputs[0, 1:]] -= 1
    np.testing.assert_allclose(found.stream[-1][0, :-1], p / (len(ids) - 1), rtol=1e-3, atol=1e-8)
    assert not found.stream[-1][0, -1].any()


@pytest.mark.parametrize(
    # Llama's norms compute in float32 also in a float64 model: a larger step keeps more of the digits.
    ("case", "step", "tolerance"),
    [("gpt2", 1e-5, 1e-4), ("opt", 1e-5, 1e-4), ("llama", 1e-3, 1e-2)],
)
def test_a_weight_moved_by_hand_moves_the_loss_as_its_gradient_says(
    case: str, step: float, tolerance: float
) -> None:
    model = model_of(case)
    ids = ids_of(model)
    found = backward(model, ids, torch.float32).weights
    hf_model, inputs = build_model(case).double(), torch.tensor([ids])

    def loss() -> float:
        with torch.no_grad():
            logits = hf_model(input_ids=inputs, use_cache=False).logits
        return float(torch.nn.functional.cross_entropy(logits[0, :-1], inputs[0, 1:]))

    for name, parameter in list(hf_model.named_parameters())[::3]:
        flat, at = parameter.data.view(-1), int(found[name].abs().argmax())
        was = float(flat[at])
        flat[at] = was + step
        above = loss()
        flat[at] = was - step
        slope = (above - loss()) / (2 * step)
        flat[at] = was
        # A key's bias moves no probability: its gradient is 0 but for rounding.
        assert slope == pytest.approx(float(found[name].reshape(-1)[at]), rel=tolerance, abs=1e-5), name


def fates_by_numpy(values: np.ndarray, k: int) -> tuple[int, int, int]:
    """Zero, subnormal, infinite after numpy's own cast of 2^k times each value."""
    with np.errstate(over="ignore", under="ignore"):
        stored = np.abs((values.astype(np.float64) * 2.0**k).astype(np.float16).astype(np.float64))
    there = values != 0
    return (
        int((there & (stored == 0)).sum()),
        int(((stored > 0) & (stored < 2.0**-14)).sum()),
        int(np.isinf(stored).sum()),
    )


def edges() -> np.ndarray:
    """float32 numbers at every border of fp16 and one step to either side, moved by every scale, and more."""
    borders = np.float32(
        [2.0**-25, 2.0**-24, 1.5 * 2.0**-24, 2.0**-14 - 2.0**-25, 2.0**-14, 65504, 65520, 65536]
    )
    around = np.concatenate([borders, np.nextafter(borders, 0), np.nextafter(borders, np.float32(np.inf))])
    moved = np.concatenate([around * np.float32(2.0**-k) for k in (-16, -3, 0, 7, 24)])
    random = np.random.default_rng(0)
    spread = (random.standard_normal(4000) * 2.0 ** random.integers(-60, 20, 4000)).astype(np.float32)
    return np.concatenate([moved, -moved, spread, np.zeros(7, np.float32)]).astype(np.float32)


def test_what_fp16_makes_of_a_number_is_what_numpy_s_cast_makes() -> None:
    values = edges()
    found = gradients._Flat(
        iter([("a", torch.tensor(values[:100])), ("b", torch.tensor(values[100:]))])
    ).sizes()
    for group, part in enumerate((values[:100], values[100:])):
        for at, k in enumerate(SCALES):
            counts = found.vanishing[group, at], found.subnormal[group, at], found.infinite[group, at]
            assert counts == fates_by_numpy(part, k), k
        present = part[part != 0]
        exponents = np.clip(np.floor(np.log2(np.abs(present.astype(np.float64)))), LOWEST, gradients.HIGHEST)
        expected = np.bincount(exponents.astype(int) - LOWEST, minlength=found.counts.shape[1])
        np.testing.assert_array_equal(found.counts[group], expected)
        assert found.zeros[group] == (part == 0).sum()
        assert found.largest[group] == np.abs(part).max()


def test_the_limits_are_float32_numbers() -> None:
    for k in SCALES:
        assert all(float(np.float32(limit)) == limit for limit in fp16_limits(k))


@pytest.mark.parametrize("case", ["gpt2", "llama", "mixtral"])
def test_counts_and_passes_of_a_model(case: str) -> None:
    model = model_of(case)
    ids = ids_of(model)
    report = loss_gradients(model, ids, PASSES)
    assert report.n_tokens == len(ids)
    assert report.weights.sizes.sum() == sum(p.numel() for p in model.hf_model.parameters())
    assert report.stream.sizes.sum() == len(ids) * (model.spec.d_model * 4 + model.spec.d_vocab)
    exact = backward(model, ids, torch.float32)
    values = np.concatenate(
        [exact.weights[n].numpy().ravel() for n, g in weight_groups(model).items() if g == "layer 1"]
    )
    at, k = report.weights.names.index("layer 1"), SCALES.index(-16)
    assert report.weights.vanishing[at, k] == fates_by_numpy(values, -16)[0] > 0
    # The real passes, once more and by hand.
    for row, scale in enumerate(PASSES):
        half = backward(model, ids, torch.float16, scale)
        flat = np.concatenate([g.float().numpy().ravel() for g in half.weights.values()])
        true = np.concatenate([exact.weights[name].numpy().ravel() for name in half.weights])
        assert report.fp16.weights_vanished[row].sum() == ((flat == 0) & (true != 0)).sum()
        assert report.fp16.weights_broken[row].sum() == (~np.isfinite(flat)).sum()
        error = np.linalg.norm(flat / 2.0**scale - true) / np.linalg.norm(true)
        assert report.fp16.error[row] == pytest.approx(error, rel=1e-3, nan_ok=True)
        logits = half.stream[-1].float().numpy()
        assert report.fp16.stream_broken[row, -1] == (~np.isfinite(logits)).sum()
    vanished = report.fp16.weights_vanished.sum(1)
    assert vanished[0] > vanished[1] >= vanished[2]
    assert report.fp16.error[0] > 3 * report.fp16.error[2]
    assert report.bf16.scales == (-16, 0)
    assert report.bf16.error[0] == pytest.approx(report.bf16.error[1], rel=1e-3)  # its range is wide enough
    assert report.bf16.error[1] > report.fp16.error[1]


def test_a_scale_of_two_to_the_k_scales_every_gradient_exactly() -> None:
    model = model_of("llama")
    plain, scaled = (backward(model, ids_of(model), torch.float32, k) for k in (0, 13))
    assert plain.loss == scaled.loss
    for name, gradient in plain.weights.items():
        assert torch.equal(gradient * 2.0**13, scaled.weights[name])


def test_groups_follow_the_model_and_a_tied_head_is_counted_once() -> None:
    untied, tied = (loss_gradients(model_of(case), range(1, 5), (0,)) for case in ("llama", "gpt2"))
    assert untied.weights.names == ("embedding", "layer 0", "layer 1", "layer 2", "head")
    assert tied.weights.names == ("embedding and head", "layer 0", "layer 1", "layer 2", "final norm")
    # Rows of tokens that the prompt does not have, and that of the last one, from which nothing is predicted.
    assert untied.weights.zeros[0] == (320 - 3) * 32
    assert untied.stream.names[0] == "after the embedding"
    assert untied.stream.names[-1] == "logits"


@pytest.mark.parametrize("case", ["gpt2", "llama", "mixtral", "gpt_oss"])
def test_nothing_is_left_behind(case: str) -> None:
    model = model_of(case)
    model.hf_model.requires_grad_(False)
    before = {name: p.clone() for name, p in model.hf_model.named_parameters()}
    places = {name: p.data_ptr() for name, p in model.hf_model.named_parameters()}
    logits = model.trace(TEXT).next_token_logits()
    loss_gradients(model, ids_of(model), (0, 24))
    for name, parameter in model.hf_model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.data_ptr() == places[name]
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert parameter.is_leaf
    np.testing.assert_array_equal(model.trace(TEXT).next_token_logits(), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_forward_of_another_thread_in_the_middle_is_undisturbed(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("llama")
    model.hf_model.requires_grad_(False)
    alone = model.trace(TEXT).next_token_logits()
    seen: list[np.ndarray] = []

    def other() -> None:
        assert not any(p.requires_grad for p in model.hf_model.parameters())
        seen.append(model.trace(TEXT).next_token_logits())

    class Interrupted(gradients.Run):
        def visit(self, place: Any, layer: Any, value: Any) -> Any:
            if place == ("block", "output") and layer == 1:
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
            return super().visit(place, layer, value)

    monkeypatch.setattr(gradients, "Run", Interrupted)
    backward(model, ids_of(model), dtype)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], alone)


def test_it_works_where_gradients_are_switched_off() -> None:
    model = model_of("gpt2")
    with torch.no_grad():
        assert loss_gradients(model, ids_of(model), (0,)).weights.largest.max() > 0


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("gpt2")
    with pytest.raises(PromptError, match="no next token"):
        loss_gradients(model, (5,))
    with pytest.raises(PromptError, match="does not exist"):
        loss_gradients(model, (5, 9999))
    monkeypatch.setattr(gradients, "MOST_TOKENS", 3)
    with pytest.raises(PromptError, match="at most 3"):
        loss_gradients(model, (5, 6, 7, 8))
    monkeypatch.setattr(gradients, "MOST_WEIGHTS", 10)
    with pytest.raises(ModelTooLarge, match="parameters"):
        loss_gradients(model, (5, 6))


def test_scales_of_the_loss_by_kind_are_sums_of_groups() -> None:
    report = loss_gradients(model_of("llama"), ids_of(model_of("llama")), PASSES)
    scaling = loss_scaling(report, range(25))
    assert scaling.kinds == ("weight", "stream", "logit")
    assert scaling.passes == tuple(k for k in PASSES if k >= 0)
    at = SCALES.index(8)
    for kind, sizes, groups in ((0, report.weights, slice(None)), (2, report.stream, slice(-1, None))):
        present = sizes.present[groups].sum()
        assert scaling.vanishing[kind, 8] == sizes.vanishing[groups, at].sum() / present
        assert scaling.infinite[kind, 8] == sizes.infinite[groups, at].sum() / present
        assert scaling.counts[kind].sum() == present
    place = report.fp16.scales.index(8)
    vanished = report.fp16.weights_vanished[place].sum() / report.weights.present.sum()
    assert scaling.measured[0, scaling.passes.index(8)] == vanished
    assert scaling.rows == (*report.weights.names, *report.stream.names)
    assert scaling.rows[scaling.split] == report.stream.names[0]
    # A mean over 16 prompts is a scale of 2^-4.
    batch = loss_scaling(report, range(25), 4)
    np.testing.assert_array_equal(batch.vanishing[:, 4:], scaling.vanishing[:, :-4])
    np.testing.assert_array_equal(batch.layers[:, 4:], scaling.layers[:, :-4])
    assert batch.error[batch.passes.index(12)] == scaling.error[scaling.passes.index(8)]
