"""Interventions: frozen, hashable records of an edit to one forward pass.

They are data, never callables, so a run with edits has a key, fits in a link and can be replayed.
Weights are never touched: the edits are applied by the hooks of `capture`, for one request only.
Captured values are those after the edit.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from model_runtime.errors import InterventionError


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError("a whole number")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise TypeError("a finite number")
    return float(value)


def _many(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_all(value: Any) -> tuple[Any, ...]:
        value = value.tolist() if hasattr(value, "tolist") else value  # numpy, torch
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError("several numbers")
        return tuple(read(one) for one in value)

    return read_all


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _instance(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError({bool: "True or False", str: "a text"}[kind])
        return value

    return check


# How a field is read, by its annotation.
_READERS: dict[str, Callable[[Any], Any]] = {
    "int": _whole,
    "float": _number,
    "bool": _instance(bool),
    "str": _instance(str),
    "int | None": _or_none(_whole),
    "tuple[int, ...]": _many(_whole),
    "tuple[float, ...]": _many(_number),
    "tuple[int, ...] | None": _or_none(_many(_whole)),
    "tuple[float, ...] | None": _or_none(_many(_number)),
}


@dataclass(frozen=True)
class Record:
    """What all interventions share: fields of the right type, lists and arrays made into tuples.

    Raises:
        InterventionError: a field of another type, or a number that is not finite.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            try:
                object.__setattr__(self, field.name, _READERS[str(field.type)](value))
            except TypeError as error:
                raise InterventionError(
                    f"{type(self).__name__} has {field.name} {value!r}.", f"Give {error}."
                ) from None


@dataclass(frozen=True)
class ScaleHead(Record):
    """Multiply one head's output z by `factor` before W_O (0 cuts it: "ablation").

    `positions`: the token positions edited; None edits all.
    """

    layer: int
    head: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleMLP(Record):
    """Multiply what a layer's MLP (dense or sparse) adds to the stream by `factor`."""

    layer: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleNeuron(Record):
    """Multiply one entry of `mlp_post` by `factor` (dense layers)."""

    layer: int
    neuron: int
    factor: float = 0.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ScaleExpert(Record):
    """Multiply one expert's routing weight by `factor` wherever it was chosen.

    With `renormalise` the weights of each token's remaining experts are scaled so that the sum of all is
    what it was before. The expert gets that whole sum at most: then the others have 0, never less.
    """

    layer: int
    expert: int
    factor: float = 0.0
    renormalise: bool = False


@dataclass(frozen=True)
class ForceExperts(Record):
    """Route tokens of one layer to `experts` (as many as the router picks) with `weights`.

    `weights` None keeps the router's own probabilities of those experts, renormalised as the family does;
    given ones must add up to more than 0.
    """

    layer: int
    experts: tuple[int, ...]
    weights: tuple[float, ...] | None = None
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class CutEdge(Record):
    """Set the score of one query-key pair to -inf before the softmax (`head` None: in all heads).

    A row whose every key is cut would have no pattern: such a request is refused.
    """

    layer: int
    head: int | None
    query_pos: int
    key_pos: int


@dataclass(frozen=True)
class Patch(Record):
    """Replace the value of a stream point at one layer and position by `values`.

    `point`: embed (layer 0), resid_pre, resid_mid, resid_post, attn_out or mlp_out.
    """

    point: str
    layer: int
    position: int
    values: tuple[float, ...]  # [d_model]


@dataclass(frozen=True)
class Steer(Record):
    """Add `factor` x `vector` to a stream point at one layer (`positions` None: everywhere)."""

    point: str
    layer: int
    vector: tuple[float, ...]  # [d_model]
    factor: float = 1.0
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class RopeBase(Record):
    """Use another RoPE base (theta) in all layers that rotate."""

    base: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.base > 1:
            raise InterventionError(f"The RoPE base is {self.base}.", "Choose a number above 1.")


@dataclass(frozen=True)
class RopeOffset(Record):
    """Add `offset` to every position that the rotation reads."""

    offset: int


@dataclass(frozen=True)
class RopeScaling(Record):
    """Stretch the context: `linear` divides positions by `factor` (Chen et al. 2023, position interpolation);
    `ntk` raises the base by factor^(d/(d-2)) instead."""

    kind: str  # "linear" or "ntk"
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("linear", "ntk") or not self.factor > 0:
            raise InterventionError(
                f"RopeScaling is {self.kind!r} with factor {self.factor}.",
                'Choose "linear" or "ntk" and a factor above 0.',
            )


@dataclass(frozen=True)
class PositionsOff(Record):
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


def as_interventions(given: Any) -> tuple[Intervention, ...]:
    """Edits as a tuple; a single one may stand alone.

    Raises:
        InterventionError: something that is neither. (Whether items fit a model is checked with the model.)
    """
    if isinstance(given, Record):
        given = (given,)
    if not isinstance(given, Iterable):
        raise InterventionError(f"{given!r} is not an intervention.", "Use the records of this module.")
    return tuple(given)
