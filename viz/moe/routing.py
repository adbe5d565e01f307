"""What will be drawn of a router's decisions: records of plain values, and their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_TEXT_TOKENS = 240  # tokens in the text coloured by expert; more would be a wall
MOST_MAP_TOKENS = 48  # columns of the map whose numbers can be read
NARROW_MAP_TOKENS = 16  # on a phone


@dataclass(frozen=True)
class RoutedText:
    """The tokens of one layer in reading order, each with the experts it was sent to."""

    layer: int
    texts: tuple[str, ...]  # of the window
    first: int  # position of the first of them
    experts: tuple[tuple[int, ...], ...]  # [token][k], the largest weight first
    weights: tuple[tuple[float, ...], ...]
    selected: int  # position
    n_tokens: int  # of the whole prompt
    n_experts: int


@dataclass(frozen=True)
class RouteMap:
    """Which expert each token asks first, in every layer; None in dense layers."""

    texts: tuple[str, ...]
    experts: tuple[tuple[int, ...] | None, ...]  # [layer][token]
    weights: tuple[tuple[float, ...] | None, ...]
    layer: int
    selected: int
    n_experts: int

    @property
    def n_sparse(self) -> int:
        return sum(line is not None for line in self.experts)


@dataclass(frozen=True)
class TokenPath:
    """One token's way through the layers: the router's probabilities, and who was asked with what weight."""

    text: str
    position: int
    layer: int
    expert: int
    probabilities: tuple[tuple[float, ...] | None, ...]  # [layer][expert]; None in dense layers
    experts: tuple[tuple[int, ...] | None, ...]  # [layer][k]
    weights: tuple[tuple[float, ...] | None, ...]
    top: float  # end of the colour scale


@dataclass(frozen=True)
class RouterBars:
    """One token in one layer: the router's probability of every expert, and what became of it."""

    text: str
    position: int
    layer: int
    logits: tuple[float, ...]  # [expert]
    probabilities: tuple[float, ...]
    experts: tuple[int, ...]  # chosen, the largest weight first
    weights: tuple[float, ...]
    top: float  # end of the axis

    @property
    def left_out(self) -> float:
        """Probability of the experts that were not chosen."""
        chosen = {*self.experts}
        return sum(p for expert, p in enumerate(self.probabilities) if expert not in chosen)


def window(n_tokens: int, selected: int, most: int) -> range:
    """The stretch of at most `most` tokens around the selected one.

    >>> window(10, 9, 4), window(3, 0, 4)
    (range(6, 10), range(0, 3))
    """
    start = min(max(selected - most // 2, 0), max(n_tokens - most, 0))
    return range(start, min(start + most, n_tokens))


def routed_text_record(
    texts: Sequence[str],
    indices: np.ndarray,  # [pos, k]
    weights: np.ndarray,  # [pos, k]
    *,
    layer: int,
    selected: int,
    n_experts: int,
) -> RoutedText:
    """One layer's choices along the text, at most `MOST_TEXT_TOKENS` around the selected token."""
    shown = window(len(texts), selected, MOST_TEXT_TOKENS)
    return RoutedText(
        layer,
        tuple(texts[position] for position in shown),
        shown.start,
        ints(indices[shown.start : shown.stop]),
        floats(weights[shown.start : shown.stop]),
        selected,
        len(texts),
        n_experts,
    )


def route_map_record(
    texts: Sequence[str],
    indices: np.ndarray,  # [sparse layer, pos, k]
    weights: np.ndarray,
    layers: Sequence[int],  # the sparse ones
    *,
    n_layers: int,
    layer: int,
    selected: int,
    n_experts: int,
) -> RouteMap:
    """The first expert of every token in every layer."""
    experts = dict(zip(layers, ints(indices[..., 0]), strict=True))
    shares = dict(zip(layers, floats(weights[..., 0]), strict=True))
    every = range(n_layers)
    return RouteMap(
        tuple(texts),
        tuple(map(experts.get, every)),
        tuple(map(shares.get, every)),
        layer,
        selected,
        n_experts,
    )


def token_path_record(
    text: str,
    position: int,
    probabilities: Sequence[np.ndarray],  # of each sparse layer, [expert]
    indices: np.ndarray,  # [sparse layer, k]
    weights: np.ndarray,
    layers: Sequence[int],
    *,
    n_layers: int,
    layer: int,
    expert: int,
    top: float = 1.0,
) -> TokenPath:
    """One token's row of every router."""
    asked = dict(
        zip(layers, zip(floats(probabilities), ints(indices), floats(weights), strict=True), strict=True)
    )
    by_layer = [asked.get(n, (None, None, None)) for n in range(n_layers)]
    shares, experts, heavy = zip(*by_layer, strict=True)
    return TokenPath(text, position, layer, expert, shares, experts, heavy, top)


def router_bars_record(
    text: str,
    position: int,
    layer: int,
    logits: np.ndarray,  # [expert]
    probabilities: np.ndarray,
    experts: np.ndarray,  # [k]
    weights: np.ndarray,
    top: float | None = None,
) -> RouterBars:
    """One row of a router; `top` ends the axis (None: the largest probability here)."""
    values = tuple(map(float, probabilities))
    return RouterBars(
        text,
        position,
        layer,
        tuple(map(float, logits)),
        values,
        tuple(map(int, experts)),
        tuple(map(float, weights)),
        max(values) if top is None else top,
    )


def ints(lines: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, line)) for line in lines)


