"""Muon for the matrices, AdamW for the rest.

Follows Jordan et al. 2024 (Muon: momentum, then the nearest half-orthogonal matrix by five Newton-Schulz steps)
and torch.optim.Muon, which takes two dimensions only; here a stack of experts [expert, out, in] is done at once.
Embeddings, positions, norms, biases and the router go to AdamW, as Muon's authors advise for the first four; a
router's rows are eight directions to choose between, not a map to keep well conditioned.
"""

from __future__ import annotations

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic a + b x^2 + c x^4, tuned by Jordan et al.


def orthogonalised(update: torch.Tensor) -> torch.Tensor:
    """[..., out, in] with singular values pushed to about 1; bfloat16 inside."""
    a, b, c = COEFFICIENTS
    x = update.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(update.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; the step is lr * sqrt(max(1, out / in))."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalised(p.grad.lerp(mean, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[-2] / p.shape[-1]) ** 0.5)


def optimizers(model: nn.Module, muon: bool, lr: float, muon_lr: float, weight_decay: float) -> list:
    """The optimizers of a model; with `muon` False AdamW has all of it."""
    body, rest, plain = [], [], []
    for name, p in model.named_parameters():
        matrix = p.ndim >= 2 and not any(word in name for word in ("embed", "wte", "wpe", "lm_head", "gate.weight"))
        (plain if p.ndim < 2 else body if matrix and muon else rest).append(p)
    groups = [{"params": rest, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-10, fused=True)
    return [adamw, Muon(body, muon_lr, weight_decay=weight_decay)] if body else [adamw]
