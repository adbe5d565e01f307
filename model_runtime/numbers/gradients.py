"""Gradients of one real backward pass: how small they are, what fp16 does to them, what a loss scale saves.

The loss is the mean next-token cross-entropy over a prompt, in nats. The pass runs on a twin of the model,
which shares every weight with it and nothing else: no gradient and no flag is ever put on the shared model,
and forwards of other threads go on undisturbed. (`torch.func.functional_call` would exchange the weights of
the shared module itself while it runs.)

Source: Micikevicius et al. 2018, Mixed precision training (arXiv:1710.03740), 3.2 and figure 3.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from model_runtime.capture import context
from model_runtime.capture.context import Run
from model_runtime.capture.hooks import let_go
from model_runtime.capture.planner import Plan
from model_runtime.errors import ModelTooLarge, PromptError
from model_runtime.model import Model
from model_runtime.records.numbers import LossScaling
from model_runtime.records.sized import Sized
from model_runtime.run import Turn
from model_runtime.steps import step

LOWEST, HIGHEST = -64, 24  # powers of two; the ends hold what lies beyond
MOST_WEIGHTS = 20_000_000  # a larger model would take longer than a page can wait
MOST_TOKENS = 128  # fourteen passes are made, whose time grows with them
SCALES: tuple[int, ...] = tuple(range(-16, 25))  # k of a factor 2^k, for which gradients are counted
PASSES: tuple[int, ...] = tuple(range(-16, 25, 4))  # k for which a pass in fp16 is made
_LAYER = re.compile(r"\.(\d+)\.")
_LOGITS = "logits"


@dataclass(frozen=True, eq=False)
class GradientSizes(Sized):
    """How large gradients are, by group, and what rounding 2^k times them to fp16 would make of them.

    counts int64 [group, exponent]: gradients with 2^e <= |g| < 2^(e+1), e from `LOWEST` to `HIGHEST`.
    zeros, sizes int64 [group]: those that are 0 already in fp32, and all; largest float64 [group].
    vanishing, subnormal, infinite int64 [group, k], exact, for k in `scales`: become 0 (from 2^-25 down, a
    tie that goes to the even 0), become a subnormal number, become infinite (from 65,520 up). Those that are
    0 in fp32 are in none of them. A negative k is what a mean loss over a batch of 2^-k such prompts does to
    this one's gradients.
    """

    names: tuple[str, ...]
    scales: tuple[int, ...]
    counts: np.ndarray
    zeros: np.ndarray
    sizes: np.ndarray
    largest: np.ndarray
    vanishing: np.ndarray
    subnormal: np.ndarray
    infinite: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Gradients that are not 0 in fp32, int64 [group]."""
        return self.sizes - self.zeros


@dataclass(frozen=True, eq=False)
class HalfPasses(Sized):
    """Real backward passes with weights and activations in 16 bits, the loss multiplied by 2^k.

    Rows are passes, k as in `scales`. vanished int64 [pass, group]: exactly 0 here and not in fp32; broken:
    infinite or not a number. `weights_` groups as in `GradientReport.weights`, `stream_` likewise.
    error float64 [pass]: |g_k / 2^k - g| / |g| over all weights, g from fp32; NaN where one is broken.
    loss: of the forward in 16 bits, in nats.
    """

    dtype: str
    scales: tuple[int, ...]
    loss: float
    weights_vanished: np.ndarray
    weights_broken: np.ndarray
    stream_vanished: np.ndarray
    stream_broken: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class GradientReport(Sized):
    """What one backward pass in fp32 gave, and the same pass in fp16 and bf16, for some k.

    stream: gradients of the loss with respect to the stream after the embedding and after each layer, and to
    the logits (last group), of all tokens. loss: nats, mean over `n_tokens` - 1 predictions.
    """

    n_tokens: int
    loss: float
    weights: GradientSizes
    stream: GradientSizes
    fp16: HalfPasses
    bf16: HalfPasses


@dataclass(frozen=True, eq=False)
class Backward:
    """One pass: the loss before scaling, gradients by name of the weight, and those of the stream."""

    loss: float
    weights: dict[str, torch.Tensor]
    stream: tuple[torch.Tensor, ...]


