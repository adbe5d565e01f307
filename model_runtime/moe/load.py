"""Arithmetic on a router's choices: load, balance, noise, capacity, and how far two routings are apart.

A token that is sent to k experts has k slots. Shares are of slots, so those of a layer sum to 1. What a model
really chose comes from a trace (`router_logits`, `router_indices`); nothing here runs a model.

Sources: Shazeer et al. 2017 (arXiv:1701.06538), Lepikhin et al. 2020 (GShard, arXiv:2006.16668), Fedus et al.
2021 (Switch Transformer, arXiv:2101.03961), Lin 1991 (Jensen-Shannon divergence).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.moe.routing import Routing
from model_runtime.records.distributions import softmax

NOISE_SEED = 0


def slot_counts(indices: np.ndarray, n_experts: int) -> np.ndarray:
    """How many slots each expert got, int64 [expert].

    Args:
        indices: chosen experts, int [pos, k].

    >>> slot_counts(np.array([[0, 2], [2, 1], [2, 0]]), 4).tolist()
    [2, 1, 3, 0]
    """
    return np.bincount(indices.ravel(), minlength=n_experts)


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts as shares of 1 along the last axis, float64; all 0 where nothing was counted."""
    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.maximum(total, 1)


def variation(counts: np.ndarray) -> float:
    """Coefficient of variation: standard deviation over mean, 0 for equal loads (Shazeer et al. 2017, eq. 7).

    The deviation is that of the whole population. All slots on one of N experts give sqrt(N - 1).

    >>> variation(np.array([3, 3, 3])), variation(np.array([8, 0]))
    (0.0, 1.0)
    """
    mean = counts.mean()
    return float(counts.std() / mean) if mean else 0.0


