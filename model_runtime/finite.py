"""Where the numbers of a run end: the first value, in the order of the forward pass, that is not finite.

A number format has a largest value; beyond it stands infinity, and infinity divided by infinity (as a norm
does) is no number, NaN. Both spread: every sum that holds one is one. Nothing can be compared with them, and
`max`, `argmax` and `<` answer all the same, so whoever builds a sentence asks here first.

A stream may also be finite and lost all the same: norms square it in float32, and beyond 1.8e19 a square is
infinite. RMSNorm then gives zeros, and the model a flat distribution that means nothing.
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
    too_large: bool = False  # all are finite, but not their squares, which the next norm takes


@dataclass(frozen=True)
class Finiteness(Sized):
    """What of a run is finite: `first` None where all that was captured is."""

    first: Break | None
    logits: int  # of the next token, how many are not finite or came out of a norm that was not
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
    first = next((found for found in map(_break_of, _places(trace)) if found), None)
    bad = int(logits.size - np.count_nonzero(np.isfinite(logits)))
    last = trace.kept.get(("resid_post", max(trace.layers, default=0)))
    if last is not None and not bool(_mean_square(last)[-1].isfinite()):
        bad = int(logits.size)
    return Finiteness(first, bad, int(logits.size))


@dataclass(frozen=True)
class _Place:
    layer: int | None
    what: str
    tensors: list[torch.Tensor]  # what was kept there, [..., pos, number] each
    after: torch.Tensor | None = None  # the stream that it is added to, [pos, d_model]


def _places(trace: Trace) -> Iterator[_Place]:
    """What was kept, in the order in which it was computed."""
    kept = trace.kept

    def named(point: str, layer: int | None) -> list[torch.Tensor]:
        found = kept.get((point, layer))
        return [] if found is None else [found[:, None] if found.dim() == 1 else found]

    def stream(what: str, point: str, layer: int | None) -> _Place:
        values = kept.get((point, layer))
        return _Place(layer, what, [] if values is None else [values, _mean_square(values)], values)

    yield _Place(None, "the embedding", named("pos_embed", None))
    yield stream("the embedding", "embed", None)
    for layer in trace.layers:
        call = trace.calls.get(layer)
        mid, post = kept.get(("resid_mid", layer)), kept.get(("resid_post", layer))
        yield _Place(layer, ATTENTION, [] if call is None else [call.query[0], call.key[0], call.value[0]])
        added = post if mid is None else mid
        yield _Place(layer, "what attention adds", named("attn_out_norm", layer), added)
        yield stream("the stream before the MLP", "resid_mid", layer)
        yield _Place(layer, "what the router scores", named("router_logits", layer))
        yield _Place(layer, "what the MLP adds", named("mlp_out_norm", layer), post)
        yield stream("the stream", "resid_post", layer)
    yield _Place(None, "the logits", named("logits", None))


def _mean_square(stream: torch.Tensor) -> torch.Tensor:
    """[pos, d_model] -> [pos, 1]: what a norm divides by the root of, in its own float32."""
    return stream.float().square().mean(-1, keepdim=True)


def _break_of(place: _Place) -> Break | None:
    bad: set[int] = set()
    for tensor in place.tensors:
        rows = (~tensor.isfinite()).any(-1)  # [..., pos]
        bad |= {*rows.reshape(-1, rows.shape[-1]).any(0).nonzero()[:, 0].tolist()}
    if not bad:
        return None
    # Of what is added only its length is kept, a root of a sum of squares: the stream shows which it was.
    too_large = place.after is not None and bool(place.after[sorted(bad)].isfinite().all())
    return Break(place.layer, place.what, min(bad), len(bad), too_large)
