"""Who takes which text: experts by domain, divergences by layer, an expert's typical tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from viz import style
from viz.moe.routing import floats, named

TITLES = {"plays": "Plays", "scripture": "Scripture", "python": "Python", "arithmetic": "Arithmetic"}


@dataclass(frozen=True)
class Panel:
    """One text's shares: [row of a layer][expert], each row sums to 1."""

    name: str
    shares: tuple[tuple[float, ...], ...]
    prompt: bool = False  # the visitor's text, not one of the domains


@dataclass(frozen=True)
class DomainMap:
    """Experts by layers, one panel a text, on one scale."""

    panels: tuple[Panel, ...]
    layers: tuple[int, ...]
    layer: int  # selected
    expert: int  # selected
    top: float  # end of the scale

    @property
    def n_experts(self) -> int:
        return len(self.panels[0].shares[0])

    @property
    def domains(self) -> tuple[Panel, ...]:
        return tuple(panel for panel in self.panels if not panel.prompt)

    def share(self, panel: Panel, expert: int) -> float:
        """A share in the selected layer."""
        return panel.shares[self.layers.index(self.layer)][expert]


@dataclass(frozen=True)
class Divergences:
    """Jensen-Shannon divergences in bits by layer: between texts, and what chance alone makes."""

    layers: tuple[int, ...]
    pairs: tuple[str, ...]
    between: tuple[tuple[float, ...], ...]  # [layer][pair]
    halves: tuple[str, ...]
    within: tuple[tuple[float, ...], ...]  # [layer][domain]
    layer: int
    top: float

    @property
    def mean_between(self) -> tuple[float, ...]:
        return tuple(sum(line) / len(line) for line in self.between)

    @property
    def mean_within(self) -> tuple[float, ...]:
        return tuple(sum(line) / len(line) for line in self.within)


@dataclass(frozen=True)
class TypicalTokens:
    """What an expert takes more often than the text has it, the most telling first."""

    layer: int
    expert: int
    tokens: tuple[str, ...]  # visible and short; not yet safe for a figure
    ids: tuple[int, ...]
    of_expert: tuple[float, ...]  # share of the expert's tokens
    of_text: tuple[float, ...]
    seen: tuple[int, ...]
    taken: tuple[int, ...]


@dataclass(frozen=True)
class PromptDistance:
    """How differently two prompts are routed, by layer, in bits."""

    layers: tuple[int, ...]
    bits: tuple[float, ...]
    chance: tuple[float, ...]
    chance_high: tuple[float, ...]
    n_tokens: tuple[int, int]
    layer: int

    @property
    def beyond(self) -> int:
        """Layers whose divergence is larger than 95 % of those by chance."""
        return sum(bits > high for bits, high in zip(self.bits, self.chance_high, strict=True))


def domain_map_record(
    domains: Mapping[str, np.ndarray],  # name -> [layer, expert]
    prompts: Mapping[str, np.ndarray],  # name -> [layer, expert]
    layers: Sequence[int],
    *,
    layer: int,
    expert: int | None,
    top: float = 0.0,
) -> DomainMap:
    """Values -> what will be drawn. `expert` None selects the one that the domains share most unequally."""
    panels = [Panel(TITLES.get(name, name), floats(values)) for name, values in domains.items()]
    panels += [Panel(name, floats(values), True) for name, values in prompts.items()]
    row = tuple(layers).index(layer)
    values = np.stack([values[row] for values in domains.values()])
    chosen = int(np.ptp(values, axis=0).argmax()) if expert is None else min(expert, values.shape[1] - 1)
    largest = max(float(values.max()) for values in domains.values())
    return DomainMap(tuple(panels), tuple(layers), layer, chosen, top or largest)


def divergences_record(
    domains: Sequence[str],
    between: np.ndarray,  # [layer, pair], pairs in the order of combinations
    within: np.ndarray,  # [layer, domain]
    layers: Sequence[int],
    layer: int,
    top: float = 0.0,
) -> Divergences:
    """Values -> what will be drawn."""
    names = [TITLES.get(name, name) for name in domains]
    pairs = tuple(f"{a} and {b}" for a, b in combinations(names, 2))
    return Divergences(
        tuple(layers),
        pairs,
        floats(between),
        tuple(names),
        floats(within),
        layer,
        top or float(max(between.max(), within.max())),
    )


