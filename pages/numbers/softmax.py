"""Softmax: naive and shifted, narrow throughout and with fp32 inside, on the model's own scores."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.numbers import narrow, softmax_ways
from model_runtime.numbers.softmax_ways import BreakCurve, RowReport
from pages.numbers.gain import GAINS, format_control, gain_slider
from pages.shared.escape import counted, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from viz.numbers.scaling_order import gain_words
from viz.numbers.softmax_ways import (
    WayRow,
    softmax_breaks_figure,
    softmax_breaks_record,
    softmax_rows_figure,
    softmax_rows_record,
    way_title,
)
from viz.style import share, three_digits

QUESTION = (
    "The largest score of a row is 12. Does the naive softmax survive in fp16? With fp32 inside? And where "
    "does fp32 give up?"
)
ANSWER = (
    "e¹² is 163,000, beyond fp16's 65,504: the naive way is ∞ / ∞ = NaN from a score of 11.1 on, and where "
    "only the sum is infinite every share is 0. fp32 holds e^x up to x = 88.7 and then breaks alike. With "
    "the largest score taken off first, no exponent is above 0 and no eˣ above 1; what is too small becomes "
    "0, which costs nothing. No library computes the naive way."
)
SOURCES = """
- Goodfellow, Bengio and Courville 2016, [Deep Learning](https://www.deeplearningbook.org/), 4.1.
- Blanchard, Higham and Higham 2021, *Accurately computing the log-sum-exp and softmax functions*, IMA Journal
  of Numerical Analysis 41(4): the shifted form's error.
- transformers, Llama: `softmax(..., dtype=torch.float32).to(query.dtype)`, "shifted, fp32 inside" here.
"""
_NOTHING = 1e-30  # an error below it is of no number that any format here could hold
_CURVE_GAINS = np.array(GAINS[::2])


def report_of(drawing: Drawing, gain: float, number_format: str) -> RowReport:
    model = runtime.model_for(drawing.run)
    layer, head, query = drawing.layer, drawing.head, drawing.query
    return runtime.derived(
        drawing.run,
        ("softmax row", layer, head, query, gain, number_format),
        lambda trace: softmax_ways.softmax_row(
            model, trace, layer, head, query, gain=gain, dtype=number_format
        ),
    )


def curve_of(drawing: Drawing, number_format: str) -> BreakCurve:
    model = runtime.model_for(drawing.run)
    layer, head = drawing.layer, drawing.head
    return runtime.derived(
        drawing.run,
        ("softmax curve", layer, head, number_format),
        lambda trace: softmax_ways.break_curve(model, trace, layer, head, _CURVE_GAINS, number_format),
        words="Computing the head's softmax at every gain",
    )


def row(drawing: Drawing, report: RowReport, gain: float, number_format: str) -> None:
    ways = {
        way: WayRow(
            way_title(way, number_format),
            tuple(map(float, result.shares)),
            float(result.shares.astype(np.float64).sum()),
            result.error,
            result.broken,
        )
        for way, result in report.results.items()
    }
    record = softmax_rows_record(
        ways,
        report.exact,
        report.scores,
        report.keys.tolist(),
        drawing.texts,
        query=drawing.texts[drawing.query],
        number_format=number_format,
        gain=gain,
    )
    live_figure(
        softmax_rows_figure(record),
        key=drawing.key_figure("softmax-rows"),
        provenance=origin(drawing, gain, number_format),
    )
    hidden = record.n_keys - len(record.keys)
    more = (
        f" The {len(record.keys)} largest are drawn; {counted(hidden, 'key')} more count." if hidden else ""
    )
    st.markdown(f"The row of {quoted(record.query)} over {counted(record.n_keys, 'visible key')}.{more}")


def origin(drawing: Drawing, gain: float, number_format: str) -> Any:
    return drawing.origin("measured", gain=gain_words(gain), **{"number format": number_format})


def table(report: RowReport, number_format: str) -> str:
    """What happens inside each way."""
    lines = [
        "| way | largest eˣ | sum of eˣ | sum of the shares | largest error |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, result in report.results.items():
        total = float(result.shares.astype(np.float64).sum())
        error = (
            "NaN" if math.isnan(result.error) else "0 %" if result.error < _NOTHING else share(result.error)
        )
        lines.append(
            f"| {way_title(way, number_format)} | {three_digits(float(result.exps.max()))} | "
            f"{three_digits(result.total)} | {'NaN' if math.isnan(total) else f'{total:.6f}'} | {error} |"
        )
    return "\n".join(lines)


def breaks(drawing: Drawing, gain: float, number_format: str) -> None:
    curve = curve_of(drawing, number_format)
    record = softmax_breaks_record(
        curve.broken,
        curve.error,
        curve.gains.tolist(),
        number_format=number_format,
        gain=gain,
        n_rows=len(drawing.texts),
    )
    live_figure(
        softmax_breaks_figure(record),
        key=drawing.key_figure("softmax-breaks"),
        provenance=origin(drawing, gain, number_format),
    )


def mathematics(report: RowReport) -> str:
    """Both forms with this row's largest score."""
    top = float(report.scores.max())
    return (
        r"$$\frac{e^{s_i}}{\sum_j e^{s_j}} = \frac{e^{s_i - m}}{\sum_j e^{s_j - m}}, \qquad m = \max_j s_j$$"
        f"\n\nHere $m$ is {three_digits(top)}. Naively the largest term is $e^{{m}}$, "
        f"{_exp_words(top)}; shifted it is $e^0 = 1$. "
        r"$\ln 65{,}504 = 11.09$ for fp16, $\ln (3.4 \times 10^{38}) = 88.7$ for fp32 and bf16."
    )


def _exp_words(score: float) -> str:
    """e^score, for scores of any size."""
    tens = score / math.log(10)
    return three_digits(math.exp(score)) if abs(tens) < 300 else f"about 10 to the power {tens:,.0f}"


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
    left, right = st.columns([5, 2], gap="medium")
    with left:
        gain = gain_slider()
    with right:
        number_format = format_control()
    reports = [report_of(drawing, gain, number_format) for drawing in drawings]
    for place, drawing, report in zip(st.columns(len(drawings)), drawings, reports, strict=True):
        with column(place, drawing):
            row(drawing, report, gain, number_format)
            st.markdown(table(report, number_format))
            breaks(drawing, gain, number_format)
    st.caption(
        f"“{number_format}” without more: every step is rounded to {number_format}, each partial sum too; "
        "this is emulated, because processors widen to fp32 inside. “fp32 inside”: scores are widened, "
        "computed as this machine does, and the shares rounded once. A learned sink is left out."
    )
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(reports[0]),
        code=lambda: inspect.getsource(narrow.softmax),
        sources=SOURCES,
    )
