"""Arithmetic in a narrow format: as torch does it on this device, and with a rounding after every step.

    product_sums(q, k, torch.float16, inside="wide")     # torch's own product of two fp16 matrices
    product_sums(q, k, torch.float16, inside="narrow")   # every product and every partial sum rounded to fp16

Matrix products of narrow numbers add up in fp32 inside, on CPUs as in tensor cores, and round once at the end
("wide"). Older hardware, and whoever writes the loop by hand, rounds after every step ("narrow"): that is
emulated here. Each single step is exact IEEE 754 arithmetic: torch computes a narrow sum, product or quotient
in fp32 and rounds it, and fp32 has more than twice the digits, so that rounding twice is rounding once
(Figueroa 1995, "When is double rounding innocuous?"). Its test holds all of it against a loop over fractions.
"""

from __future__ import annotations

import numpy as np
import torch

from model_runtime.records.numbers import Inside

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def product_sums(left: torch.Tensor, right: torch.Tensor, dtype: torch.dtype, inside: Inside) -> torch.Tensor:
    """left right^T in a format: [..., n, d] and [..., m, d] -> [..., n, m].

    Both are rounded to `dtype` first. "narrow" adds up in the order of the last axis, from the first.
    """
    left, right = left.to(dtype), right.to(dtype)
    if inside == "wide" or dtype == torch.float32:
        return torch.matmul(left, right.transpose(-1, -2))
    total = left.new_zeros(*left.shape[:-1], right.shape[-2])
    for place in range(left.shape[-1]):
        total = total + left[..., :, place, None] * right[..., None, :, place]
    return total


def softmax(scores: torch.Tensor, dtype: torch.dtype, *, shifted: bool, inside: Inside) -> torch.Tensor:
    """softmax over the last axis, the result in `dtype`.

    shifted: the row's largest score is taken off first, which changes nothing on paper. inside: "wide"
    widens the scores to fp32 and rounds the shares once at the end, as Llama's attention does; "narrow"
    rounds after every step: difference, e^x, each partial sum in order, quotient. A score of -inf has no
    share.
    """
    steps = scores.to(dtype)
    if inside == "wide":
        steps = steps.float()
    if shifted:
        steps = steps - steps.amax(-1, keepdim=True)
    exp = steps.exp()
    return (exp / row_total(exp)).to(dtype)


def row_total(exp: torch.Tensor) -> torch.Tensor:
    """The denominator, [..., 1]: torch's own sum in fp32; in order, each sum rounded, in a narrow format."""
    return exp.sum(-1, keepdim=True) if exp.dtype == torch.float32 else running_sum(exp)[..., -1:]


def running_sum(numbers: torch.Tensor) -> torch.Tensor:
    """Partial sums along the last axis, each rounded to the numbers' own format, from the first to the last.

    numpy's accumulate rounds at every step; torch's cumsum keeps a wider total (fp64 for fp32 on a CPU).
    """
    if numbers.dtype != torch.bfloat16:
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is an answer here
            sums = np.add.accumulate(numbers.detach().cpu().numpy(), axis=-1)
        return torch.from_numpy(sums).to(numbers.device)
    columns = numbers.unbind(-1)  # numpy has no bf16
    partial = [columns[0]]
    for column in columns[1:]:
        partial.append(partial[-1] + column)
    return torch.stack(partial, -1)


def pairwise_sum(numbers: torch.Tensor) -> torch.Tensor:
    """Sum over the last axis by halves: neighbours first, then neighbours of those; each sum rounded.

    The error grows with log2(n) instead of n (Higham 1993, "The accuracy of floating point summation", 3).
    """
    while numbers.shape[-1] > 1:
        if numbers.shape[-1] % 2:
            numbers = torch.cat((numbers, torch.zeros_like(numbers[..., :1])), -1)
        numbers = numbers[..., 0::2] + numbers[..., 1::2]
    return numbers[..., 0]


def blocked_sum(numbers: torch.Tensor, block: int) -> torch.Tensor:
    """Sum over the last axis in blocks: each from its first number on, then the blocks' sums likewise."""
    if spare := -numbers.shape[-1] % block:
        numbers = torch.cat((numbers, numbers.new_zeros(*numbers.shape[:-1], spare)), -1)
    parts = numbers.reshape(*numbers.shape[:-1], -1, block)
    return running_sum(running_sum(parts)[..., -1])[..., -1]
