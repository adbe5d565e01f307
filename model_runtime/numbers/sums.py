"""Real sums of a forward pass, added up in other orders and formats.

    terms = sum_terms(run, "norm", layer=3, position=0)     # the 576 squares under RMSNorm's root
    error_by_length(terms)                                  # how wrong each way is, by length
    in_orders(terms)                                        # the same fp32 numbers in other orders
    batch_shapes(run)                                       # torch's own product, alone and in company

Sources: Higham 1993, "The accuracy of floating point summation" (SIAM J. Sci. Comput. 14(4)): the error's
bound grows with n in order and with log2 n pairwise; Goldberg 1991, 4.1: (a + b) + c is not a + (b + c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from model_runtime.model import Model
from model_runtime.numbers.narrow import blocked_sum, pairwise_sum, running_sum
from model_runtime.records.numbers import LengthErrors
from model_runtime.records.sized import Sized
from model_runtime.run import OpenRun

SumKind = Literal["norm", "logit", "vocabulary"]
KINDS: tuple[SumKind, ...] = ("norm", "logit", "vocabulary")
# name -> format of the factors and products, format of the sums, by halves instead of in order
WAYS: dict[str, tuple[torch.dtype, torch.dtype, bool]] = {
    "fp16 in order": (torch.float16, torch.float16, False),
    "fp16 pairwise": (torch.float16, torch.float16, True),
    "bf16 in order": (torch.bfloat16, torch.bfloat16, False),
    "fp16 numbers, fp32 sum": (torch.float16, torch.float32, False),
    "fp32 in order": (torch.float32, torch.float32, False),
    "fp32 pairwise": (torch.float32, torch.float32, True),
}
BATCHES = (1, 2, 4, 8, 16, 64)
_BLOCKS = (8, 32, 256)


@dataclass(frozen=True, eq=False)
class SumTerms(Sized):
    """A dot product: the sum of left_i right_i, float32 [n] each, as the model had them."""

    kind: SumKind
    left: np.ndarray
    right: np.ndarray

    @property
    def exact(self) -> float:
        """The sum in fp64, which holds each product of two fp32 numbers exactly."""
        return float((self.left.astype(np.float64) * self.right).sum())


def sum_terms(
    run: OpenRun, kind: SumKind, *, layer: int = 0, position: int = -1, token_id: int | None = None
) -> SumTerms:
    """The numbers of one sum that the forward pass makes.

    Args:
        kind: "norm": what a norm of the model's kind adds up on the stream that enters a layer: its squares,
            in LayerNorm those of its distances from the mean. "logit": the normed final stream times the
            head's row of one token, before a soft cap. "vocabulary": e^(logit - largest) of all tokens, the
            denominator of the next token's softmax (each times 1).
        layer, position: of "norm".
        token_id: of "logit"; None takes the likeliest.
    """
    if kind == "norm":
        position %= len(run.tokens)
        trace = run.traced(points=("resid_pre",), layers=(layer,), positions=(position,))
        stream = trace.get("resid_pre", layer)[0]
        if run.spec.norm == "LayerNorm":
            stream = stream - stream.mean()
        return SumTerms(kind, stream, stream)
    logits = run.trace.next_token_logits()
    if kind == "vocabulary":
        shares = np.exp(logits - logits.max()).astype(np.float32)
        return SumTerms(kind, shares, np.ones_like(shares))
    chosen = int(logits.argmax()) if token_id is None else token_id
    weights = _head(run.model)[chosen].float().cpu().numpy()
    return SumTerms(kind, final_stream(run)[0], np.array(weights))


def final_stream(run: OpenRun) -> np.ndarray:
    """The last token's stream behind the final norm, float32 [1, d_model]."""
    last = len(run.tokens) - 1
    return run.traced(points=("ln_final",), layers=(), positions=(last,)).get("ln_final")


def _head(model: Model) -> torch.Tensor:
    """The weights of the head, [d_vocab, d_model]."""
    weights: torch.Tensor = model.hf_model.get_output_embeddings().weight.detach()
    return weights


