"""Interventions: frozen, hashable records of an edit to one forward pass.

They are data, never callables, so a run with edits has a key, fits in a link and can be replayed.
Weights are never touched: the edits are applied by the hooks of `capture`, for one request only.
Captured values are those after the edit.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleHead:
    """Multiply one head's output z by `factor` before W_O (0 cuts it: "ablation").

    `positions`: the token positions edited; None edits all.
    """

    layer: int
    head: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleMLP:
    """Multiply what a layer's MLP (dense or sparse) adds to the stream by `factor`."""

    layer: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleNeuron:
    """Multiply one entry of `mlp_post` by `factor` (dense layers)."""

    layer: int
    neuron: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleExpert:
    """Multiply one expert's routing weight by `factor` wherever it was chosen.

    With `renormalise` the weights of each token's remaining experts are scaled so that their sum is
    what it was before.
    """

    layer: int
    expert: int
    factor: float = 0.0
    renormalise: bool = False


@dataclass(frozen=True)
class ForceExperts:
    """Route tokens of one layer to `experts` (as many as the router picks) with `weights`.

    `weights` None keeps the router's own probabilities of those experts, renormalised as the family does.
    """

    layer: int
    experts: tuple[int, ...]
    weights: tuple[float, ...] | None = None
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CutEdge:
    """Set the score of one query-key pair to -inf before the softmax (`head` None: in all heads).

    A row whose every key is cut would have no pattern: such a request is refused.
    """

    layer: int
    head: int | None
    query_pos: int
    key_pos: int


@dataclass(frozen=True)
class Patch:
    """Replace the value of a stream point at one layer and position by `values`.

    `point`: embed (layer 0), resid_pre, resid_mid, resid_post, attn_out or mlp_out.
    """

    point: str
    layer: int
    position: int
    values: tuple[float, ...]  # [d_model]


@dataclass(frozen=True)
class Steer:
    """Add `factor` x `vector` to a stream point at one layer (`positions` None: everywhere)."""

    point: str
    layer: int
    vector: tuple[float, ...]  # [d_model]
    factor: float = 1.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class RopeBase:
    """Use another RoPE base (theta) in all layers that rotate."""

    base: float


@dataclass(frozen=True)
class RopeOffset:
    """Add `offset` to every position that the rotation reads."""

    offset: int


@dataclass(frozen=True)
class RopeScaling:
    """Stretch the context: `linear` divides positions by `factor` (Chen et al. 2023, position interpolation);
    `ntk` raises the base by factor^(d/(d-2)) instead."""

    kind: str  # "linear" or "ntk"
    factor: float


@dataclass(frozen=True)
class PositionsOff:
    """No position information: RoPE's rotation becomes the identity, a learned table adds nothing."""


Intervention = (
    ScaleHead
    | ScaleMLP
    | ScaleNeuron
    | ScaleExpert
    | ForceExperts
    | CutEdge
    | Patch
    | Steer
    | RopeBase
    | RopeOffset
    | RopeScaling
    | PositionsOff
)
