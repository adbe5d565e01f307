"""Where one number of a pattern comes from, as records: the terms of its dot product, and its softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import HeadStages, ScoreTerms

N_NAMED_TERMS = 3
MOST_BARS = 128  # keys of the row with a bar each; above, those read most


@dataclass(frozen=True, eq=False)
class OneNumber:
    """One cell of a pattern from its vectors to its probability."""

    terms: ScoreTerms
    query_text: str
    key_text: str
    layer: int
    head: int
    running: tuple[float, ...]  # sum of the products up to and with each dimension
    largest: tuple[int, ...]  # dimensions of the largest terms by size, the largest first
    d_rotary: int  # the first so many dimensions were turned, i together with i + d_rotary / 2; 0: none
    measured: float  # the same cell of the pattern, in the model's own dtype
    vector_limit: float  # ends of the colour scale of q and k
    sum_range: tuple[float, float]  # of products and running sums

    @property
    def d_head(self) -> int:
        return len(self.terms.q)

    @property
    def difference(self) -> float:
        """Between the probability computed here and the measured one."""
        return abs(self.terms.probability - self.measured)

    def pair_of(self, dimension: int) -> int | None:
        """The dimension that the rotation turns together with this one; None where it turns none."""
        if dimension >= self.d_rotary:
            return None
        half = self.d_rotary // 2
        return dimension + half if dimension < half else dimension - half


def one_number_record(
    terms: ScoreTerms,
    stages: HeadStages,
    token_texts: Sequence[str],
    *,
    d_rotary: int = 0,
    shared_with: Sequence[ScoreTerms] = (),
) -> OneNumber:
    """Values -> what will be drawn; `shared_with`: terms of other runs that are drawn on the same scales."""
    every = [terms, *shared_with]
    vectors = max(float(np.abs(v).max()) for each in every for v in (each.q, each.k))
    sums = [
        value for each in every for v in (each.products, np.cumsum(each.products)) for value in v.tolist()
    ]
    order = np.argsort(-np.abs(terms.products), kind="stable")[:N_NAMED_TERMS]
    return OneNumber(
        terms,
        token_texts[terms.query_pos],
        token_texts[terms.key_pos],
        stages.layer,
        stages.head,
        running=tuple(np.cumsum(terms.products).tolist()),
        largest=tuple(order.tolist()),
        d_rotary=d_rotary,
        measured=float(stages.pattern[terms.query_pos, terms.key_pos]),
        vector_limit=vectors or 1.0,
        sum_range=(min(0.0, *sums), max(0.0, *sums)),
    )


@dataclass(frozen=True)
class RowBar:
    """One key's part of the softmax of a row."""

    key: int
    text: str
    score: float  # scaled and capped; what the softmax reads where the cell is visible
    numerator: float  # e^(score - row_max); 0 where masked
    probability: float
    visible: bool
    chosen: bool


@dataclass(frozen=True)
class SoftmaxRow:
    """The row of one query: what every key puts into the denominator."""

    query: int
    query_text: str
    bars: tuple[RowBar, ...]  # by position
    n_keys: int  # of the prompt
    others: float  # share of the keys without a bar of their own
    sink: float | None  # share of a learned sink
    denominator: float


def softmax_row_record(stages: HeadStages, terms: ScoreTerms, token_texts: Sequence[str]) -> SoftmaxRow:
    """The measured scores of the row that holds the cell of `terms`."""
    query, chosen = terms.query_pos, terms.key_pos
    visible = np.asarray(stages.visible[query], dtype=bool)
    raw = stages.scaled if stages.capped is None else stages.capped
    scores = np.asarray(raw[query], dtype=np.float64)
    numerators = np.exp(np.where(visible, scores - terms.row_max, -np.inf))
    shares = numerators / (terms.denominator or 1.0)
    keys = _shown_keys(shares, visible, chosen)
    bars = tuple(
        RowBar(
            key,
            token_texts[key],
            float(scores[key]),
            float(numerators[key]),
            float(shares[key]),
            bool(visible[key]),
            key == chosen,
        )
        for key in keys
    )
    sink = None if stages.sink is None else terms.sink_term / terms.denominator
    rest = max(0.0, float(shares.sum() - shares[keys].sum()))
    return SoftmaxRow(query, token_texts[query], bars, len(token_texts), rest, sink, terms.denominator)


def _shown_keys(shares: np.ndarray, visible: np.ndarray, chosen: int) -> list[int]:
    """Every key where there is room, else those read most and the chosen one, by position."""
    if len(shares) <= MOST_BARS:
        return list(range(len(shares)))
    most = [int(key) for key in np.argsort(-shares, kind="stable")[: MOST_BARS // 4] if visible[key]]
    return sorted({*most, chosen})