def loss_gradients(
    model: Model,
    ids: Sequence[int],
    passes: Sequence[int] = PASSES,
    *,
    turn: Turn = nullcontext,
) -> GradientReport:
    """Run the model backwards over a prompt: in fp32, and in fp16 for several multiples 2^k of the loss.

    Args:
        ids: of the prompt, at least 2.
        passes: k of the fp16 passes; bf16 is run for the first of them and for 0. Counts are for `SCALES`.
        turn: entered around each pass, so that others get theirs in between.

    Raises:
        PromptError: a single token (no next one to learn from), more than `MOST_TOKENS`, or an unknown id.
        ModelTooLarge: more than `MOST_WEIGHTS` parameters.
    """
    ids = model.prompt_ids(ids)
    if len(ids) < 2:
        raise PromptError("One token has no next token to learn from.", "Type at least two words.")
    if len(ids) > MOST_TOKENS:
        raise PromptError(f"{len(ids):,} tokens are too many.", f"Give at most {MOST_TOKENS}.")
    if model.spec.n_params > MOST_WEIGHTS:
        raise ModelTooLarge(
            f"{model.spec.name} has {model.spec.n_params:,} parameters; a backward pass is made of at most "
            f"{MOST_WEIGHTS:,}.",
            "Choose a smaller model.",
        )
    names, all_passes = weight_groups(model), 1 + len(passes) + len({passes[0], 0})
    with turn():
        exact = backward(model, ids, torch.float32)
    step(1, all_passes)
    weights, stream = _Flat(_by_group(names, exact.weights)), _Flat(_stream_groups(exact.stream))

    def in_16_bits(dtype: torch.dtype, scales: Sequence[int], before: int) -> HalfPasses:
        rows: list[tuple[Any, ...]] = []
        for k in scales:
            with turn():
                half = backward(model, ids, dtype, k)
            lost = (
                weights.lost(_by_group(names, half.weights), k),
                stream.lost(_stream_groups(half.stream), k),
            )
            rows.append((half.loss, *lost))
            step(1 + before + len(rows), all_passes)
        return _half_passes(dtype, scales, rows)

    return GradientReport(
        n_tokens=len(ids),
        loss=exact.loss,
        weights=weights.sizes(),
        stream=stream.sizes(),
        fp16=in_16_bits(torch.float16, passes, 0),
        bf16=in_16_bits(torch.bfloat16, sorted({passes[0], 0}), len(passes)),
    )


def loss_scaling(report: GradientReport, scales: Sequence[int], batch: int = 0) -> LossScaling:
    """The same numbers by kind of gradient and scale 2^k, for a mean loss over 2^batch prompts like this one.

    Args:
        scales: k, with k - batch among `SCALES`.
    """
    weights, stream, half, last = report.weights, report.stream, report.fp16, len(report.stream.names) - 1
    at = [SCALES.index(k - batch) for k in scales]
    passes = [i for i, k in enumerate(half.scales) if k + batch in scales]
    kinds = (
        ("weight", weights, slice(None), half.weights_vanished, half.weights_broken),
        ("stream", stream, slice(last), half.stream_vanished, half.stream_broken),
        ("logit", stream, slice(last, None), half.stream_vanished, half.stream_broken),
    )
    vanishing, infinite, measured, broken = [], [], [], []
    for _, sizes, groups, gone, lost in kinds:
        present = max(1, int(sizes.present[groups].sum()))
        vanishing.append(sizes.vanishing[groups, at].sum(0) / present)
        infinite.append(sizes.infinite[groups, at].sum(0) / present)
        measured.append(gone[passes, groups].sum(1) / present)
        broken.append(lost[passes, groups].sum(1) / max(1, int(sizes.sizes[groups].sum())))
    return LossScaling(
        batch=batch,
        kinds=tuple(name for name, *_ in kinds),
        scales=tuple(scales),
        counts=np.stack([sizes.counts[groups].sum(0) for _, sizes, groups, *_ in kinds]),
        lowest=LOWEST,
        vanishing=np.stack(vanishing),
        infinite=np.stack(infinite),
        passes=tuple(half.scales[i] + batch for i in passes),
        measured=np.stack(measured),
        broken=np.stack(broken),
        error=half.error[passes],
        bf16=float(report.bf16.error[report.bf16.scales.index(0)]),
        rows=(*weights.names, *stream.names),
        split=len(weights.names),
        layers=np.concatenate(
            [one.vanishing[:, at] / np.maximum(one.present, 1)[:, None] for one in (weights, stream)]
        ).astype(np.float32),
    )


