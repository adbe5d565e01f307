"""Whole-trace measures, computed layer by layer in bounded memory: what heads attend to, what blocks add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.attention import pattern_and_sink, query_rows
from model_runtime.errors import NotCaptured
from model_runtime.trace import Trace


@dataclass(frozen=True, eq=False)
class HeadMeasures:
    """One number per head, float32 [layer, head]; rows are the trace's `layers`, NaN where undefined.

    entropy: mean over queries of the pattern's entropy, in nats (Shannon). A sink's share is left out, and
        the rest is taken as it is.
    mean_distance: mean over queries of the expected distance query_pos - key_pos, in tokens.
    first_token: mean share on position 0, over the queries after it (the "attention sink" of Xiao et al.
        2023, arXiv:2309.17453).
    previous_token: mean share on the token just before, over the queries after the first (Olsson et al.
        2022, arXiv:2209.11895, "previous-token heads").
    induction: mean share on the token that followed the last earlier occurrences of the query's token,
        over the queries that have one (Olsson et al. 2022: "prefix matching": here on the prompt itself,
        not on random repeated tokens). NaN if no token is repeated.
    duplicate_token: mean share on earlier occurrences of the query's own token (Wang et al. 2022,
        arXiv:2211.00593, "duplicate token heads"). NaN if no token is repeated.
    """

    layers: tuple[int, ...]
    entropy: np.ndarray
    mean_distance: np.ndarray
    first_token: np.ndarray
    previous_token: np.ndarray
    induction: np.ndarray
    duplicate_token: np.ndarray
    n_repeated: int  # queries whose token occurred before: the basis of the last two

    @property
    def nbytes(self) -> int:
        return 6 * self.entropy.nbytes


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


def repeats(token_ids: list[int]) -> torch.Tensor:
    """bool [query_pos, key_pos]: key_pos is an earlier position with the same token.

    >>> repeats([7, 8, 7]).nonzero().tolist()
    [[2, 0]]
    """
    ids = torch.tensor(token_ids)
    return (ids[:, None] == ids[None, :]).tril(diagonal=-1)


def _mean_over(values: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Mean of [head, query_pos] over the chosen queries; NaN if there is none."""
    return values[:, queries].mean(dim=-1)


def head_measures(trace: Trace) -> HeadMeasures:
    """Measure every head of a trace. Holds one layer's patterns at a time.

    Raises:
        NotCaptured: the trace has no patterns. (Of restricted positions, those queries are measured.)
    """
    if not trace.layers:
        raise NotCaptured("This trace has no layers.", "Ask for it without layers=().")
    same = repeats([token.id for token in trace.tokens])
    after_same = torch.zeros_like(same)
    after_same[:, 1:] = same[:, :-1]  # the token that followed an earlier occurrence
    rows = []
    for layer in trace.layers:
        call = trace.call(layer)
        queries = query_rows(call)
        keep = queries.cpu()
        n_keys = call.key.shape[2]
        pattern = pattern_and_sink(call, None)[0].float()
        positions = torch.arange(n_keys, device=pattern.device)
        distance = (queries[:, None] - positions[None, :]).float()
        later = queries > 0
        previous = positions[None, :] == queries[:, None] - 1
        device = pattern.device
        repeated = same[keep].any(dim=-1).to(device)
        rows.append(
            torch.stack(
                (
                    -torch.special.xlogy(pattern, pattern).sum(-1).mean(-1),
                    (pattern * distance).sum(-1).mean(-1),
                    _mean_over(pattern[:, :, 0], later),
                    _mean_over((pattern * previous).sum(-1), later),
                    _mean_over((pattern * after_same[keep].to(device)).sum(-1), repeated),
                    _mean_over((pattern * same[keep].to(device)).sum(-1), repeated),
                )
            ).cpu()
        )
    table = torch.stack(rows).permute(1, 0, 2).numpy()
    entropy, distance, first, previous_token, induction, duplicate = table
    return HeadMeasures(
        layers=trace.layers,
        entropy=entropy,
        mean_distance=distance,
        first_token=first,
        previous_token=previous_token,
        induction=induction,
        duplicate_token=duplicate,
        n_repeated=int(same.any(dim=-1).sum()),
    )


def stream_contributions(trace: Trace) -> StreamContributions:
    """How much attention and MLP each add to the stream, from a default trace.

    Raises:
        NotCaptured: the trace lacks one of the default points that this reads.
    """
    stream = np.linalg.norm(trace.get("resid_post"), axis=-1)
    return StreamContributions(
        layers=trace.layers,
        resid_pre=trace.get("resid_pre_norm"),
        attn_out=trace.get("attn_out_norm"),
        mlp_out=trace.get("mlp_out_norm"),
        resid_post=stream.astype(np.float32),
        ln_final=None if trace.reasons["ln_final_norm"][0] else trace.get("ln_final_norm"),
    )
