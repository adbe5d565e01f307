"""Where the numbers of a run end: the first value, in the order of the forward pass, that is not finite.

A number format has a largest value; beyond it stands infinity, and infinity divided by infinity (as a norm
does) is no number, NaN. Both spread: every sum that holds one is one. Nothing can be compared with them, and
`max`, `argmax` and `<` answer all the same, so whoever builds a sentence asks here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.errors import NotFinite
from model_runtime.records.sized import Sized
from model_runtime.run import OpenRun
from model_runtime.trace import Trace

ATTENTION = "queries, keys and values"


@dataclass(frozen=True)
class Break:
    """The first place of a forward pass with values that are not finite."""

    layer: int | None  # None: before the first layer, or at the logits
    what: str  # in words: "what the MLP adds"
    position: int  # the first token that has one there; of logits the last token
    n_positions: int  # tokens that have one there


@dataclass(frozen=True)
class Finiteness(Sized):
    """What of a run is finite: `first` None where all that was captured is."""

    first: Break | None
    logits: int  # of the next token, how many are not finite
    d_vocab: int

    def spoils(self, layer: int) -> bool:
        """Whether what attention reads in a layer, or anything before it, is not finite."""
        first = self.first
        if first is None or first.what == "the logits":
            return False
        return first.layer is None or first.layer < layer or (first.layer, first.what) == (layer, ATTENTION)


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """The values themselves, if a sentence may be built on them.

    Raises:
        NotFinite: one is infinite or not a number.
    """
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise NotFinite(
            f"{bad:,} of {values.size:,} numbers of {what} are infinite or not a number (NaN): nothing can "
            "be compared with them.",
            "Undo the edit that makes them so, or choose a number format with a wider range (float32).",
        )
    return values


def finiteness(run: OpenRun) -> Finiteness:
    """Look through everything that the run's trace kept, in the order of the forward pass."""
    trace = run.trace
    logits = trace.next_token_logits()
    first = next((found for found in map(_break_of, *zip(*_places(trace), strict=True)) if found), None)
    return Finiteness(first, int(logits.size - np.count_nonzero(np.isfinite(logits))), int(logits.size))


def _places(trace: Trace) -> Iterator[tuple[int | None, str, list[torch.Tensor]]]:
    """What was kept, [..., pos, number] or [pos] each, in the order in which it was computed."""
    kept = trace.kept

    def named(point: str, layer: int | None) -> list[torch.Tensor]:
        found = kept.get((point, layer))
        return [] if found is None else [found[:, None] if found.dim() == 1 else found]

    yield None, "the embedding", [*named("embed", None), *named("pos_embed", None)]
    for layer in trace.layers:
        call = trace.calls.get(layer)
        yield layer, ATTENTION, [] if call is None else [call.query[0], call.key[0], call.value[0]]
        yield layer, "what attention adds", named("attn_out_norm", layer)
        yield layer, "the stream before the MLP", named("resid_mid", layer)
        yield layer, "what the router scores", named("router_logits", layer)
        yield layer, "what the MLP adds", named("mlp_out_norm", layer)
        yield layer, "the stream", named("resid_post", layer)
    yield None, "the logits", named("logits", None)


def _break_of(layer: int | None, what: str, tensors: list[torch.Tensor]) -> Break | None:
    bad: set[int] = set()
    for tensor in tensors:
        rows = (~tensor.isfinite()).any(-1)  # [..., pos]
        bad |= {*rows.reshape(-1, rows.shape[-1]).any(0).nonzero()[:, 0].tolist()}
    return Break(layer, what, min(bad), len(bad)) if bad else None
