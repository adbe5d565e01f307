"""Mixture-of-experts layers: what the router decided, as the model used it.

A router scores every expert for every token (one linear map), takes the best k, and weighs their outputs
(Shazeer et al. 2017, arXiv:1701.06538, 2.1; Fedus et al. 2021, arXiv:2101.03961, 2.1). Families differ in
how scores become weights; `router_rule` reads that off a loaded model, and `routing` checks it against the
weights that the model used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from model_runtime.errors import PointUnavailable
from model_runtime.interventions import ForceExperts, ScaleExpert
from model_runtime.model import Model
from model_runtime.records.distributions import softmax
from model_runtime.run import OpenRun


@dataclass(frozen=True)
class RouterRule:
    """How this model turns the router's scores into weights.

    over: "all" takes the softmax over all experts and then keeps the k largest; "chosen" keeps the k largest
        scores and takes the softmax over those.
    renormalised: the k weights are divided by their sum. ("all" and renormalised equals "chosen": the sum
        of the softmax cancels.)
    bias: the scores have one added number an expert.
    shared: every token also passes through one more expert that no router chooses.
    """

    over: str
    renormalised: bool
    bias: bool
    shared: bool

    @property
    def sums_to_one(self) -> bool:
        return self.over == "chosen" or self.renormalised


@dataclass(frozen=True, eq=False)
class Routing:
    """Every decision of every router on one prompt. The first axis runs over the sparse `layers`.

    logits: the router's scores, float32 [layer, pos, expert].
    indices: the experts that each token was sent to, int64 [layer, pos, k], the best score first. (That is
        the largest weight first, unless an edit changed the weights.)
    weights: their weights as the model used them, after any edit, float32 [layer, pos, k].
    largest_error: between the weights and those that `rule` makes of the logits, over all layers whose
        router was not edited; NaN if there is none.
    """

    layers: tuple[int, ...]
    logits: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    rule: RouterRule
    edited: tuple[int, ...]
    largest_error: float

    @property
    def nbytes(self) -> int:
        return self.logits.nbytes + self.indices.nbytes + self.weights.nbytes

    @property
    def n_experts(self) -> int:
        return int(self.logits.shape[-1])

    def row(self, layer: int) -> int:
        """Where a layer of the model lies in the arrays.

        Raises:
            PointUnavailable: the layer is dense.
        """
        if layer not in self.layers:
            raise PointUnavailable(
                f"Layer {layer} has no router: it is dense.",
                f"Layers with experts: {', '.join(map(str, self.layers))}.",
            )
        return self.layers.index(layer)

    def by_score(self, layer: int, position: int) -> tuple[int, ...]:
        """All experts as a token's router likes them, the best score first."""
        order = np.argsort(-self.logits[self.row(layer), position], kind="stable")
        return tuple(order.tolist())

    def probabilities(self, layer: int) -> np.ndarray:
        """Softmax of the scores over all experts, float64 [pos, expert].

        Before any top-k. A model whose rule is "chosen" never computes it.
        """
        return softmax(self.logits[self.row(layer)])

    def tokens_per_expert(self) -> np.ndarray:
        """How many tokens were sent to each expert, int64 [layer, expert]; each token counts k times."""
        n = self.n_experts
        return np.stack([np.bincount(chosen.ravel(), minlength=n) for chosen in self.indices])

    def shares(self) -> np.ndarray:
        """The share of all assignments that each expert got, float64 [layer, expert]: f_i of Fedus et al.
        2021, eq. 5, which for k above 1 counts every choice. Each layer's shares sum to 1."""
        counts = self.tokens_per_expert()
        return counts / counts.sum(axis=-1, keepdims=True)

    def mean_probabilities(self) -> np.ndarray:
        """The mean of the router's softmax over tokens, float64 [layer, expert]: P_i of Fedus et al. 2021."""
        return np.stack([self.probabilities(layer).mean(axis=0) for layer in self.layers])


