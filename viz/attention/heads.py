"""What heads do on one prompt: the measures that tell them apart, and the names that fit them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.records import HeadMeasures
from viz import style
from viz.style import in_percent


@dataclass(frozen=True)
class Measure:
    """One way to tell heads apart. `unit` is "share", "nats" or "tokens"."""

    key: str  # in the link
    field: str  # of `HeadMeasures`
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
            "previous_token",
            "Previous token",
            "share on the token before",
            "How much each token reads the one just before it.",
            "share",
        ),
        Measure(
            "first",
            "first_token",
            "First token",
            "share on the first token",
            "How much later tokens pay to the very first one.",
            "share",
        ),
        Measure(
            "induction",
            "induction",
            "Induction",
            "share on what came next last time",
            "How much a token that came before reads what followed it then.",
            "share",
        ),
        Measure(
            "duplicate",
            "duplicate_token",
            "Same token",
            "share on earlier copies",
            "How much a token that came before reads its earlier copies.",
            "share",
        ),
        Measure(
            "entropy",
            "entropy",
            "Spread",
            "entropy, nats",
            "How evenly a token spreads over what it may read: 0 is one token only.",
            "nats",
        ),
        Measure(
            "distance",
            "mean_distance",
            "Distance",
            "mean distance, tokens",
            "How far back a token reads, on average.",
            "tokens",
        ),
    )
}

# Of what a head is worth, not of how it reads: from `HeadWorth`, and about 0. Its field is that record's.
WORTH = Measure(
    "worth",
    "change",
    "Worth here",
    "how much the next token falls without the head",
    "How much the likeliest next token's probability falls when the head is off.",
    "share",
)
CHOICES: dict[str, Measure] = {**MEASURES, WORTH.key: WORTH}  # what the overview can be coloured by


def values_of(measures: HeadMeasures, key: str) -> np.ndarray:
    """One measure of every head by its key in MEASURES: [layer, head], NaN where the prompt cannot tell."""
    values: np.ndarray = getattr(measures, MEASURES[key].field)
    return values


def even_entropy(n_tokens: int) -> float:
    """Entropy of a head that reads all tokens up to each query evenly, nats: the largest there is.

    The mean over queries of ln(1), ln(2), ..., ln(n_tokens).
    """
    return float(np.log(np.arange(1, n_tokens + 1)).mean()) if n_tokens else 0.0


def even_distance(n_tokens: int) -> float:
    """How far back such a head reads on average, tokens: the mean of 0, 1/2, 1, ..., (n - 1)/2."""
    return max(n_tokens - 1, 0) / 4


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
class Kind:
    """A name for heads whose measure passes a bound.

    `least` bounds a share from below; for "entropy" it is a share of the largest possible entropy, and for
    "distance" a bound from above: a share of the distance of a head that reads evenly.
    """

    key: str  # of the measure
    least: float
    name: str  # of one head, with its article
    title: str  # of the kind
    does: str  # what such heads do, in a few words
    source: str
    says: str  # of one head: {} is its value

    @property
    def rule(self) -> str:
        """The bound in words: "at least 30 % of attention", for the count beside the title."""
        if self.key == "distance":
            return f"at most {in_percent(self.least)} as far back as reading evenly"
        return (
            f"at least {in_percent(self.least)} of "
            f"{'the largest entropy' if self.key == 'entropy' else 'attention'}"
        )


# The papers describe the heads and give no bound; these keep the name for heads that mostly, not merely
# often, do the thing. The words say the number, so that a reader can disagree. In the order in which one
# names a head that is of several kinds.
KINDS = (
    Kind(
        "induction",
        0.3,
        "an induction head",
        "Induction",
        "read what followed the same token before",
        "Olsson et al. 2022",
        "gives {} to what followed the same token before",
    ),
    Kind(
        "previous",
        0.4,
        "a previous-token head",
        "Previous token",
        "read the token just before",
        "Elhage et al. 2021",
        "gives {} to the token just before",
    ),
    Kind(
        "duplicate",
        0.3,
        "a duplicate-token head",
        "Duplicate token",
        "read earlier copies of the same token",
        "Wang et al. 2022",
        "gives {} to earlier copies of the token",
    ),
    Kind(
        "first",
        0.5,
        "an attention sink",
        "First token (sink)",
        "rest on the very first token",
        "Xiao et al. 2023",
        "pays {} to the first token",
    ),
    Kind(
        "distance",
        0.25,
        "a local head",
        "Local",
        "read close by: the token itself and its nearest",
        "mean distance: Vig and Belinkov 2019",
        "reads {} back",
    ),
    Kind(
        "entropy",
        0.8,
        "a broad head",
        "Broad",
        "spread over nearly all they may read",
        "Clark et al. 2019",
        "spreads over its keys with an entropy of {}",
    ),
)
KIND_OF = {kind.key: kind for kind in KINDS}


@dataclass(frozen=True)
class KindFound:
    """The heads of one kind on one prompt. `tells` is False where the prompt cannot show the kind at all."""

    kind: Kind
    heads: tuple[tuple[int, int, float], ...]  # (layer, head, value of the measure), the clearest first
    tells: bool = True


def kinds_found(measures: HeadMeasures) -> tuple[KindFound, ...]:
    """Every kind with its heads on this prompt; an absent kind has none."""
    return tuple(_found(kind, measures) for kind in KINDS)


def _found(kind: Kind, measures: HeadMeasures) -> KindFound:
    values, clear = values_of(measures, kind.key), _clearness(kind, measures)
    order = np.argsort(-np.nan_to_num(clear, nan=-1.0), axis=None, kind="stable")
    places = [divmod(int(at), values.shape[1]) for at in order]
    heads = tuple(
        (layer, head, float(values[layer, head])) for layer, head in places if clear[layer, head] >= 0
    )
    return KindFound(kind, heads, bool(np.isfinite(clear).any()))


def _clearness(kind: Kind, measures: HeadMeasures) -> np.ndarray:
    """[layer, head]: how far beyond the kind's bound, 0 or more for its heads; NaN where none can be told."""
    values = values_of(measures, kind.key)
    if kind.key == "entropy":
        return values / (even_entropy(measures.n_tokens) or np.nan) - kind.least
    if kind.key == "distance":
        return kind.least - values / (even_distance(measures.n_tokens) or np.nan)
    return values - kind.least


