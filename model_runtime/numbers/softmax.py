"""One row of real scores through softmax in four ways that are equal on paper, in fp16 and in bf16.

    naive:   p_i = e^(s_i) / sum_j e^(s_j)          shifted: p_i = e^(s_i - m) / sum_j e^(s_j - m),  m = max s

each with every step rounded to the narrow format ("narrow"), or widened to fp32 inside and rounded once at
the end ("wide", as Llama's eager attention does). e^x leaves fp16 at x = 11.1 and fp32 at 88.7; with the
shift no exponent is above 0, so that nothing can overflow. Sources: Goodfellow et al. 2016, Deep Learning,
4.1; Blanchard et al. 2021 (IMA J. Numer. Anal. 41(4)), for the shifted form's error.
"""

from __future__ import annotations

import numpy as np
import torch

from model_runtime.capture.attention_function import soft_capped, visible_cells
from model_runtime.numbers.narrow import DTYPES, row_total, softmax
from model_runtime.numbers.scaling_order import unscaled
from model_runtime.records.numbers import BreakCurve, RowReport, RowResult, Way
from model_runtime.run import OpenRun

WAYS: tuple[Way, ...] = ((False, "narrow"), (False, "wide"), (True, "narrow"), (True, "wide"))


def softmax_row(run: OpenRun, layer: int, head: int, query: int, *, gain: float, dtype: str) -> RowReport:
    """The visible scores of one query in one head, through all ways.

    Args:
        gain: put on q and on k, so that scores grow with its square.
        dtype: "fp16" or "bf16".

    Raises:
        PointUnavailable: no such layer or head.
    """
    scores = head_scores(run, layer, head, gain)[query : query + 1]
    visible = scores[0] > float("-inf")
    scores = scores[:, visible]
    exact = scores.cpu().double().softmax(-1)[0].numpy()
    narrow = scores.to(DTYPES[dtype])
    results = {way: _row(narrow, way, exact) for way in WAYS}
    keys = visible.cpu().nonzero()[:, 0].numpy()
    return RowReport(keys, narrow[0].float().cpu().numpy(), exact, results)


def head_scores(run: OpenRun, layer: int, head: int, gain: float) -> torch.Tensor:
    """Scores in fp32 with the gain on q and k, soft cap and mask applied, [query_pos, key_pos]."""
    call = run.trace.call(layer, head)
    query, key, scaling = unscaled(run.model, call)
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


def break_curve(run: OpenRun, layer: int, head: int, gains: tuple[float, ...], dtype: str) -> BreakCurve:
    """All rows of one head through all ways, at every gain.

    Raises:
        PointUnavailable: no such layer or head.
    """
    broken, error = (np.zeros((len(WAYS), len(gains))) for _ in range(2))
    for place, gain in enumerate(gains):
        scores = head_scores(run, layer, head, gain)
        exact = scores.cpu().double().softmax(-1)
        for number, (shifted, inside) in enumerate(WAYS):
            shares = softmax(scores, DTYPES[dtype], shifted=shifted, inside=inside).cpu().double()
            gaps = (shares - exact).abs().amax(-1)
            whole = gaps.isfinite() & shares.any(-1)
            broken[number, place] = 1 - float(whole.double().mean())
            error[number, place] = float(gaps[whole].max()) if whole.any() else np.nan
    by_way = [dict(zip(WAYS, rows, strict=True)) for rows in (broken, error)]
    return BreakCurve(gains, by_way[0], by_way[1], n_rows=len(run.tokens))