def typical_record(
    texts: Sequence[str],
    rows: Sequence[tuple[int, int, int, float, float]],  # id, seen, taken, share of expert, share of text
    *,
    layer: int,
    expert: int,
) -> TypicalTokens:
    """Values -> what will be drawn."""
    ids, seen, taken, of_expert, of_text = zip(*rows, strict=True) if rows else ((),) * 5
    tokens = tuple(style.shorten(style.visible(text), 18) for text in texts)
    return TypicalTokens(layer, expert, tokens, ids, of_expert, of_text, seen, taken)


def map_title(record: DomainMap) -> str:
    """Which kinds of text the selected expert takes most and least."""
    by_share = sorted(record.domains, key=lambda panel: record.share(panel, record.expert))
    low, high = by_share[0], by_share[-1]
    return (
        f"L{record.layer}: {named(record.expert)} takes {style.share(record.share(high, record.expert))} of "
        f"{high.name}, {style.share(record.share(low, record.expert))} of {low.name}"
    )


def expert_sentence(record: DomainMap) -> str:
    """The selected expert's share of every panel, in plain text."""
    shares = ", ".join(
        f"{_in_sentence(panel)} {style.share(record.share(panel, record.expert))}" for panel in record.panels
    )
    equal = style.share(1 / record.n_experts)
    return f"{named(record.expert)} of layer {record.layer} takes of {shares}. An equal share: {equal}."


def _in_sentence(panel: Panel) -> str:
    """Names inside a sentence: Python keeps its capital letter."""
    return panel.name if panel.name == "Python" else panel.name[:1].lower() + panel.name[1:]


def divergence_sentence(record: Divergences) -> str:
    """How far apart the domains are, against chance, in plain text."""
    between, within = record.mean_between, record.mean_within
    at = record.layers.index(record.layer)
    pairs = record.between[at]
    far, near = (pairs.index(value) for value in (max(pairs), min(pairs)))
    said = (
        f"In layer {record.layer} two domains differ by {style.three_digits(between[at], 'bits')} on "
        f"average, two halves of one domain by {style.three_digits(within[at], 'bits')}."
    )
    if len(pairs) > 1:
        said += (
            f" Furthest apart: {record.pairs[far]} ({style.three_digits(pairs[far], 'bits')}); closest: "
            f"{record.pairs[near]} ({style.three_digits(pairs[near], 'bits')})."
        )
    best = max(range(len(between)), key=lambda row: between[row])
    return f"{said} Of all layers, L{record.layers[best]} tells the domains apart best."


def nearest_sentence(name: str, domains: Sequence[str], bits: Sequence[float]) -> str:
    """Which domain a prompt is routed like, in plain text."""
    order = sorted(range(len(domains)), key=lambda i: bits[i])
    first, second = order[0], order[1]
    titles = [TITLES.get(domain, domain) for domain in domains]
    return (
        f"{name} is routed most like {titles[first]} ({style.three_digits(bits[first], 'bits')} apart, mean "
        f"over the layers), then {titles[second]} ({style.three_digits(bits[second], 'bits')})."
    )


def typical_sentence(record: TypicalTokens) -> str:
    """The expert's most typical token with its numbers, in plain text."""
    if not record.tokens:
        return (
            f"{named(record.expert)} of layer {record.layer} takes no token of the text more often than the "
            f"text has it."
        )
    times = style.three_digits(record.of_expert[0] / record.of_text[0])
    return (
        f"“{record.tokens[0]}” is {style.share(record.of_text[0])} of the text and "
        f"{style.share(record.of_expert[0])} of what {named(record.expert)} takes: {times} times as much. It "
        f"took {record.taken[0]:,} of {record.seen[0]:,}."
    )


def prompt_sentence(record: PromptDistance) -> str:
    """Whether two prompts are routed differently, beyond chance, in plain text."""
    at = record.layers.index(record.layer)
    n = len(record.layers)
    return (
        f"In layer {record.layer} the two prompts differ by {style.three_digits(record.bits[at], 'bits')}. "
        f"Tokens of both dealt out at random would differ by {style.three_digits(record.chance[at], 'bits')} "
        f"on average, and in 95 of 100 deals by less than "
        f"{style.three_digits(record.chance_high[at], 'bits')}. {record.beyond} of {n} layers are beyond "
        f"that."
    )