def backward(model: Model, ids: Sequence[int], dtype: torch.dtype, k: int = 0) -> Backward:
    """Gradients of 2^k times the mean next-token loss, weights and activations in `dtype`.

    The loss itself is computed in fp32 of the logits, as training in mixed precision does.
    """
    twin, weights = twin_of(model, dtype)
    stream: list[torch.Tensor] = []

    def keep(value: torch.Tensor, offset: int) -> torch.Tensor:
        stream.append(value)
        return value

    plan = Plan()
    plan.add("block", "input", 0, keep)
    for layer in range(model.spec.n_layers):
        plan.add("block", "output", layer, keep)
    tokens = torch.tensor([list(ids)], device=model.device)
    try:
        with torch.enable_grad(), context.active(Run(model.adapter, plan)):
            logits = twin(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits
            loss = nn.functional.cross_entropy(logits[0, :-1].float(), tokens[0, 1:])
            wanted = [*weights.values(), *stream, logits]
            found = torch.autograd.grad(loss * 2.0**k, wanted, materialize_grads=True)
    finally:
        let_go(twin)
    n = len(weights)
    return Backward(float(loss.detach()), dict(zip(weights, found[:n], strict=True)), tuple(found[n:]))


def twin_of(model: Model, dtype: torch.dtype) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """The model once more, around the same numbers: modules of its own, weights that ask for gradients.

    In the weights' own dtype these share their memory; in another one they are copies. Tied ones stay tied.
    """
    weights = {name: nn.Parameter(p.detach().to(dtype)) for name, p in model.hf_model.named_parameters()}
    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.hf_model.buffers()}
    memo |= {id(p): weights[name] for name, p in model.hf_model.named_parameters()}
    twin: nn.Module = copy.deepcopy(model.hf_model, memo)
    return twin, weights


def fp16_limits(k: int) -> tuple[float, float, float]:
    """What rounding 2^k g to fp16 makes of g: 0 below the first limit, subnormal below the second, infinite
    from the third on. Each is a float32, so comparing float32 gradients with them is exact.

    0 and the smallest number 2^-24 meet at 2^-25, a tie that goes to 0 (even); the largest subnormal number
    and 2^-14 meet at 2^-14 - 2^-25, a tie that goes to 2^-14; 65,504 and the next at 65,520, to infinity.
    """
    vanishing = float(np.nextafter(np.float32(2.0 ** (-25 - k)), np.float32(1)))
    return vanishing, (2.0**-14 - 2.0**-25) / 2.0**k, 65520.0 / 2.0**k


def weight_groups(model: Model) -> dict[str, str]:
    """Name of each weight -> its group: "embedding", "layer 0", ..., "head" (final norm and head).

    A head that is tied to the embedding is counted there, once: "embedding and head", "final norm".
    """
    roles = model.adapter.model_roles
    embedding = {
        id(p)
        for role in ("embed", "pos_embed")
        if isinstance(module := roles[role], nn.Module)
        for p in module.parameters()
    }
    head = roles["head"]
    tied = isinstance(head, nn.Module) and any(id(p) in embedding for p in head.parameters())
    groups = {}
    for name, parameter in model.hf_model.named_parameters():
        layer = _LAYER.search(f".{name}")
        if id(parameter) in embedding:
            groups[name] = "embedding and head" if tied else "embedding"
        else:
            groups[name] = f"layer {layer[1]}" if layer else "final norm" if tied else "head"
    return dict(sorted(groups.items(), key=lambda item: _rank(item[1])))


def _rank(group: str) -> int:
    if group.startswith("layer "):
        return int(group.removeprefix("layer "))
    return -1 if group.startswith("embedding") else 1_000_000


def _by_group(
    names: dict[str, str], gradients: dict[str, torch.Tensor]
) -> Iterator[tuple[str, torch.Tensor]]:
    return ((group, gradients[name]) for name, group in names.items())


