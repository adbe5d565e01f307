"""What experts of one layer did for one token: records and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style
from viz.moe.routing import named

SHARED = "shared"


@dataclass(frozen=True)
class ExpertShares:
    """The parts of one token's MLP output: one of each asked expert, and of a shared one."""

    layer: int
    position: int
    text: str
    names: tuple[str, ...]  # E3, ..., shared
    numbers: tuple[int | None, ...]  # of the experts; None: the shared one
    weights: tuple[float, ...]  # the router's; of the shared one its gate
    projections: tuple[float, ...]  # share of the sum; they add up to 1
    lengths: tuple[float, ...]  # share of the lengths together
    chosen: int  # the chosen expert
    low: float  # ends of the axis
    high: float


@dataclass(frozen=True)
class ExpertCosines:
    """How much alike experts' outputs point, for one token."""

    layer: int
    text: str
    experts: tuple[int, ...]
    n_asked: int  # so many of them, from the first on, were asked
    cosines: tuple[tuple[float, ...], ...]

    @property
    def pairs(self) -> list[float]:
        """Cosines of every two asked experts."""
        return [self.cosines[a][b] for a in range(self.n_asked) for b in range(a)]


def expert_shares_record(
    experts: Sequence[int],
    weights: Sequence[float],
    projections: np.ndarray,  # [part]
    lengths: np.ndarray,  # [part]
    *,
    text: str,
    position: int,
    layer: int,
    chosen: int,
    shared_gate: float | None,
    ends: tuple[float, float] | None = None,  # of a common axis
) -> ExpertShares:
    """Asked experts, then the shared one where there is one."""
    shared = shared_gate is not None
    low, high = share_ends(projections) if ends is None else ends
    return ExpertShares(
        layer,
        position,
        text,
        (*map(named, experts), *[SHARED] * shared),
        (*experts, *[None] * shared),
        (*map(float, weights), *([float(shared_gate or 0)] if shared else [])),
        tuple(map(float, projections)),
        tuple(map(float, lengths)),
        chosen,
        low,
        high,
    )


def share_ends(*projections: np.ndarray) -> tuple[float, float]:
    """Ends of an axis that holds these shares and 0 and 1."""
    every = np.concatenate([np.ravel(values) for values in projections])
    return min(0.0, float(every.min())), max(1.0, float(every.max()))


def expert_cosines_record(
    experts: Sequence[int], n_asked: int, cosines: np.ndarray, *, text: str, layer: int
) -> ExpertCosines:
    """Cosines [expert, expert] -> what will be drawn."""
    rows = tuple(tuple(float(value) for value in line) for line in cosines)
    return ExpertCosines(layer, text, tuple(experts), n_asked, rows)


def shares_sentence(record: ExpertShares) -> str:
    """Who made how much of the MLP's output, in plain text."""
    parts = [
        f"{name} makes {style.share(part)} of it"
        for name, part in zip(record.names, record.projections, strict=True)
    ]
    token = f"“{style.shorten(style.visible(record.text))}”"
    return f"Of what layer {record.layer} adds for {token}: {'; '.join(parts)}."


def chosen_sentence(record: ExpertShares, idle_length: float | None) -> str:
    """The chosen expert's part; for one that was not asked, what it would have said.

    Args:
        idle_length: length of its output if it was not asked, in lengths of the MLP's output.
    """
    name = named(record.chosen)
    if record.chosen in record.numbers:
        at = record.numbers.index(record.chosen)
        return (
            f"{name} has weight {style.share(record.weights[at])}, {style.share(record.lengths[at])} of the "
            f"lengths added, and {style.share(record.projections[at])} of the sum."
        )
    said = f"{name} was not asked for this token, so it added nothing"
    if idle_length is None:
        return f"{said}."
    length = style.three_digits(idle_length)
    return f"{said}. (Asked all the same, it would answer with {length} times the length of the sum.)"


def cosines_sentence(record: ExpertCosines) -> str:
    """Whether the asked experts agree."""
    pairs = record.pairs
    if not pairs:
        return "One expert was asked, so there is nothing to compare."
    mean = float(np.mean(pairs))
    if len(pairs) == 1:
        return f"The two experts' outputs have the cosine {style.three_digits(mean)}: {_means(mean)}."
    return (
        f"The outputs of every two asked experts have the cosine {style.three_digits(mean)} on average: "
        f"{_means(mean)}."
    )


def _means(cosine: float) -> str:
    if cosine > 0.5:
        return "they say much the same"
    if cosine < -0.2:
        return "they pull against each other"
    return "each says something of its own"
