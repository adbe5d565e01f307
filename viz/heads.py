"""What heads do on one prompt: the measures that tell them apart, and the names that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from viz import style


@dataclass(frozen=True)
class Measure:
    """One way to tell heads apart. `unit` is "share", "nats" or "tokens"."""

    key: str
    name: str
    axis: str  # on the colour bar
    asks: str  # what the number answers, in one sentence
    unit: str

    def written(self, value: float) -> str:
        """A value with its unit, three significant digits."""
        return style.share(value) if self.unit == "share" else style.three_digits(value, self.unit)


MEASURES: dict[str, Measure] = {
    measure.key: measure
    for measure in (
        Measure(
            "previous",
            "Previous token",
            "share on the token before",
            "How much each token reads the one just before it.",
            "share",
        ),
        Measure(
            "first",
            "First token",
            "share on the first token",
            "How much later tokens pay to the very first one.",
            "share",
        ),
        Measure(
            "induction",
            "Induction",
            "share on what came next last time",
            "How much a token that came before reads what followed it then.",
            "share",
        ),
        Measure(
            "duplicate",
            "Same token",
            "share on earlier copies",
            "How much a token that came before reads its earlier copies.",
            "share",
        ),
        Measure(
            "entropy",
            "Spread",
            "entropy, nats",
            "How evenly a token spreads over what it may read: 0 is one token only.",
            "nats",
        ),
        Measure(
            "distance",
            "Distance",
            "mean distance, tokens",
            "How far back a token reads, on average.",
            "tokens",
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Measures:
    """Every measure of every head on one prompt: [layer, head], NaN where the prompt cannot tell."""

    previous: np.ndarray
    first: np.ndarray
    induction: np.ndarray
    duplicate: np.ndarray
    entropy: np.ndarray
    distance: np.ndarray

    def of(self, key: str) -> np.ndarray:
        """One measure by its key in MEASURES."""
        values: np.ndarray = getattr(self, key)
        return values

    def at(self, layer: int, head: int) -> dict[str, float]:
        """All measures of one head, by key."""
        return {key: float(self.of(key)[layer, head]) for key in MEASURES}


def strongest(values: np.ndarray) -> tuple[int, int] | None:
    """(layer, head) of the largest number, the first of equal ones; None where there is none.

    >>> strongest(np.array([[0.1, np.nan], [0.4, 0.4]]))
    (1, 0)
    """
    if not np.isfinite(values).any():
        return None
    layer, head = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return int(layer), int(head)


@dataclass(frozen=True)
class _Kind:
    """A name for heads that give at least `least` of their attention to one target."""

    key: str  # of the measure
    least: float
    name: str
    source: str
    says: str


# Shares from which a name is used. The papers give no number; these keep the name for heads that mostly,
# not merely often, do the thing. The words say the share, so that a reader can disagree.
KINDS = (
    _Kind(
        "induction",
        0.3,
        "an induction head",
        "Olsson et al. 2022",
        "gives {} to what followed the same token before",
    ),
    _Kind(
        "previous", 0.4, "a previous-token head", "Elhage et al. 2021", "gives {} to the token just before"
    ),
    _Kind(
        "duplicate",
        0.3,
        "a duplicate-token head",
        "Wang et al. 2022",
        "gives {} to earlier copies of the token",
    ),
    _Kind("first", 0.5, "an attention sink", "Xiao et al. 2023", "pays {} to the first token"),
)


def findings(values: Mapping[str, float]) -> dict[str, str]:
    """Measure -> a sentence with the name that fits one head, from its measures (see `Measures.at`).

    >>> findings({"first": 0.62, "previous": 0.1})["first"]
    'On average this head pays 62.0\\xa0% to the first token: an attention sink (Xiao et al. 2023).'
    """
    return {
        kind.key: f"On average this head {kind.says.format(style.share(values[kind.key]))}: "
        f"{kind.name} ({kind.source})."
        for kind in KINDS
        if values.get(kind.key, np.nan) >= kind.least
    }


def head_to_open(measures: Measures) -> tuple[int, int]:
    """(layer, head) worth a first look: the strongest induction head where the prompt shows one, else the
    strongest previous-token head, else the first head."""
    best = strongest(measures.induction)
    if best is not None and measures.induction[best] >= KINDS[0].least:
        return best
    return strongest(measures.previous) or (0, 0)


def shared_top(key: str, *several: Measures) -> float:
    """End of the colour scale for one measure of one or more runs: 1 for shares, else the largest value."""
    if MEASURES[key].unit == "share":
        return 1.0
    return style.shared_range(*(measures.of(key) for measures in several))[1]
