"""Mixture-of-experts families on tiny random models: routers and experts equal what the model used."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from model_runtime.errors import PointUnavailable
from model_runtime.interventions import ForceExperts, ScaleExpert, ScaleMLP
from model_runtime.model import Model
from model_runtime.moe import experts as eo
from model_runtime.moe.effects import expert_effects, n_forwards
from model_runtime.moe.routing import (
    RouterRule,
    moe_block,
    router_rule,
    routing,
    sparse_layers,
    weights_by_rule,
)
from model_runtime.run import open_run
from tests.tiny_models import TEXT, tiny_model

FAMILIES = ("mixtral", "mixtral-window", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")
RULES = {  # over, renormalised, bias, shared
    "mixtral": ("all", True, False, False),
    "mixtral-window": ("all", True, False, False),
    "qwen2_moe": ("all", False, False, True),
    "qwen3_moe": ("all", False, False, False),
    "olmoe": ("all", False, False, False),
    "gpt_oss": ("chosen", False, True, False),
}


@cache
def model_of(family: str) -> Model:
    hf_model, tokenizer = tiny_model(family)
    return Model(hf_model, tokenizer, model_id=family, name=family, revision="local")


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Model:
    return model_of(request.param)


def test_the_rule_of_each_family(model: Model) -> None:
    rule = router_rule(model)
    name = model.spec.model_id
    assert (rule.over, rule.renormalised, rule.bias, rule.shared) == RULES[name]
    sums = routing(open_run(model, TEXT)).weights.sum(axis=-1)
    assert rule.sums_to_one == bool(np.allclose(sums, 1, atol=1e-6))


def test_weights_and_indices_are_what_the_experts_were_given(model: Model) -> None:
    """The experts' module itself reports what it received; sorted like ours, it is the same to the bit."""
    layers = sparse_layers(model)
    given: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def report(layer: int):  # type: ignore[no-untyped-def]
        def hook(module, args, kwargs):  # type: ignore[no-untyped-def]
            rest = [*args[1:], *kwargs.values()]
            whole = next(t for t in rest if not t.is_floating_point())
            given[layer] = whole, next(t for t in rest if t.is_floating_point())

        return hook

    handles = [
        moe_block(model, layer).experts.register_forward_pre_hook(report(layer), with_kwargs=True)
        for layer in layers
    ]
    try:
        found = routing(open_run(model, TEXT))
    finally:
        for handle in handles:
            handle.remove()
    assert found.layers == layers
    for row, layer in enumerate(layers):
        indices, weights = (tensor.numpy() for tensor in given[layer])
        order = np.argsort(-weights, axis=-1, kind="stable")
        assert np.array_equal(found.indices[row], np.take_along_axis(indices, order, -1))
        assert np.array_equal(found.weights[row], np.take_along_axis(weights, order, -1))
        best = np.sort(np.argsort(-found.logits[row], axis=-1)[:, : indices.shape[1]], axis=-1)
        assert np.array_equal(np.sort(found.indices[row], axis=-1), best), "the best scores are chosen"
    assert found.largest_error < 1e-6
    assert (found.weights[..., :-1] >= found.weights[..., 1:]).all()


def test_experts_recombine_to_the_mlp_output(model: Model) -> None:
    run = open_run(model, TEXT)
    for layer in sparse_layers(model):
        for position in (0, len(run.tokens) - 1):
            found = eo.ask_experts(run, layer, position)
            assert found.largest_error < 1e-5 * max(1.0, found.largest)
            assert np.allclose(found.contributions().sum(axis=0), found.mlp_out, atol=1e-5 * found.largest)
            assert found.projection_shares().sum() == pytest.approx(1)
            assert found.length_shares().sum() == pytest.approx(1)


def test_a_wrong_weight_does_not_recombine(model: Model) -> None:
    """The check of the sum sees a router whose weights are off by one per cent."""
    layer = sparse_layers(model)[0]
    trace = model.trace(TEXT, points=eo.POINTS)
    block = moe_block(model, layer)
    x, weights, indices, mlp_out = (
        torch.from_numpy(trace.get(name, layer))
        for name in ("ln2", "router_weights", "router_indices", "mlp_out")
    )
    with torch.no_grad():
        right = eo.recombined(block, x, weights, indices)
        wrong = eo.recombined(block, x, 1.01 * weights, indices)
    assert (right - mlp_out).abs().max() < 1e-5 * mlp_out.abs().max()
    assert (wrong - mlp_out).abs().max() > 1e-4 * mlp_out.abs().max()