def sparse_layers(model: Model) -> tuple[int, ...]:
    """The layers that are mixtures of experts; the others are dense."""
    return tuple(number for number, layer in enumerate(model.spec.layers) if layer.sparse)


def moe_block(model: Model, layer: int) -> Any:
    """The Hugging Face module that holds a layer's router and experts.

    Raises:
        PointUnavailable: the layer is dense, or there is no such layer.
    """
    if layer not in sparse_layers(model):
        raise PointUnavailable(
            f"Layer {layer} of {model.spec.name} is no mixture of experts.",
            f"Layers with experts: {', '.join(map(str, sparse_layers(model))) or 'none'}.",
        )
    return model.adapter.blocks[layer].mlp


def router_rule(model: Model) -> RouterRule:
    """How the routers of this model make weights of scores; the same in all its sparse layers.

    Raises:
        PointUnavailable: the model is dense.
    """
    layers = sparse_layers(model)
    if not layers:
        raise PointUnavailable(
            f"{model.spec.name} is dense: it has no router.", "Choose a mixture of experts."
        )
    router: Any = model.adapter.role("router", layers[0])
    bias = getattr(router, "bias", None) is not None
    return RouterRule(
        over="chosen" if bias else "all",
        renormalised=not bias and bool(getattr(router, "norm_topk_prob", True)),
        bias=bias,
        shared=hasattr(moe_block(model, layers[0]), "shared_expert"),
    )


def routing(run: OpenRun) -> Routing:
    """What every router of a run decided, and whether its rule gives the weights it used.

    Raises:
        PointUnavailable: the model is dense.
    """
    rule, layers = router_rule(run.model), sparse_layers(run.model)
    edited = {edit.layer for edit in run.interventions if isinstance(edit, ScaleExpert | ForceExperts)}
    logits, chosen, used = (
        np.stack([run.trace.get(f"router_{name}", layer) for layer in layers])
        for name in ("logits", "indices", "weights")
    )
    order = np.argsort(-np.take_along_axis(logits, chosen, -1), axis=-1, kind="stable")
    indices, weights = np.take_along_axis(chosen, order, -1), np.take_along_axis(used, order, -1)
    own = [row for row, layer in enumerate(layers) if layer not in edited]
    errors = np.abs(weights[own] - weights_by_rule(logits[own], indices[own], rule))
    return Routing(
        layers=layers,
        logits=logits,
        indices=indices,
        weights=weights,
        rule=rule,
        edited=tuple(sorted(edited)),
        largest_error=float(errors.max()) if own else float("nan"),
    )


def weights_by_rule(scores: np.ndarray, chosen: np.ndarray, rule: RouterRule) -> np.ndarray:
    """From scores [..., expert] to the weights of the `chosen` experts [..., k], float64.

    Shazeer et al. 2017 (arXiv:1701.06538, eq. 3 to 5) keep the k best scores and take the softmax over those;
    Switch (Fedus et al. 2021, arXiv:2101.03961, eq. 1 and 2) takes it over all and keeps the best. Mixtral
    divides by the sum of those kept, so both ways give the same.

    >>> both = np.log([[6.0, 3.0, 1.0]]), np.array([[0, 1]])
    >>> weights_by_rule(*both, RouterRule("all", True, False, False)).round(3).tolist()
    [[0.667, 0.333]]
    >>> weights_by_rule(*both, RouterRule("all", False, False, False)).round(3).tolist()
    [[0.6, 0.3]]
    >>> weights_by_rule(*both, RouterRule("chosen", False, True, False)).round(3).tolist()
    [[0.667, 0.333]]
    """
    if rule.over == "chosen":
        return softmax(np.take_along_axis(scores, chosen, axis=-1))  # [..., k], sum to 1
    probabilities = softmax(scores)  # [..., expert], sum to 1
    weights = np.take_along_axis(probabilities, chosen, axis=-1)  # [..., k], sum to less than 1
    if rule.renormalised:
        weights = weights / weights.sum(axis=-1, keepdims=True)  # sum to 1
    return weights
