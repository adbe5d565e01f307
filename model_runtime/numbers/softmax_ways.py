"""One row of real scores through softmax in four ways that are equal on paper, in fp16 and in bf16.

    naive:   p_i = e^(s_i) / sum_j e^(s_j)          shifted: p_i = e^(s_i - m) / sum_j e^(s_j - m),  m = max s

each with every step rounded to the narrow format ("narrow"), or widened to fp32 inside and rounded once at
the end ("wide", as Llama's eager attention does). e^x leaves fp16 at x = 11.1 and fp32 at 88.7; with the
shift no exponent is above 0, so that nothing can overflow. Sources: Goodfellow et al. 2016, Deep Learning,
4.1; Blanchard et al. 2021 (IMA J. Numer. Anal. 41(4)), for the shifted form's error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.capture.attention_function import soft_capped, visible_cells
from model_runtime.model import Model
from model_runtime.numbers.narrow import DTYPES, Inside, row_total, softmax
from model_runtime.numbers.scaling_order import unscaled
from model_runtime.trace import Trace

WAYS: tuple[tuple[bool, Inside], ...] = ((False, "narrow"), (False, "wide"), (True, "narrow"), (True, "wide"))
Way = tuple[bool, Inside]  # (shifted, inside)


@dataclass(frozen=True, eq=False)
class RowResult:
    """One way's row: `exps` and their sum `total` in the format used inside, `shares` [key] as handed on.

    Infinite where they overflowed, NaN where infinity was divided by infinity or 0 by 0, and all 0 where
    only the sum overflowed. `error` is the largest |share - exact share|, NaN where a share is.
    """

    exps: np.ndarray
    total: float
    shares: np.ndarray
    error: float

    @property
    def broken(self) -> bool:
        """Whether the row is no distribution: a share is no number, or all are 0."""
        return not (np.isfinite(self.shares).all() and self.shares.any())


@dataclass(frozen=True, eq=False)
class RowReport:
    """All ways on one row: `scores` [key] as the format has them, `exact` shares of the unrounded in fp64.

    `keys` are the token positions of the visible keys: a window or a cut edge leaves some out.
    """

    keys: np.ndarray
    scores: np.ndarray
    exact: np.ndarray
    results: Mapping[Way, RowResult]

    @property
    def nbytes(self) -> int:
        return self.scores.nbytes * (5 + 2 * len(self.results))


def softmax_row(
    model: Model, trace: Trace, layer: int, head: int, query: int, *, gain: float, dtype: str
) -> RowReport:
    """The visible scores of one query in one head, through all ways.

    Args:
        gain: put on q and on k, so that scores grow with its square.
        dtype: "fp16" or "bf16".

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    scores = head_scores(model, trace, layer, head, gain)[query : query + 1]
    visible = scores[0] > float("-inf")
    scores = scores[:, visible]
    exact = scores.cpu().double().softmax(-1)[0].numpy()
    narrow = scores.to(DTYPES[dtype])
    results = {way: _row(narrow, way, exact) for way in WAYS}
    keys = visible.cpu().nonzero()[:, 0].numpy()
    return RowReport(keys, narrow[0].float().cpu().numpy(), exact, results)


def head_scores(model: Model, trace: Trace, layer: int, head: int, gain: float) -> torch.Tensor:
    """Scores in fp32 with the gain on q and k, soft cap and mask applied, [query_pos, key_pos]."""
    call = trace.call(layer, head)
    query, key, scaling = unscaled(model, call)
    q, k = query[head], key[head // (query.shape[0] // key.shape[0])]
    scores = soft_capped((q @ k.T) * (scaling * gain * gain), call.softcap)
    return scores.masked_fill(~visible_cells(call, head)[0], float("-inf"))


def _row(scores: torch.Tensor, way: Way, exact: np.ndarray) -> RowResult:
    shifted, inside = way
    shares = softmax(scores, scores.dtype, shifted=shifted, inside=inside)[0].float().cpu().numpy()
    steps = scores.float() if inside == "wide" else scores
    exps = (steps - steps.amax(-1, keepdim=True) if shifted else steps).exp()
    total = float(row_total(exps))
    return RowResult(exps[0].float().cpu().numpy(), total, shares, float(np.abs(shares - exact).max()))


@dataclass(frozen=True, eq=False)
class BreakCurve:
    """For each way, over `gains`: share of the head's rows that are no distribution (`RowResult.broken`), and
    the largest error among its whole rows (NaN without one); float64 [gain] each."""

    gains: np.ndarray
    broken: Mapping[Way, np.ndarray]
    error: Mapping[Way, np.ndarray]

    @property
    def nbytes(self) -> int:
        return self.gains.nbytes * (1 + 2 * len(self.broken))


def break_curve(
    model: Model, trace: Trace, layer: int, head: int, gains: np.ndarray, dtype: str
) -> BreakCurve:
    """All rows of one head through all ways, at every gain.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    broken: dict[Way, list[float]] = {way: [] for way in WAYS}
    error: dict[Way, list[float]] = {way: [] for way in WAYS}
    for gain in gains.tolist():
        scores = head_scores(model, trace, layer, head, gain)
        exact = scores.cpu().double().softmax(-1)
        for shifted, inside in WAYS:
            shares = softmax(scores, DTYPES[dtype], shifted=shifted, inside=inside).cpu().double()
            gaps = (shares - exact).abs().amax(-1)
            whole = gaps.isfinite() & shares.any(-1)
            broken[shifted, inside].append(1 - float(whole.double().mean()))
            error[shifted, inside].append(float(gaps[whole].max()) if whole.any() else float("nan"))
    return BreakCurve(
        gains,
        {way: np.array(values) for way, values in broken.items()},
        {way: np.array(values) for way, values in error.items()},
    )