def js_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits along the last axis: 0 for equal shares, 1 where none is common.

    JSD = H((p + q) / 2) - (H(p) + H(q)) / 2 with entropies in bits (Lin 1991, eq. 4.1).

    >>> float(js_divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0
    """
    both = entropy_bits((p + q) / 2) - (entropy_bits(p) + entropy_bits(q)) / 2
    return np.clip(both, 0.0, 1.0)


def entropy_bits(p: np.ndarray) -> np.ndarray:
    """Entropy along the last axis in bits; a share of 0 adds nothing."""
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(axis=-1)


# The balance of a layer


@dataclass(frozen=True)
class Balance:
    """The auxiliary loss of one layer on one text, with its parts.

    loss = N * sum(fraction * probability). As transformers counts it for a top-k router, the fractions are
    slots per token and sum to k, so a layer in perfect balance has the loss k; with top-1 this is Switch's
    own definition, whose least value is 1.
    """

    counts: np.ndarray  # int64 [expert], slots
    fraction: np.ndarray  # float64 [expert], f: slots per token
    probability: np.ndarray  # float64 [expert], P: the router's mean probability
    loss: float
    k: int

    @property
    def per_slot(self) -> float:
        """The loss with fractions of slots instead, which sum to 1: 1 in balance, whatever k is."""
        return self.loss / self.k


def balance_loss(logits: np.ndarray, indices: np.ndarray) -> Balance:
    """N * sum(f_i * P_i) of one layer (Fedus et al. 2021, section 2.2, eq. 4 to 6).

    f counts what was chosen and has no gradient; P has one, and is pushed down most where f is large.

    Args:
        logits: the router's, float [pos, expert].
        indices: the experts used, int [pos, k].

    >>> balance_loss(np.zeros((4, 2)), np.array([[0], [1], [0], [1]])).loss
    1.0
    """
    n_tokens, n_experts = logits.shape
    counts = slot_counts(indices, n_experts)  # [expert], sum to k n_tokens
    fraction = counts / n_tokens  # f [expert], sum to k
    probability = softmax(logits).mean(axis=0)  # P [expert], sum to 1
    loss = float(n_experts * (fraction * probability).sum())
    return Balance(counts, fraction, probability, loss, indices.shape[1])


def pooled_loss(routing: Routing) -> float:
    """The loss over all layers as transformers' `load_balancing_loss_func` has it.

    Fractions and probabilities are averaged over the layers first, so that what one layer overloads another
    may even out; this is not the mean of the layers' losses.
    """
    layers = [
        balance_loss(logits, chosen) for logits, chosen in zip(routing.logits, routing.indices, strict=True)
    ]
    fraction = np.mean([layer.fraction for layer in layers], axis=0)
    probability = np.mean([layer.probability for layer in layers], axis=0)
    return float(routing.n_experts * (fraction * probability).sum())


# Noise


def gate_noise(n_tokens: int, n_experts: int, seed: int = NOISE_SEED) -> np.ndarray:
    """One standard normal number for every token and expert, float32 [pos, expert]: the same for a seed."""
    return np.random.default_rng(seed).standard_normal((n_tokens, n_experts), dtype=np.float32)


def noisy_top_k(logits: np.ndarray, k: int, noise: np.ndarray, sigma: float) -> np.ndarray:
    """The k experts that win with sigma * noise added to the logits, the best first, int64 [pos, k].

    Shazeer et al. 2017, eq. 4, add noise whose strength is learned for every token and expert
    (softplus(x W_noise)); here one strength `sigma` holds for all, since today's models have no W_noise.
    Of equal values the lower expert wins.
    """
    noisy = logits.astype(np.float64) + sigma * noise.astype(np.float64)  # [pos, expert]
    return np.argsort(-noisy, axis=-1, kind="stable")[:, :k]  # [pos, k]


def moved_slots(before: np.ndarray, after: np.ndarray) -> int:
    """How many slots went to an expert that the token was not sent to before; both int [pos, k].

    >>> moved_slots(np.array([[0, 1], [2, 3]]), np.array([[1, 0], [2, 4]]))
    1
    """
    return int((~(after[:, :, None] == before[:, None, :]).any(axis=-1)).sum())


# Capacity


@dataclass(frozen=True)
class Dispatch:
    """Which slots find a place when every expert takes at most `capacity`."""

    capacity: int  # slots an expert takes
    kept: np.ndarray  # bool [pos, k]
    taken: np.ndarray  # int64 [expert], slots that found a place
    dropped: np.ndarray  # int64 [expert], slots that did not

    @property
    def n_dropped(self) -> int:
        return int(self.dropped.sum())

    @property
    def lost_tokens(self) -> np.ndarray:
        """Positions of the tokens that no expert works on: the residual stream passes them on as they are."""
        return np.flatnonzero(~self.kept.any(axis=1))


def expert_capacity(n_tokens: int, n_experts: int, k: int, factor: float) -> int:
    """Slots that one expert takes: factor times the mean load k T / N, rounded down, at least 1.

    Fedus et al. 2021, eq. 3, with k slots a token instead of one.

    >>> expert_capacity(12, 4, 1, 1.0), expert_capacity(12, 4, 2, 1.25), expert_capacity(2, 8, 1, 1.0)
    (3, 7, 1)
    """
    return max(1, int(factor * k * n_tokens / n_experts + 1e-9))


def dispatch(indices: np.ndarray, n_experts: int, factor: float) -> Dispatch:
    """Give out the places in the order of the text, all first choices before all second ones.

    So do Switch (k = 1) and GShard (Lepikhin et al. 2020, algorithm 1, k = 2).

    Args:
        indices: chosen experts, the best first, int [pos, k].
        factor: capacity factor; 0 for no limit.
    """
    n_tokens, k = indices.shape
    capacity = expert_capacity(n_tokens, n_experts, k, factor) if factor else n_tokens
    kept = np.zeros((n_tokens, k), dtype=bool)
    taken = np.zeros(n_experts, dtype=np.int64)
    for choice in range(k):  # first choices of all tokens, then second ones, ...
        for token, expert in enumerate(indices[:, choice].tolist()):
            if taken[expert] < capacity:
                kept[token, choice] = True
                taken[expert] += 1
    return Dispatch(capacity, kept, taken, slot_counts(indices, n_experts) - taken)


# Two texts


@dataclass(frozen=True)
class PromptDivergence:
    """How differently two texts are routed, in bits, and how much of it would be there by chance."""

    layers: tuple[int, ...]
    bits: np.ndarray  # float64 [layer]
    chance_mean: np.ndarray  # float64 [layer], tokens of both texts dealt out at random
    chance_high: np.ndarray  # float64 [layer], which 95 % of the dealings stay below
    n_tokens: tuple[int, int]
    shuffles: int


def prompt_divergence(one: Routing, other: Routing, shuffles: int = 200, seed: int = 0) -> PromptDivergence:
    """Jensen-Shannon divergence of two prompts' routing by layer, with a permutation baseline.

    For the baseline the tokens of both are mixed and dealt out again into two heaps of the same sizes
    (Fisher's permutation test): short texts differ by chance alone, and this says by how much.

    Raises:
        ValueError: the two models have other layers with routers, or another number of experts.
    """
    if one.layers != other.layers or one.n_experts != other.n_experts:
        raise ValueError("two routings of different shape cannot be compared")
    sizes = (one.indices.shape[1], other.indices.shape[1])
    deals = _deals(sizes, shuffles, seed)
    bits, means, highs = [], [], []
    for pair in zip(one.indices, other.indices, strict=True):
        slots = _one_hot(np.concatenate(pair), one.n_experts)
        first = np.stack([slots[: sizes[0]].sum(axis=0), *(deals @ slots)]).astype(np.float64)
        found = js_divergence(shares(first), shares(slots.sum(axis=0) - first))
        bits.append(found[0])
        means.append(found[1:].mean())
        highs.append(np.quantile(found[1:], 0.95))
    return PromptDivergence(one.layers, np.array(bits), np.array(means), np.array(highs), sizes, shuffles)


def _deals(sizes: tuple[int, int], shuffles: int, seed: int) -> np.ndarray:
    """Which tokens are dealt to the first heap, float32 [shuffle, token of both]."""
    generator = np.random.default_rng(seed)
    dealt = np.zeros((shuffles, sum(sizes)), dtype=np.float32)
    for row in dealt:
        row[generator.permutation(sum(sizes))[: sizes[0]]] = 1
    return dealt


def _one_hot(indices: np.ndarray, n_experts: int) -> np.ndarray:
    """float32 [pos, expert]: 1 where the expert was chosen."""
    hot = np.zeros((len(indices), n_experts), dtype=np.float32)
    np.put_along_axis(hot, indices, 1.0, axis=1)
    return hot
