"""A prompt and a shuffle of it: what moves without mask and positions, with the mask, with both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records.distributions import softmax, total_variation
from viz import style

NAMES = ("No mask, no positions", "Causal mask, no positions", "Mask and positions: the model")
_SHORT = ("no mask, no positions", "mask, no positions", "mask and positions")
N_CANDIDATES = 5  # likeliest next tokens of each reading that are drawn


@dataclass(frozen=True)
class Rule:
    """One of the three readings. Changes: distance over mean length, 0 unmoved to 2 turned round."""

    name: str
    short: str
    change: tuple[tuple[float, ...], ...]  # [token][depth]: what enters layer l, and last what leaves

    @property
    def largest(self) -> float:
        return max(max(row) for row in self.change)


@dataclass(frozen=True)
class Shuffled:
    """What will be drawn: the tokens in their first order, and how far each moved under three rules."""

    tokens: tuple[str, ...]
    order: tuple[int, ...]  # at each place of the shuffled text, where its token stood
    rules: tuple[Rule, Rule, Rule]
    selected: int  # the token whose way is drawn as lines
    tolerance: float  # a change below it is rounding

    @property
    def depths(self) -> int:
        return len(self.rules[0].change[0])


@dataclass(frozen=True)
class Candidate:
    """A next token and its probability after both orders."""

    text: str
    before: float
    after: float


@dataclass(frozen=True)
class NextTokens:
    """What is likeliest after the text and after its shuffle, under one rule."""

    name: str
    candidates: tuple[Candidate, ...]
    moved: float  # probability that changed places: half the sum of absolute differences


def shuffled_record(
    tokens: Sequence[str],
    order: Sequence[int],
    changes: Sequence[np.ndarray],  # of the three rules, each [layer + 1, token]
    selected: int,
    tolerance: float,
) -> Shuffled:
    """Values -> what will be drawn.

    Raises:
        ValueError: the changes are not of these tokens.
    """
    if any(change.shape[1] != len(tokens) for change in changes) or sorted(order) != [*range(len(tokens))]:
        raise ValueError(f"changes {[c.shape for c in changes]} and order {order} for {len(tokens)} tokens")
    rules = tuple(
        Rule(name, short, tuple(tuple(float(v) for v in row) for row in change.T))
        for name, short, change in zip(NAMES, _SHORT, changes, strict=True)
    )
    assert len(rules) == 3
    return Shuffled(tuple(tokens), tuple(order), rules, min(selected, len(tokens) - 1), tolerance)


def next_tokens_record(
    name: str, before: np.ndarray, after: np.ndarray, text_of: Callable[[int], str]
) -> NextTokens:
    """Two rows of logits [d_vocab] -> the likeliest of both, in the order of the first."""
    p, q = softmax(before), softmax(after)
    best = {int(i) for row in (p, q) for i in np.argsort(-row, kind="stable")[:N_CANDIDATES]}
    rows = sorted(best, key=lambda i: (-max(p[i], q[i]), i))[: N_CANDIDATES + 1]
    rows.sort(key=lambda i: (-p[i], i))
    candidates = tuple(Candidate(text_of(i), float(p[i]), float(q[i])) for i in rows)
    return NextTokens(name, candidates, total_variation(p, q))


def nothing_moves(record: Shuffled, rule: int) -> bool:
    """Whether all changes under this rule are rounding."""
    return record.rules[rule].largest <= record.tolerance


def title(record: Shuffled) -> str:
    """The finding, in plain words."""
    if nothing_moves(record, 0):
        if not nothing_moves(record, 1):
            return "Without mask and positions nothing moves; the mask alone already tells order"
        return "Without positions nothing moves"
    return "What a shuffle moves, by token and layer"


def change_words(value: float, tolerance: float) -> str:
    """One change for the screen.

    >>> change_words(3e-7, 3e-4), change_words(0.272, 3e-4)
    ('3.00 × 10⁻⁷ (rounding)', '27.2\\xa0%')
    """
    if value == 0:
        return "0"
    return f"{style.three_digits(value)} (rounding)" if value <= tolerance else style.share(value)


def finding(record: Shuffled, rule: int) -> str:
    """One line above a map."""
    if nothing_moves(record, rule):
        return f"all ≤ {style.three_digits(record.rules[rule].largest)}: rounding"
    moved = sum(value > record.tolerance for row in record.rules[rule].change for value in row)
    n_all = len(record.tokens) * record.depths
    last = record.rules[rule].change[-1][-1]
    return f"{style.share(moved / n_all)} of cells move; last token {change_words(last, record.tolerance)}"


def selected_words(record: Shuffled) -> str:
    """What the selected token's stream does under the three rules, in plain text."""
    token = f"“{style.shorten(style.visible(record.tokens[record.selected]))}” ({record.selected})"
    said = "; ".join(
        f"{rule.short} {change_words(rule.change[record.selected][-1], record.tolerance)}"
        for rule in record.rules
    )
    return f"Leaving the last layer, the vector of {token} has moved by: {said}."
