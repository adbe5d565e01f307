"""All heads of one layer side by side: what a few tokens read, and how much alike two heads read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.capture.attention_function import pattern_and_sink
from model_runtime.records import HeadOverlap
from model_runtime.run import OpenRun

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

    def of(self, head: int | None) -> np.ndarray:
        """The rows of one head, or (None) their mean over all heads: [query_pos, key_pos]."""
        return self.pattern.mean(axis=0) if head is None else self.pattern[head]

    def sink_of(self, head: int | None) -> np.ndarray | None:
        """What goes to the sink in these rows, [query_pos]."""
        if self.sink is None:
            return None
        return self.sink.mean(axis=0) if head is None else self.sink[head]

    @property
    def nbytes(self) -> int:
        return self.pattern.nbytes + (0 if self.sink is None else self.sink.nbytes)


def layer_rows(run: OpenRun, layer: int, queries: Sequence[int]) -> LayerRows:
    """What some tokens read in every head of a layer, without the rest of the n x n patterns.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    pattern, sink = pattern_and_sink(run.trace.call(layer, queries=list(queries)), None)
    shares = None if sink is None else np.array(sink.float().cpu().numpy())
    return LayerRows(tuple(queries), np.array(pattern.float().cpu().numpy()), shares)


def head_overlap(run: OpenRun, layer: int, most_queries: int = MOST_QUERIES) -> HeadOverlap:
    """How much alike every two heads of a layer read this prompt, over at most `most_queries` tokens.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    last = len(run.tokens) - 1
    spaced = np.linspace(min(1, last), last, min(most_queries, max(last, 1)))
    queries = sorted({int(position) for position in spaced.round()})
    pattern = layer_rows(run, layer, queries).pattern
    rest = pattern[:, :, 1:].astype(np.float64)
    return HeadOverlap(overlap_of(rest), len(queries), float(pattern[:, :, 0].mean(dtype=np.float64)))


def overlap_of(reads: np.ndarray) -> np.ndarray:
    """2 sum min(a, b) / (sum a + sum b) of every two heads of [head, ...], float32 [head, head].

    >>> overlap_of(np.array([[0.5, 0.5], [0.5, 0.0]])).astype(float).round(4).tolist()
    [[1.0, 0.6667], [0.6667, 1.0]]
    """
    n_heads = len(reads)
    overlap = np.full((n_heads, n_heads), np.nan, dtype=np.float32)
    totals = reads.reshape(n_heads, -1).sum(axis=1)
    for one in range(n_heads):
        for other in range(one + 1):
            both = totals[one] + totals[other]
            if both > 0:
                shared = 2 * np.minimum(reads[one], reads[other]).sum() / both
                overlap[one, other] = overlap[other, one] = shared
    return overlap