def test_other_experts_are_run_too_and_weigh_nothing(model: Model) -> None:
    layer = sparse_layers(model)[0]
    found = eo.ask_experts(open_run(model, TEXT), layer, 3, others=range(model.spec.n_experts))
    assert sorted(found.experts) == list(range(model.spec.n_experts))
    assert found.n_asked == model.spec.experts_per_token
    assert (found.weights[found.n_asked :] == 0).all()
    assert found.idle_length(found.experts[0]) is None
    idle = np.linalg.norm(found.outputs[-1]) / np.linalg.norm(found.mlp_out)
    assert found.idle_length(found.experts[-1]) == pytest.approx(idle)
    assert np.diag(found.cosines()) == pytest.approx(1)


def test_edited_routers_are_named_and_left_out_of_the_check(model: Model) -> None:
    layer = sparse_layers(model)[0]
    plain = routing(open_run(model, TEXT))
    expert = int(plain.indices[0, 0, 0])
    cut = open_run(model, TEXT, ScaleExpert(layer, expert))
    found = routing(cut)
    assert found.edited == (layer,)
    assert found.largest_error < 1e-6
    assert found.weights[0][found.indices[0] == expert].max() == 0
    outputs = eo.ask_experts(cut, layer, 0)
    assert outputs.largest_error < 1e-5 * max(1.0, outputs.largest)


def test_forced_experts_and_a_scaled_mlp(model: Model) -> None:
    layer, k = sparse_layers(model)[0], model.spec.experts_per_token
    forced = open_run(model, TEXT, ForceExperts(layer, tuple(range(k))))
    assert {*routing(forced).indices[0].ravel().tolist()} == {*range(k)}
    scaled = open_run(model, TEXT, ScaleMLP(layer, 0.5))
    assert np.isnan(eo.ask_experts(scaled, layer, 0).largest_error)


def test_effects_are_those_of_single_edited_runs(model: Model) -> None:
    """Against torch's own KL divergence of two traces; experts without tokens are left out."""
    prompt = "the quick"
    run = open_run(model, prompt)
    decisions, found = routing(run), expert_effects(run)
    counts = decisions.tokens_per_expert()
    assert (np.isnan(found.divergence) == (counts == 0)).all()
    assert n_forwards(decisions) == (counts > 0).sum()
    row, expert = np.argwhere(counts > 0)[-1].tolist()
    off = model.trace(prompt, interventions=ScaleExpert(decisions.layers[row], expert))
    p, q = (
        torch.from_numpy(trace.next_token_logits()).double().log_softmax(-1)
        for trace in (model.trace(prompt), off)
    )
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
    assert found.divergence[row, expert] == pytest.approx(float(expected), rel=1e-4)


def test_experts_by_score_begin_with_the_asked_ones(model: Model) -> None:
    found, layer = routing(open_run(model, TEXT)), sparse_layers(model)[-1]
    order, k = found.by_score(layer, 2), found.indices.shape[-1]
    assert sorted(order) == list(range(found.n_experts))
    assert list(order[:k]) == found.indices[found.row(layer), 2].tolist()


def test_counts_and_shares(model: Model) -> None:
    found = routing(open_run(model, TEXT))
    n_tokens, k = found.indices.shape[1:]
    assert (found.tokens_per_expert().sum(axis=-1) == n_tokens * k).all()
    assert found.shares().sum(axis=-1) == pytest.approx(1)
    assert found.mean_probabilities().sum(axis=-1) == pytest.approx(1)


def test_what_does_not_exist_is_refused(model: Model) -> None:
    run, layer = open_run(model, TEXT), sparse_layers(model)[0]
    for wrong in ({"position": 999}, {"position": 0, "others": (99,)}):
        with pytest.raises(PointUnavailable, match="There is no"):
            eo.ask_experts(run, layer, **wrong)  # type: ignore[arg-type]
    dense = {*range(model.spec.n_layers)} - {*sparse_layers(model)}
    for number in (*dense, 99):
        with pytest.raises(PointUnavailable, match="no mixture of experts"):
            moe_block(model, number)
    with pytest.raises(PointUnavailable, match="no router"):
        routing(open_run(model, TEXT)).row(99)


def test_a_dense_model_has_no_router() -> None:
    with pytest.raises(PointUnavailable, match="dense"):
        routing(open_run(model_of("llama"), TEXT))


def test_the_rule_by_hand() -> None:
    """Scores ln 6, ln 3, ln 1: probabilities 0.6, 0.3, 0.1."""
    scores, chosen = np.log([[6.0, 3.0, 1.0]]), np.array([[0, 1]])
    for rule, expected in (
        (RouterRule("all", True, False, False), [2 / 3, 1 / 3]),
        (RouterRule("all", False, False, False), [0.6, 0.3]),
        (RouterRule("chosen", False, True, False), [2 / 3, 1 / 3]),
    ):
        assert weights_by_rule(scores, chosen, rule)[0] == pytest.approx(expected)
