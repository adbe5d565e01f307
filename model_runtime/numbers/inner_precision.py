"""What a product, a softmax and a norm do inside when numbers are stored in a narrow format: measured."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model_runtime.model import Model
from model_runtime.records.sized import Sized

_ROWS, _COLUMNS, _CANDIDATES = 8, 64, 4096
_OFF = 0.05  # of what a norm does: far above rounding, far below an overflow inside


@dataclass(frozen=True)
class InnerPrecision(Sized):
    """Three small experiments on a model's own numbers, in its own format, on its own device.

    product: share of dot products (rows of the embedding table) whose result is the exact sum, rounded once.
    product_rounded: what that share would be if the sum were rounded after each term.
    softmax: share of softmax weights that are the exact ones, rounded once.
    norm: whether the model's last norm makes of numbers up to 300 what it makes of them in fp32: their
        squares, 90,000, lie beyond fp16. None where it is no module of its own.
    """

    terms: int  # of one dot product; 0 where the table holds only zeros: nothing was measured
    product: float
    product_rounded: float
    softmax: float
    norm: bool | None


def inner_precision(model: Model) -> InnerPrecision:
    """Measure them, on the longest rows of the table (padded ones can be 0); the model stays as it is."""
    with torch.no_grad():
        table = longest_rows(model.hf_model.get_input_embeddings().weight.detach(), _ROWS + _COLUMNS)
        if not len(table):
            return InnerPrecision(0, np.nan, np.nan, np.nan, None)
        x, w = table[:_ROWS], table[-_COLUMNS:]
        y = nn.functional.linear(x, w)
        exact = x.cpu().double() @ w.cpu().double().T  # on the CPU: not every device has float64
        stepwise = torch.zeros_like(y)
        for term in range(x.shape[1]):
            stepwise = stepwise + x[:, term, None] * w[None, :, term]
        return InnerPrecision(
            terms=x.shape[1],
            product=_share(y, exact),
            product_rounded=_share(stepwise, exact),
            softmax=_share(y.softmax(-1), y.cpu().double().softmax(-1)),
            norm=_norm_is_wide(model, x),
        )


def longest_rows(table: torch.Tensor, n: int) -> torch.Tensor:
    """At most `n` rows of a table, longest first, of some thousands spread over it; none that is 0."""
    spread = torch.arange(0, len(table), max(1, len(table) // _CANDIDATES), device=table.device)
    rows = table[spread]
    sizes = torch.linalg.vector_norm(rows.float(), dim=-1)
    order = sizes.argsort(descending=True)[:n]
    return rows[order[sizes[order] > 0]]


def _share(values: torch.Tensor, exact: torch.Tensor) -> float:
    return float((values.cpu() == exact.to(values.dtype)).float().mean())


def _norm_is_wide(model: Model, x: torch.Tensor) -> bool | None:
    norm = model.adapter.role("ln_final", None)
    if not isinstance(norm, nn.Module):
        return None
    wide = copy.deepcopy(norm).float()
    large = (x / x.abs().amax(-1, keepdim=True) * 300)[None]
    expected = wide(large.float())
    # Against the norm of nothing: where there is a bias, that is what an overflow inside leaves.
    done = expected - wide(torch.zeros_like(large, dtype=torch.float32))
    off = norm(large).float() - expected
    return bool(torch.linalg.vector_norm(off) < _OFF * torch.linalg.vector_norm(done))
