"""Routing arithmetic by hand: counts, balance, noise, capacity, divergence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from model_runtime.model import Model
from model_runtime.moe.load import (
    balance_loss,
    dispatch,
    expert_capacity,
    gate_noise,
    js_divergence,
    noisy_top_k,
    pooled_loss,
    prompt_divergence,
    shares,
    slot_counts,
    variation,
)
from model_runtime.moe.routing import Routing, routing
from model_runtime.run import open_run
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    hf_model, tokenizer = tiny_model("mixtral")
    return Model(hf_model, tokenizer, model_id="tiny", name="tiny", revision="local")


def test_divergence_by_hand() -> None:
    p, q = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    # m = (3/4, 1/4): H(m) = 0.811278, H(p) = 0, H(q) = 1
    assert js_divergence(p, q) == pytest.approx(0.311278, abs=1e-6)
    assert js_divergence(q, q) == 0
    assert js_divergence(p, p[::-1]) == 1
    assert js_divergence(np.stack((p, q)), q) == pytest.approx([0.311278, 0], abs=1e-6)


def test_variation_of_everything_on_one_of_n() -> None:
    assert variation(np.array([12, 0, 0, 0])) == pytest.approx(np.sqrt(3))
    assert variation(np.zeros(4)) == 0
    assert shares(np.zeros(4)).sum() == 0


def test_the_loss_by_hand() -> None:
    # Two tokens, two experts: probabilities (3/4, 1/4) both, both go to expert 0.
    logits = np.log(np.array([[3.0, 1.0], [3.0, 1.0]]))
    balance = balance_loss(logits, np.array([[0], [0]]))
    assert balance.fraction.tolist() == [1, 0]
    assert balance.probability == pytest.approx([0.75, 0.25])
    assert balance.loss == pytest.approx(2 * 0.75)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_uniform_router_has_the_loss_k(k: int) -> None:
    indices = np.array([[(token + choice) % 8 for choice in range(k)] for token in range(16)])
    balance = balance_loss(np.zeros((16, 8)), indices)
    assert balance.loss == pytest.approx(k)
    assert balance.per_slot == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_loss_is_that_of_transformers(k: int) -> None:
    logits = np.random.default_rng(k).normal(size=(50, 6)).astype(np.float32)
    indices = noisy_top_k(logits, k, np.zeros_like(logits), 0)
    theirs = load_balancing_loss_func((torch.from_numpy(logits),), 6, k)
    assert balance_loss(logits, indices).loss == pytest.approx(float(theirs), rel=1e-5)


def test_the_loss_of_a_real_layer(model: Model) -> None:
    trace = model.trace("the quick brown fox jumps over the lazy dog")
    for layer in range(3):
        logits, indices = trace.get("router_logits", layer), trace.get("router_indices", layer)
        theirs = load_balancing_loss_func((torch.from_numpy(logits),), 4, 2)
        assert balance_loss(logits, indices).loss == pytest.approx(float(theirs), rel=1e-5)
        assert np.array_equal(noisy_top_k(logits, 2, np.zeros_like(logits), 0), indices)


def test_noise_is_the_same_for_a_seed_and_moves_close_calls_first() -> None:
    assert np.array_equal(gate_noise(5, 3, 1), gate_noise(5, 3, 1))
    assert not np.array_equal(gate_noise(5, 3, 1), gate_noise(5, 3, 2))
    logits = np.array([[1.0, 0.9, -5.0]])
    noise = np.array([[0.0, 1.0, 0.0]], dtype=np.float32)
    assert noisy_top_k(logits, 1, noise, 0.0).tolist() == [[0]]
    assert noisy_top_k(logits, 1, noise, 0.2).tolist() == [[1]]


def test_the_loss_of_all_layers_is_that_of_transformers(model: Model) -> None:
    found = routed(model, "the quick brown fox jumps over the lazy dog")
    theirs = load_balancing_loss_func(tuple(torch.from_numpy(logits) for logits in found.logits), 4, 2)
    assert pooled_loss(found) == pytest.approx(float(theirs), rel=1e-5)


def test_capacity_by_hand() -> None:
    assert expert_capacity(10, 4, 1, 1.0) == 2
    assert expert_capacity(10, 4, 1, 1.25) == 3
    assert expert_capacity(1, 8, 2, 0.25) == 1
    assert expert_capacity(100, 8, 2, 1.2) == 30  # 29.999999999999996 in floating point


def test_switch_drops_the_later_tokens() -> None:
    # Six tokens, three experts, factor 1: two places each. Expert 0 is asked four times.
    found = dispatch(np.array([[0], [0], [1], [0], [0], [2]]), 3, 1.0)
    assert found.capacity == 2
    assert found.kept[:, 0].tolist() == [True, True, True, False, False, True]
    assert found.taken.tolist() == [2, 1, 1]
    assert found.dropped.tolist() == [2, 0, 0]
    assert found.lost_tokens.tolist() == [3, 4]


def test_first_choices_come_before_second_ones() -> None:
    # Expert 0 has one place. Token 0 wants it second, token 1 first: token 1 gets it.
    found = dispatch(np.array([[1, 0], [0, 2]]), 4, 1.0)
    assert found.capacity == 1
    assert found.kept.tolist() == [[True, False], [True, True]]
    assert found.lost_tokens.size == 0


def test_without_a_limit_nothing_is_dropped() -> None:
    indices = np.zeros((7, 1), dtype=np.int64)
    assert dispatch(indices, 4, 0).n_dropped == 0
    assert dispatch(indices, 4, 4).n_dropped == 0
    assert dispatch(indices, 4, 1).n_dropped == 6


def test_taken_and_dropped_are_all(model: Model) -> None:
    indices = model.trace("the quick brown fox jumps over the lazy dog").get("router_indices", 0)
    for factor in (0.25, 0.5, 1.0, 1.5):
        found = dispatch(indices, 4, factor)
        assert np.array_equal(found.taken + found.dropped, slot_counts(indices, 4))
        assert found.taken.max() <= found.capacity
        assert found.taken.sum() == found.kept.sum()


def routed(model: Model, text: str) -> Routing:
    return routing(open_run(model, text))


def test_two_prompts(model: Model) -> None:
    one = routed(model, "the quick brown fox jumps over the lazy dog")
    other = routed(model, "0 + 0 = 0 0 + 1 = 1")
    same, apart = prompt_divergence(one, one), prompt_divergence(one, other)
    assert same.bits.tolist() == [0, 0, 0]
    assert same.layers == (0, 1, 2)
    assert (same.chance_mean > 0).all()
    assert (apart.bits > 0).all()
    assert (apart.chance_mean < apart.chance_high).all()
    assert np.array_equal(apart.chance_mean, prompt_divergence(one, other).chance_mean)
    by_hand = js_divergence(*(shares(slot_counts(routing.indices[1], 4)) for routing in (one, other)))
    assert apart.bits[1] == pytest.approx(by_hand)


def test_routings_of_different_shape_are_refused(model: Model) -> None:
    hf_model, tokenizer = tiny_model("qwen3_moe")  # its layer 0 is dense
    other = Model(hf_model, tokenizer, model_id="other", name="other", revision="local")
    with pytest.raises(ValueError, match="different shape"):
        prompt_divergence(routed(model, "the dog"), routed(other, "the dog"))
