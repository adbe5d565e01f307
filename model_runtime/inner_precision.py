"""What a product, a softmax and a norm do inside when numbers are stored in a narrow format: measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from model_runtime.model import Model

_ROWS, _COLUMNS = 8, 64


@dataclass(frozen=True)
class InnerPrecision:
    """Three small experiments on a model's own numbers, in its own format, on its own device.

    product: share of dot products (rows of the embedding table) whose result is the exact sum, rounded once.
    product_rounded: what that share would be if the sum were rounded after each term.
    softmax: share of softmax weights that are the exact ones, rounded once.
    norm: whether the model's last norm takes numbers up to 300 whole: their squares, 90,000, lie beyond fp16.
    """

    terms: int  # of one dot product
    product: float
    product_rounded: float
    softmax: float
    norm: bool
    nbytes: int = 64


def inner_precision(model: Model) -> InnerPrecision:
    """Measure them; takes milliseconds and leaves the model as it is."""
    with torch.no_grad():
        table = model.hf_model.get_input_embeddings().weight
        x, w = table[-_ROWS:].detach(), table[:_COLUMNS].detach()
        y = nn.functional.linear(x, w)
        exact = x.double() @ w.double().T
        stepwise = torch.zeros_like(y)
        for term in range(x.shape[1]):
            stepwise = stepwise + x[:, term, None] * w[None, :, term]
        weights = y.softmax(-1)
        exact_weights = y.double().softmax(-1)
        return InnerPrecision(
            terms=x.shape[1],
            product=_share(y, exact),
            product_rounded=_share(stepwise, exact),
            softmax=_share(weights, exact_weights),
            norm=_norm_is_wide(model, x),
        )


def _share(values: torch.Tensor, exact: torch.Tensor) -> float:
    return float((values == exact.to(values.dtype)).float().mean())


def _norm_is_wide(model: Model, x: torch.Tensor) -> bool:
    norm = model.adapter.role("ln_final", None)
    if not isinstance(norm, nn.Module):
        return False
    large = x / x.abs().amax(-1, keepdim=True) * 300
    normed = norm(large[None])
    return bool(torch.isfinite(normed).all()) and bool((normed != 0).any())