def floats(lines: Iterable[Iterable[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, line)) for line in lines)


def named(expert: int) -> str:
    """An expert's short name: E3."""
    return f"E{expert}"


def listed(experts: Sequence[int], most: int = 12) -> str:
    """Names of experts in words, the rest counted.

    >>> listed([1]), listed([1, 4]), listed(range(20), 3)
    ('E1', 'E1 and E4', 'E0, E1, E2 and 17 more')
    """
    names = [named(expert) for expert in experts]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def bars_sentence(record: RouterBars) -> str:
    """What the router decided for the selected token, in plain text."""
    asked = [
        f"{named(expert)} (weight {style.share(weight)})"
        for expert, weight in zip(record.experts, record.weights, strict=True)
    ]
    if len(asked) > 4:
        who = f"{', '.join(asked[:3])} and {len(asked) - 3} more"
    else:
        who = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])} and {asked[-1]}"
    rest = len(record.probabilities) - len(record.experts)
    token = f"“{style.shorten(style.visible(record.text))}”"
    said = f"In layer {record.layer}, {token} is sent to {who}."
    if rest:
        said += (
            f" The other {rest:,} experts, which the router gave {style.share(record.left_out)} of its "
            f"probability, do nothing for this token."
        )
    return said


def unused_sentence(layers: Sequence[int], counts: np.ndarray, n_tokens: int, *, layer: int) -> str:
    """Which experts no token of the prompt was sent to: all in all, and in the chosen layer.

    Args:
        counts: tokens per expert [sparse layer, expert].
    """
    idle = [np.flatnonzero(line == 0).tolist() for line in counts]
    total = sum(map(len, idle))
    tokens = "one token" if n_tokens == 1 else f"{n_tokens:,} tokens"
    if not total:
        return f"Every one of the {counts.size:,} experts of {len(layers)} layers works on this prompt."
    here = idle[list(layers).index(layer)]
    said = f"{total:,} of {counts.size:,} experts get none of the {tokens} of this prompt"
    return f"{said}; in layer {layer}: {listed(here) if here else 'none, all are used'}."


def agreement_sentence(one: np.ndarray, other: np.ndarray) -> str:
    """How often two runs of the same tokens ask the same expert first; indices [layer, pos, k]."""
    same = one[..., 0] == other[..., 0]
    return (
        f"Both runs ask the same expert first in {int(same.sum()):,} of {same.size:,} cells of the map "
        f"({style.share(float(same.mean()))})."
    )


def rule_words(over: str, renormalised: bool, bias: bool, shared: bool) -> str:
    """A family's rule from scores to weights, in plain text."""
    if over == "chosen":
        rule = "the best scores are kept, and the softmax is taken over those alone"
    elif renormalised:
        rule = (
            "the softmax is taken over all experts, the best are kept, and their probabilities are divided "
            "by their sum (which equals a softmax over the chosen alone)"
        )
    else:
        rule = (
            "the softmax is taken over all experts and the best are kept as they are: the weights add up to "
            "less than 1"
        )
    extra = "each score has a learned bias" if bias else ""
    common = "one more expert, shared, works on every token unasked" if shared else ""
    return "; ".join(words for words in (rule, extra, common) if words)