def error_by_length(terms: SumTerms) -> LengthErrors:
    """Add up the first 1, 2, 4, ... and all terms in every way: `WAYS`.

    Factors are rounded to the way's format, then each product, then each sum; with "fp32 sum" products of
    fp16 numbers stay exact, as in tensor cores.
    """
    n = len(terms.left)
    lengths = tuple(dict.fromkeys([*(2**power for power in range(n.bit_length()) if 2**power <= n), n]))
    products = terms.left.astype(np.float64) * terms.right
    exact = np.cumsum(products)
    sizes = np.maximum(np.cumsum(np.abs(products)), np.finfo(np.float64).tiny)
    errors: dict[str, np.ndarray] = {}
    sums: dict[str, float] = {}
    for name, (narrow, wide, halves) in WAYS.items():
        partial = partial_sums(terms, lengths, narrow, wide, halves)
        places = np.array(lengths) - 1
        gaps = np.abs(partial - exact[places]) / sizes[places]
        errors[name] = np.where(np.isfinite(partial), gaps, np.inf)
        sums[name] = float(partial[-1])
    return LengthErrors(lengths, errors, sums, float(exact[-1]))


def partial_sums(
    terms: SumTerms, lengths: tuple[int, ...], narrow: torch.dtype, wide: torch.dtype, halves: bool
) -> np.ndarray:
    """Sums of the first `lengths` terms in one way, float64 [length]."""
    left, right = torch.from_numpy(terms.left).to(narrow), torch.from_numpy(terms.right).to(narrow)
    products = left.to(wide) * right.to(wide)
    if halves:
        return np.array([float(pairwise_sum(products[:length])) for length in lengths])
    return running_sum(products).double().numpy()[np.array(lengths) - 1]


def in_orders(terms: SumTerms) -> dict[str, float]:
    """The sum of the same fp32 products in several orders, each step rounded to fp32."""
    products = torch.from_numpy(terms.left * terms.right)
    by_size = products[products.abs().argsort(stable=True)]
    return {
        "first to last": float(running_sum(products)[-1]),
        "last to first": float(running_sum(products.flip(0))[-1]),
        "smallest first": float(running_sum(by_size)[-1]),
        "pairwise": float(pairwise_sum(products)),
        **{f"in blocks of {block}": float(blocked_sum(products, block)) for block in _BLOCKS},
    }


@dataclass(frozen=True, eq=False)
class SumReport(Sized):
    """One sum in every way and order: `error_by_length` and `in_orders` of the same terms."""

    exact: float
    by_length: LengthErrors
    orders: Mapping[str, float]


def sum_report(run: OpenRun, kind: SumKind, layer: int = 0, position: int = -1) -> SumReport:
    """All that is shown of a sum. A vocabulary of 150,000 takes about a second: bf16 is added in a loop."""
    terms = sum_terms(run, kind, layer=layer, position=position)
    return SumReport(terms.exact, error_by_length(terms), in_orders(terms))


@dataclass(frozen=True, eq=False)
class BatchShapes(Sized):
    """One entry a batch size."""

    shapes: tuple[BatchShape, ...]


@dataclass(frozen=True)
class BatchShape:
    """The last position's logits computed among `rows` rows: how many differ from those of the row alone, and
    by how much at most."""

    rows: int
    differ: int
    largest: float


def batch_shapes(run: OpenRun) -> BatchShapes:
    """torch's own product of the final stream and the head, alone and in batches of the same row repeated.

    Nothing but the number of rows changes: what differs comes from the order in which the kernel adds up.
    """
    head = _head(run.model)
    row = torch.from_numpy(final_stream(run)).to(head.device, head.dtype)
    alone = (row @ head.T)[0].float()
    found = []
    for rows in BATCHES:
        together = (row.expand(rows, -1).contiguous() @ head.T)[0].float()
        gaps = (together - alone).abs()
        found.append(BatchShape(rows, int((gaps > 0).sum()), float(gaps.max())))
    return BatchShapes(tuple(found))
