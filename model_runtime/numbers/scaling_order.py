"""Attention's scores in three orders that are equal on paper, in fp32, fp16 and bf16.

    after: (q k^T) / sqrt(d)        key: q (k / sqrt(d))^T        query: (q / sqrt(d)) k^T

On the q and k of a real head, both multiplied by a `gain`, as weights that grow in training would. What is
larger than 65,504 becomes infinite in fp16, and an infinite score makes its whole row NaN in the softmax.
Source: Vaswani et al. 2017, 3.2.1, for "after"; the Mistral project's GPT-2 (Karamcheti et al. 2021) and its
`reorder_and_upcast_attn` in transformers for "key"; NVIDIA's Megatron-LM and OPT for "query".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_runtime.capture.attention_function import AttentionCall, dots, soft_capped, visible_cells
from model_runtime.model import Model
from model_runtime.numbers.narrow import DTYPES, product_sums
from model_runtime.records.numbers import ORDERS, Inside, Order, OrderReport, OrderResult
from model_runtime.records.sized import Sized
from model_runtime.run import OpenRun

OVERFLOW = 65_520.0  # from here on fp16 rounds to infinity: half a gap beyond 65,504


def compare_orders(
    run: OpenRun, layer: int, head: int, *, gain: float = 1.0, inside: Inside = "wide"
) -> OrderReport:
    """One head of a run in all orders and formats.

    The gain is put on q and k in fp32, before they are rounded. The softmax is that of fp32 inside, so that
    only the product's order differs. The reference of `difference` is "after" in fp32 with the same gain.

    Raises:
        PointUnavailable: no such layer or head.
    """
    call = run.trace.call(layer, head)
    query, key, scaling = unscaled(run.model, call)
    group = query.shape[0] // key.shape[0]
    q, k = gain * query[head], gain * key[head // group]
    visible = visible_cells(call, head)[0]
    results: dict[tuple[Order, str], OrderResult] = {}
    reference: np.ndarray | None = None
    for name, dtype in DTYPES.items():
        for order in ORDERS:
            product, scores = scores_in(q, k, scaling, order, dtype, inside)
            scores = soft_capped(scores, call.softcap)
            result = _result(call, head, product, scores, visible, reference)
            reference = result.pattern if reference is None else reference
            results[order, name] = result
    return OrderReport(layer, head, gain, inside, scaling, q.shape[-1], results)


def scores_in(
    q: torch.Tensor, k: torch.Tensor, scaling: float, order: Order, dtype: torch.dtype, inside: Inside
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the product hands on, and the scores: [query_pos, d], [key_pos, d] -> two [query_pos, key_pos].

    The factor `scaling` is a number of Python's, as in the models: it is not rounded itself, the result is.
    """
    q, k = q.to(dtype), k.to(dtype)
    if order == "after":
        product = product_sums(q, k, dtype, inside)
        return product, product * scaling
    if order == "key":
        k = k * scaling
    else:
        q = q * scaling
    product = product_sums(q, k, dtype, inside)
    return product, product


def unscaled(model: Model, call: AttentionCall) -> tuple[torch.Tensor, torch.Tensor, float]:
    """q [head, query_pos, d] and k [kv head, key_pos, d] in fp32, and the factor of their product.

    A family that hands q over already divided (OPT) gets it back as it was.
    """
    query, key = call.query[0].float(), call.key[0].float()
    root = math.sqrt(query.shape[-1])
    return (
        (query * root, key, call.scaling / root)
        if model.family.q_handed_over_scaled
        else (query, key, call.scaling)
    )


def _result(
    call: AttentionCall,
    head: int,
    product: torch.Tensor,
    scores: torch.Tensor,
    visible: torch.Tensor,
    reference: np.ndarray | None,
) -> OrderResult:
    dtype = scores.dtype
    logits = scores.float().masked_fill(~visible, float("-inf"))
    n_keys = logits.shape[-1]
    if call.sinks is not None:
        logits = torch.cat((logits, call.sinks[head].float().expand(len(logits), 1)), -1)
    shares = logits.softmax(-1).to(dtype).float()[:, :n_keys]
    pattern = shares.masked_fill(~visible, 0.0).cpu().numpy()
    broken = np.flatnonzero(np.isnan(pattern).any(1))
    handed = product.float().masked_fill(~visible, 0.0).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    if reference is None:
        difference = 0.0
    else:
        gaps = np.abs(pattern - reference).max(1)
        whole = np.isfinite(gaps)
        difference = float(gaps[whole].max()) if whole.any() else math.nan
    pattern[broken] = np.where(visible.cpu().numpy()[broken], np.nan, 0.0)
    return OrderResult(
        largest=float(handed.max()),
        overflowed=int(handed.isinf().sum()),
        up=int((logits[:, :n_keys] == math.inf).sum()),
        down=int(((logits[:, :n_keys] == -math.inf) & visible).sum()),
        nan=int((logits[:, :n_keys].isnan() & visible).sum()),
        n_cells=int(visible.sum()),
        broken_rows=tuple(map(int, broken)),
        pattern=pattern,
        difference=difference,
    )


@dataclass(frozen=True, eq=False)
class HeadSizes(Sized):
    """How large attention's numbers are in every head, float32 [layer, head] each.

    dot: the largest |q k^T| over the visible cells; q, k: the largest |component| of the queries and keys.
    """

    dot: np.ndarray
    q: np.ndarray
    k: np.ndarray
    scaling: np.ndarray  # [layer]

    def breaking_gains(self, order: Order) -> np.ndarray:
        """The gain from which a number of each head is infinite in fp16, [layer, head]; inf where none is,
        NaN where one is not finite as it stands.

        A product of q and k grows with the square of the gain, q and k themselves with the gain. Rounding q
        and k to fp16 moves this by less than a thousandth.
        """
        factor = 1.0 if order == "after" else self.scaling[:, None]
        with np.errstate(divide="ignore"):
            by_product = np.sqrt(OVERFLOW / (self.dot * factor))
            gains = np.minimum(by_product, OVERFLOW / np.maximum(self.q, self.k))
        numbers = np.isfinite(self.dot) & np.isfinite(self.q) & np.isfinite(self.k)
        return np.where(numbers, gains.astype(np.float64), np.nan)


def head_sizes(run: OpenRun) -> HeadSizes:
    """The sizes of every layer and head, one layer at a time."""
    rows: list[tuple[Any, ...]] = []
    for layer in run.trace.layers:
        call = run.trace.call(layer)
        query, key, scaling = unscaled(run.model, call)
        product = dots(call, None).masked_fill_(~visible_cells(call), 0.0)  # in place: it is a large matrix
        largest = _largest(product) * (call.scaling / scaling)
        per_kv_head = np.repeat(_largest(key), query.shape[0] // key.shape[0])
        rows.append((largest, _largest(query), per_kv_head, np.float32(scaling)))
    dot, q, k, factors = (np.stack(column) for column in zip(*rows, strict=True))
    return HeadSizes(dot, q, k, factors)


def _largest(matrices: torch.Tensor) -> np.ndarray:
    """The largest |number| of each, [n, ...] -> float32 [n]; without a copy of them all."""
    flat = matrices.flatten(1)
    return torch.maximum(flat.amax(1), -flat.amin(1)).float().cpu().numpy()
