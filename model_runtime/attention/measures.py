"""Measures of a whole run, layer by layer in bounded memory: what heads attend to, what blocks add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from model_runtime.capture.attention_function import AttentionCall, pattern_and_sink, query_rows
from model_runtime.errors import NotCaptured
from model_runtime.records import HeadMeasures
from model_runtime.run import OpenRun
from model_runtime.steps import step


@dataclass(frozen=True, eq=False)
class StreamContributions:
    """Lengths (Euclidean norms) of the stream and of what each block adds to it, float32 [layer, pos].

    resid_pre and resid_post are the lengths of the stream before and after a block (the first resid_pre is
    the embedding, scaled and with positions added where the family does so); attn_out and mlp_out those of
    what is added, after a post-norm where the family has one; ln_final [pos] that of what the head reads,
    None in a family without a final norm.
    """

    layers: tuple[int, ...]
    resid_pre: np.ndarray
    attn_out: np.ndarray
    mlp_out: np.ndarray
    resid_post: np.ndarray
    ln_final: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return 4 * self.attn_out.nbytes + (0 if self.ln_final is None else self.ln_final.nbytes)


_MEASURES = ("entropy", "mean_distance", "first_token", "previous_token", "induction", "duplicate_token")
_CELLS = 2**19  # of [head, query_pos, key_pos] at a time: 2 MB a matrix, which a processor's cache holds
_CELLS_ON_GPU = 2**26
_LEAST = 1e-30  # below this p log p is 0 to any digit, and logarithms of numbers near 0 are slow


def head_measures(run: OpenRun) -> HeadMeasures:
    """Measure every head of a run, a few queries at a time: memory does not grow with the prompt.

    Raises:
        NotCaptured: the trace has no patterns. (Of restricted positions, those queries are measured.)
    """
    trace = run.trace
    if not trace.layers:
        raise NotCaptured("This trace has no layers.", "Ask for it without layers=().")
    first_call = trace.call(trace.layers[0])
    queries, device, n_heads = query_rows(first_call), first_call.query.device, first_call.query.shape[1]
    ids = torch.tensor([token.id for token in trace.tokens], device=device)
    sums = torch.zeros(len(trace.layers), 6, n_heads, dtype=torch.float64, device=device)
    counts = torch.zeros(6, 1, dtype=torch.float64, device=device)
    for start, stop in _blocks(queries.tolist(), n_heads, device):
        block = _Block(queries[start:stop], ids)
        counts[:, 0] += block.counts
        for row, layer in enumerate(trace.layers):
            sums[row] += block.sums(_part(trace.call(layer), start, stop, block.n_keys))
            step()
        step(stop**2, len(queries) ** 2)  # a later query reads more keys
    means = (sums / counts).float().cpu().numpy()  # 0 / 0 is NaN: no query to measure it on
    columns = {name: means[:, number].copy() for number, name in enumerate(_MEASURES)}
    n_repeated = len(trace.tokens) - len({token.id for token in trace.tokens})
    return HeadMeasures(trace.layers, **columns, n_tokens=len(trace.tokens), n_repeated=n_repeated)


def _blocks(queries: list[int], n_heads: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose matrices stay within the cells allowed at a time."""
    cells = _CELLS if device.type == "cpu" else _CELLS_ON_GPU
    start = 0
    while start < len(queries):
        # Keys after the last query of a block are never seen, so that early blocks hold more queries.
        stop = start + 1
        while stop < len(queries) and n_heads * (stop + 1 - start) * (queries[stop] + 1) <= cells:
            stop += 1
        yield start, stop
        start = stop


def _part(call: AttentionCall, start: int, stop: int, n_keys: int) -> AttentionCall:
    """Some rows of a causal layer, with the keys that they can see."""
    rows = query_rows(call)[start:stop]
    kept = set(rows.tolist()) if call.cuts else set()
    return replace(
        call,
        query=call.query[:, :, start:stop],
        key=call.key[:, :, :n_keys],
        rows=rows,
        mask=None if call.mask is None else call.mask[:, :, start:stop],
        cuts=tuple(cut for cut in call.cuts if cut.query_pos in kept),
    )


class _Block:
    """Some queries under measurement: what is the same for all layers and heads.

    The order of `counts` and `sums` is that of `_MEASURES`.
    """

    def __init__(self, queries: torch.Tensor, ids: torch.Tensor) -> None:
        self.n_keys = int(queries.max()) + 1
        keys = torch.arange(self.n_keys, device=queries.device)
        self.distance = (queries[:, None] - keys[None, :]).float()
        same = (ids[queries][:, None] == ids[: self.n_keys][None, :]) & (self.distance > 0)
        self.later = queries > 0
        self.previous = self._cells(self.distance == 1)
        self.duplicate = self._cells(same)
        self.induction = self.duplicate + 1  # one key on, which the query sees too: it is itself at most
        repeated = same.any(dim=-1).sum()
        self.counts = torch.stack(
            (*(torch.tensor(len(queries)).to(repeated),) * 2, *(self.later.sum(),) * 2, *(repeated,) * 2)
        )

    @staticmethod
    def _cells(mask: torch.Tensor) -> torch.Tensor:
        """Where a mask [query_pos, key_pos] is True, in a flattened pattern."""
        return mask.flatten().nonzero()[:, 0]

    def sums(self, call: AttentionCall) -> torch.Tensor:
        """Sums of the six measures over these queries, float32 [measure, head]."""
        pattern = pattern_and_sink(call, None)[0].float()
        scratch = torch.clamp_min(pattern, _LEAST).log_().mul_(pattern)
        entropy = -scratch.sum((1, 2))
        distance = torch.mul(pattern, self.distance, out=scratch).sum((1, 2))
        first = pattern[:, :, 0][:, self.later].sum(-1)
        flat = pattern.flatten(1)
        at = (flat[:, cells].sum(-1) for cells in (self.previous, self.induction, self.duplicate))
        return torch.stack((entropy, distance, first, *at))


def stream_contributions(run: OpenRun) -> StreamContributions:
    """How much attention and MLP each add to the stream.

    Raises:
        NotCaptured: the trace lacks one of the default points that this reads.
    """
    trace = run.trace
    stream = np.linalg.norm(trace.get("resid_post"), axis=-1)
    return StreamContributions(
        layers=trace.layers,
        resid_pre=trace.get("resid_pre_norm"),
        attn_out=trace.get("attn_out_norm"),
        mlp_out=trace.get("mlp_out_norm"),
        resid_post=stream.astype(np.float32),
        ln_final=None if trace.reasons["ln_final_norm"][0] else trace.get("ln_final_norm"),
    )
