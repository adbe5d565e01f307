"""All heads of one layer side by side: what a few tokens read, and how much alike two heads read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.attention import pattern_and_sink
from model_runtime.trace import Trace

MOST_QUERIES = 128  # of a long prompt, evenly spaced: the overlap's work is bounded


@dataclass(frozen=True, eq=False)
class LayerRows:
    """Rows of the patterns of every head of a layer, float32 [head, query_pos, key_pos].

    queries: token position of each row, in the order they were asked for.
    sink: share of each row that goes to a learned sink, [head, query_pos]; None where the model has none.
    """

    queries: tuple[int, ...]
    pattern: np.ndarray
    sink: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.pattern.nbytes + (0 if self.sink is None else self.sink.nbytes)


@dataclass(frozen=True, eq=False)
class HeadOverlap:
    """How much alike the heads of a layer read, float32 [head, head], 1 on the diagonal.

    The overlap of two heads on one token is the sum over keys of the smaller of their two probabilities
    (one less the total variation distance): 1 where they read the same in the same shares, 0 where they
    share no key. It is averaged over `n_queries` tokens, the first left out, since it can read itself only.
    """

    overlap: np.ndarray
    n_queries: int

    @property
    def nbytes(self) -> int:
        return self.overlap.nbytes


def layer_rows(trace: Trace, layer: int, queries: Sequence[int]) -> LayerRows:
    """What some tokens read in every head of a layer, without the rest of the n x n patterns.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    pattern, sink = pattern_and_sink(trace.call(layer, queries=list(queries)), None)
    shares = None if sink is None else np.array(sink.float().cpu().numpy())
    return LayerRows(tuple(queries), np.array(pattern.float().cpu().numpy()), shares)


def head_overlap(trace: Trace, layer: int, most_queries: int = MOST_QUERIES) -> HeadOverlap:
    """How much alike every two heads of a layer read this prompt, over at most `most_queries` tokens.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    last = len(trace.tokens) - 1
    spaced = np.linspace(min(1, last), last, min(most_queries, max(last, 1)))
    queries = sorted({int(position) for position in spaced.round()})
    pattern = layer_rows(trace, layer, queries).pattern
    n_heads = len(pattern)
    overlap = np.ones((n_heads, n_heads), dtype=np.float32)
    for one in range(n_heads):
        for other in range(one):
            shared = np.minimum(pattern[one], pattern[other]).sum(axis=-1).mean()
            overlap[one, other] = overlap[other, one] = shared
    return HeadOverlap(overlap, len(queries))