def kinds_of(measures: HeadMeasures, layer: int, head: int) -> tuple[Kind, ...]:
    """The kinds that one head is of on this prompt."""
    return tuple(kind for kind in KINDS if _clearness(kind, measures)[layer, head] >= 0)


def findings(measures: HeadMeasures, layer: int, head: int, off: bool = False) -> dict[str, str]:
    """Measure -> a sentence with the name that fits the head: "On average this head pays 62.0 % to the
    first token: an attention sink (Xiao et al. 2023)." One that is switched `off` would pay it.
    """
    found = {}
    for kind in kinds_of(measures, layer, head):
        value = MEASURES[kind.key].written(float(values_of(measures, kind.key)[layer, head]))
        verb, rest = kind.says.format(value).split(" ", 1)
        does = f"would {verb.removesuffix('s')}" if off else verb
        found[kind.key] = f"On average this head {does} {rest}: {kind.name} ({kind.source})."
    return found


def head_to_open(measures: HeadMeasures) -> tuple[int, int]:
    """(layer, head) worth a first look: the strongest induction head where the prompt shows one, else the
    strongest previous-token head, else the first head."""
    best = strongest(measures.induction)
    if best is not None and measures.induction[best] >= KIND_OF["induction"].least:
        return best
    return strongest(measures.previous_token) or (0, 0)


def measure_to_open(measures: HeadMeasures, layer: int, head: int) -> str:
    """The measure that shows what a head does: of the first kind it is of, else "previous"."""
    kinds = kinds_of(measures, layer, head)
    return kinds[0].key if kinds else "previous"


def shared_top(key: str, *several: HeadMeasures) -> float:
    """End of the colour scale for one measure of one or more runs: 1 for shares, else the largest value."""
    if MEASURES[key].unit == "share":
        return 1.0
    return style.shared_range(*(values_of(measures, key) for measures in several))[1]
