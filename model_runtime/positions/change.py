"""What another rotation, or any other edit, does to the attention of every head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.capture.attention_function import pattern_and_sink, scores
from model_runtime.interventions import Intervention
from model_runtime.run import OpenRun
from model_runtime.steps import step
from model_runtime.trace import Trace


@dataclass(frozen=True, eq=False)
class PatternChange:
    """How far every head's pattern moves from one run to another."""

    moved: np.ndarray  # float32 [layer, head]: total variation, 0 to 1, mean over queries
    scores: np.ndarray  # float32 [layer, head]: largest difference of a score that is visible in both

    @property
    def nbytes(self) -> int:
        return self.moved.nbytes + self.scores.nbytes


def pattern_change(run: OpenRun, edits: tuple[Intervention, ...], most_queries: int = 128) -> PatternChange:
    """The run beside itself under other `edits`; on long prompts over `most_queries` queries, evenly spaced.

    Raises:
        PointUnavailable: the model has no patterns.
        InterventionError: an edit of something that does not exist here.
    """
    before, after = run.trace, run.under(edits).trace
    last = len(before.tokens) - 1
    spaced = np.linspace(0, last, min(most_queries, last + 1)).round()
    queries = sorted({int(position) for position in spaced})
    moved, largest = [], []
    for layer in range(before.spec.n_layers):
        one, other = (_rows(trace, layer, queries) for trace in (before, after))
        moved.append(np.abs(one[1] - other[1]).sum(-1).mean(-1) / 2)
        with np.errstate(invalid="ignore"):
            gap = np.abs(one[0] - other[0])
        hidden = np.isneginf(one[0]) | np.isneginf(other[0])  # what is no number stays one
        largest.append(np.where(hidden, 0, gap).max((-1, -2)))
        step(layer + 1, before.spec.n_layers)
    return PatternChange(np.stack(moved).astype(np.float32), np.stack(largest).astype(np.float32))


def _rows(trace: Trace, layer: int, queries: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and pattern of these queries, all heads: float32 [head, query, key_pos]."""
    call = trace.call(layer, queries=queries)
    logits = scores(call, None)
    return logits.float().cpu().numpy(), pattern_and_sink(call, None)[0].float().cpu().numpy()