def _stream_groups(stream: Sequence[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    names = ("after the embedding", *(f"after layer {i}" for i in range(len(stream) - 2)), _LOGITS)
    return zip(names, stream, strict=True)


class _Flat:
    """Gradients in a row, group after group, in fp32: what others are compared with."""

    def __init__(self, groups: Iterator[tuple[str, torch.Tensor]]) -> None:
        ends: dict[str, int] = {}
        parts = []
        for name, gradients in groups:
            parts.append(gradients.reshape(-1))
            ends[name] = max(ends.values(), default=0) + gradients.numel()
        self.names, edges = tuple(ends), [0, *ends.values()]
        self.slices = [slice(*pair) for pair in pairwise(edges)]
        self.exact = torch.cat(parts).float()
        self.present = self.exact != 0
        self.squares = float(self.exact.dot(self.exact))

    def lost(self, groups: Iterator[tuple[str, torch.Tensor]], k: int) -> tuple[list[int], list[int], float]:
        """Of 2^k times these gradients in 16 bits, by group: how many are 0 only there, how many are not
        finite. And their relative error after division by 2^k."""
        half = torch.cat([gradients.reshape(-1) for _, gradients in groups])
        gone = (half == 0) & self.present
        vanished = [int(torch.count_nonzero(gone[part])) for part in self.slices]
        off = half.float().mul_(2.0**-k).sub_(self.exact)
        squares = float(off.dot(off))
        if math.isfinite(squares):
            return vanished, [0] * len(vanished), math.sqrt(squares / self.squares) if self.squares else 0.0
        finite = half.isfinite()
        broken = [part.stop - part.start - int(torch.count_nonzero(finite[part])) for part in self.slices]
        return vanished, broken, math.nan

    def sizes(self) -> GradientSizes:
        tallies = [_Tally(self.exact[part]) for part in self.slices]
        fates = np.stack([tally.fates() for tally in tallies])
        return GradientSizes(
            self.names,
            SCALES,
            np.stack([tally.counts for tally in tallies]),
            np.array([tally.zeros for tally in tallies], dtype=np.int64),
            np.array([part.stop - part.start for part in self.slices], dtype=np.int64),
            np.array([tally.largest for tally in tallies], dtype=np.float64),
            *(np.ascontiguousarray(fates[:, :, i]) for i in range(3)),
        )


class _Tally:
    """Counts of one group."""

    def __init__(self, gradients: torch.Tensor) -> None:
        sizes = gradients.abs()
        sizes = sizes[sizes > 0]
        self.present, self.zeros = sizes.numel(), gradients.numel() - sizes.numel()
        self.largest = float(sizes.max()) if self.present else 0.0
        # frexp gives m 2^e with m from 1/2 to 1, so the power of two below is e - 1.
        exponents = (torch.frexp(sizes).exponent - 1).clamp(LOWEST, HIGHEST) - LOWEST
        self.counts = torch.bincount(exponents, minlength=HIGHEST - LOWEST + 1).cpu().numpy()
        self.limits, self.order = torch.tensor([fp16_limits(k) for k in SCALES]).reshape(-1).sort()
        places = torch.bucketize(sizes, self.limits.to(sizes.device), right=True, out_int32=True)
        self.below = torch.bincount(places, minlength=len(self.limits) + 1).cpu().cumsum(0)[:-1]

    def fates(self) -> np.ndarray:
        """int64 [k, 3]: how many vanish, become subnormal, become infinite."""
        below = torch.empty_like(self.below)
        below[self.order] = self.below
        zero, subnormal, finite = below.reshape(-1, 3).unbind(1)
        return torch.stack((zero, subnormal - zero, self.present - finite), dim=1).numpy()


def _half_passes(dtype: torch.dtype, scales: Sequence[int], rows: list[tuple[Any, ...]]) -> HalfPasses:
    """Rows of (loss, what `_Flat.lost` says of the weights, and of the stream)."""

    def counts(which: int, column: int) -> np.ndarray:
        return np.array([row[which][column] for row in rows], dtype=np.int64)

    return HalfPasses(
        str(dtype).removeprefix("torch."),
        tuple(scales),
        rows[0][0],
        counts(1, 0),
        counts(1, 1),
        counts(2, 0),
        counts(2, 1),
        np.array([row[1][2] for row in rows], dtype=np.float64),
    )
