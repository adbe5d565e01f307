"""Records of one choice: what each sampling step left, and the questions a picture asks of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class StepResult:
    """The distribution that one step leaves.

    `kept` is cumulative: False means that this step or one before it cut the token. A step that is off
    (`active` False) leaves what it found. A kept token can have probability 0 (too small for float64).
    """

    name: str  # "base" before anything, then the step's name
    active: bool
    value: float | None  # of its setting, off or on; None for "base"
    scores: np.ndarray  # [d_vocab] float32 (float64 where that cannot hold them), -inf where cut
    probabilities: np.ndarray  # [d_vocab] float64, 0 where cut, sum 1
    kept: np.ndarray  # [d_vocab] bool
    n_kept: int
    cut_mass: float  # probability, before the step, of the tokens that it cut
    entropy: float  # nats

    @property
    def effective_choices(self) -> float:
        """exp(entropy): as uncertain as a fair choice among this many tokens (perplexity)."""
        return math.exp(self.entropy)


@dataclass(frozen=True)
class Tail:
    """The tokens that a picture of the n likeliest does not show."""

    n_tokens: int
    mass: float  # their probability in the model's own distribution
    final_mass: float  # and after all steps
    n_kept: int  # how many of them can still be drawn


@dataclass(frozen=True)
class Fraction:
    """One token's softmax written out: exp(score - top_score) / denominator = probability."""

    score: float
    top_score: float
    numerator: float  # exp(score - top_score); the top token has 1
    denominator: float  # the sum of the numerators of all tokens that are left
    probability: float


@dataclass(frozen=True, eq=False)
class SamplingReport:
    """Every step of one choice, over the whole vocabulary. Arrays are read-only."""

    base: StepResult  # plain softmax of the logits, before any step
    steps: tuple[StepResult, ...]  # in the settings' order

    @property
    def final(self) -> StepResult:
        """What the token is drawn from."""
        return self.steps[-1]

    @property
    def d_vocab(self) -> int:
        return self.base.kept.size

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays; steps that are off share theirs."""
        results = (self.base, *self.steps)
        arrays = [array for r in results for array in (r.scores, r.probabilities, r.kept)]
        return sum(array.nbytes for array in {id(array): array for array in arrays}.values())

    def top(self, n: int) -> np.ndarray:
        """Ids of the n likeliest tokens before any step, likeliest first, equals by id. [n] int64"""
        order = np.argsort(-self.base.scores, kind="stable")
        return order[:n].astype(np.int64)

    def rank(self, token_id: int) -> int:
        """Place of a token before any step; the likeliest is 1."""
        return rank(self.base.scores, self._checked(token_id))

    def cut_by(self, token_id: int) -> StepResult | None:
        """The step that cut the token, or None where it can still be drawn."""
        token_id = self._checked(token_id)
        return next((step for step in self.steps if not step.kept[token_id]), None)

    def tail(self, shown: int | Sequence[int]) -> Tail:
        """What is not shown beside the n likeliest tokens (before any step), or beside the ids given."""
        hidden = np.ones(self.d_vocab, dtype=bool)
        if isinstance(shown, Sequence | np.ndarray):
            hidden[[self._checked(int(token_id)) for token_id in shown]] = False
        else:
            hidden[self.top(max(0, int(shown)))] = False
        return Tail(
            int(hidden.sum()),
            float(self.base.probabilities[hidden].sum()),
            float(self.final.probabilities[hidden].sum()),
            int((self.final.kept & hidden).sum()),
        )

    def fraction(self, token_id: int, step: StepResult | None = None) -> Fraction:
        """The softmax fraction of one token at `step` (None: before any). A cut token has numerator 0."""
        step = self.base if step is None else step
        token_id = self._checked(token_id)
        scores = step.scores.astype(np.float64)
        top_score = float(scores.max())
        numerators = np.exp(scores - top_score)
        numerator, denominator = float(numerators[token_id]), float(numerators.sum())
        return Fraction(float(scores[token_id]), top_score, numerator, denominator, numerator / denominator)

    def _checked(self, token_id: int) -> int:
        if not 0 <= token_id < self.d_vocab:
            raise IndexError(f"There is no token {token_id}: they are 0 to {self.d_vocab - 1:,}.")
        return token_id


def rank(scores: np.ndarray, token_id: int) -> int:
    """Place of a token by score, the highest is 1; equals by id."""
    score = scores[token_id]
    return 1 + int((scores > score).sum()) + int((scores[:token_id] == score).sum())
