"""What attention costs: measured on this machine for the loaded model, and by formula for what it is not.

Full attention compares every token with every earlier one: n(n+1)/2 scores in a head, so that time and
memory grow with the square of the prompt (Vaswani et al. 2017, table 1). `measure_cost` times this for a
loaded model and fits a + b n + c n^2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.capture.attention_function import AttentionCall, pattern_and_sink
from model_runtime.capture.request import whole_numbers
from model_runtime.limits import Limits
from model_runtime.loading.device import free_memory
from model_runtime.model import Model, Prompt
from model_runtime.records import CostFit, CostMeasurement, ModelSpec

LENGTHS = (64, 128, 256, 512, 768, 1024, 1536, 2048)
SECONDS = 20.0
_ROUNDS = 7  # of repeats at most; those that no longer fit into the time are left out
_MATRICES = 5  # of [head, query_pos, key_pos] that the eager arithmetic holds at a time


def score_counts(n: int, window: int | None = None) -> int:
    """Scores that one head needs for n tokens: each token with itself and all before it.

    A sliding window of w lets each token see at most w, itself included, so the count grows as n w.

    >>> score_counts(4), score_counts(4, window=2), score_counts(4, window=9)
    (10, 7, 10)
    """
    if window is None or window >= n:
        return n * (n + 1) // 2
    return window * n - window * (window - 1) // 2


def cache_bytes(spec: ModelSpec, n_tokens: int, n_kv_heads: int | None = None) -> int:
    """Bytes of the KV cache: one key and one value per token, layer and kv head, in the model's dtype.

    Layers with a sliding window need only the window's tokens (the rolling buffer of Jiang et al. 2023,
    arXiv:2310.06825).

    Args:
        n_kv_heads: None for the model's own; `spec.n_heads` is multi-head attention, 1 is multi-query
            (Shazeer 2019, arXiv:1911.02150), between them grouped-query (Ainslie et al. 2023,
            arXiv:2305.13245).
    """
    heads = spec.n_kv_heads if n_kv_heads is None else n_kv_heads
    kept = sum(min(n_tokens, layer.window or n_tokens) for layer in spec.layers)
    return 2 * kept * heads * spec.d_head * getattr(torch, spec.dtype).itemsize


def measure_cost(
    model: Model,
    any_text: Prompt,
    lengths: Sequence[int] = LENGTHS,
    *,
    layer: int = 0,
    limits: Limits | None = None,
    seconds: float = SECONDS,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> CostMeasurement:
    """Time real forwards of a text, repeated to each length, and the attention of one layer alone.

    Stops before a length that would not fit into the model's context, the app's longest prompt, the free
    memory, or the time left; `stopped` says which.

    Args:
        any_text: whichever: the time does not depend on its words.
        limits: None reads them from the environment.
        seconds: about how long all timings may take together.
        turn: a place in the line of forward passes, for all of them together.

    Raises:
        PromptError: no text, or ids that do not exist.
    """
    ids = model.prompt_ids(any_text)
    with turn():
        plan = _Plan(model, limits or Limits.from_environment(), time.perf_counter(), seconds)
        timings: list[_Timing] = []
        model.trace(ids[:1], points=(), layers=())  # weights that were not read yet come into memory
        for n in sorted({n for n in whole_numbers(lengths) if n > 0}):
            if plan.stops_before(n, timings[-1] if timings else None):
                break
            timings.append(_Timing.begin(model, (ids * (n // len(ids) + 1))[:n], layer))
        for _ in range(_ROUNDS):
            for timing in timings:
                if timing.seconds < plan.time_left():
                    timing.again(model)
    return _measurement(model, layer, timings, plan.stopped)


@dataclass
class _Timing:
    """One length: its prompt, what attention received, and the least of the seconds so far."""

    ids: tuple[int, ...]
    call: AttentionCall
    forward: float
    attention: float

    @classmethod
    def begin(cls, model: Model, ids: tuple[int, ...], layer: int) -> _Timing:
        trace = model.trace(ids, points=("pattern",), layers=(layer,))
        call = trace.call(layer)
        return cls(ids, call, trace.seconds, min(_attention_seconds(call) for _ in range(2)))

    @property
    def seconds(self) -> float:
        """Expected duration of `again`."""
        return self.forward + 3 * self.attention

    def expected(self, n: int, n_layers: int) -> float:
        """Seconds for a longer prompt: attention grows with the square, the rest with the length."""
        ratio = n / len(self.ids)
        return self.forward * ratio + self.attention * (n_layers * (ratio**2 - ratio) + 3 * ratio**2)

    def again(self, model: Model) -> None:
        self.forward = min(self.forward, model.trace(self.ids, points=(), layers=()).seconds)
        self.attention = min(self.attention, *(_attention_seconds(self.call) for _ in range(3)))


@dataclass
class _Plan:
    """Whether a length is timed at all: checked against context, limit, memory and time before it starts."""

    model: Model
    limits: Limits
    start: float
    seconds: float
    stopped: str = ""

    def time_left(self) -> float:
        return self.start + self.seconds - time.perf_counter()

    def stops_before(self, n: int, before: _Timing | None) -> bool:
        spec = self.model.spec
        needed = _MATRICES * n * n * spec.n_heads * 4
        expected = 0.0 if before is None else before.expected(n, spec.n_layers)
        if n > spec.n_ctx:
            self.stopped = f"{spec.name} reads at most {spec.n_ctx:,} tokens"
        elif n > self.limits.max_prompt_tokens:
            self.stopped = f"this app traces at most {self.limits.max_prompt_tokens:,} tokens"
        elif needed > free_memory(self.model.device) // 2:
            self.stopped = f"the scores of {n:,} tokens could need {needed / 1e9:.1f} GB"
        elif expected > self.time_left() - self.seconds / 2:  # half of the time is for repeats
            self.stopped = f"{n:,} tokens would take too long on this machine"
        return bool(self.stopped)


def _measurement(model: Model, layer: int, timings: list[_Timing], stopped: str) -> CostMeasurement:
    spec, lengths = model.spec, tuple(len(timing.ids) for timing in timings)
    window, itemsize = spec.layers[layer].window, getattr(torch, spec.dtype).itemsize
    forward = tuple(timing.forward for timing in timings)
    attention = tuple(timing.attention for timing in timings)
    return CostMeasurement(
        lengths=lengths,
        forward_seconds=forward,
        attention_seconds=attention,
        n_scores=tuple(score_counts(n, window) for n in lengths),
        score_bytes=tuple(n * n * spec.n_heads * itemsize for n in lengths),
        forward_fit=fit_cost(lengths, forward),
        attention_fit=fit_cost(lengths, attention),
        layer=layer,
        n_heads=spec.n_heads,
        dtype=spec.dtype,
        device=spec.device,
        threads=torch.get_num_threads(),
        stopped=stopped,
    )


def _attention_seconds(call: AttentionCall) -> float:
    """All heads of a layer by the eager arithmetic, one after the other.

    All at once would measure how the system hands out memory in large pieces, not the arithmetic.
    """
    n_heads = call.query.shape[1]
    group = n_heads // call.key.shape[1]
    start = time.perf_counter()
    for head in range(n_heads):
        pattern, _ = pattern_and_sink(call, head)
        z = torch.matmul(pattern[0], call.value[0, head // group])
    z[0, 0].item()  # reading one number waits for a GPU to be done
    return time.perf_counter() - start


def fit_cost(lengths: Sequence[int], seconds: Sequence[float]) -> CostFit | None:
    """Least squares with coefficients that cannot be negative (Lawson and Hanson 1974); None below 4 points.

    >>> fit = fit_cost((1, 2, 3, 4), [2 + 3 * n * n for n in (1, 2, 3, 4)])
    >>> round(fit.a, 6), round(fit.b, 6), round(fit.c, 6), round(fit.r2, 6)
    (2.0, 0.0, 3.0, 1.0)
    """
    if len(lengths) < 4:
        return None
    from scipy.optimize import nnls

    n, times = np.asarray(lengths, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    scale = n.max()
    terms = np.stack((np.ones_like(n), n / scale, (n / scale) ** 2), axis=1)
    weights, residual = nnls(terms, times)
    spread = float(np.square(times - times.mean()).sum())
    a, b, c = (float(value) for value in weights / np.array((1.0, scale, scale**2)))
    return CostFit(a, b, c, 1 - residual**2 / spread if spread else 1.0)
