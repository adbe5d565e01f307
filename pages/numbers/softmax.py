"""Softmax: naive and shifted, narrow throughout and with fp32 inside, on the model's own scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from model_runtime.numbers import narrow
from model_runtime.numbers.softmax import break_curve, softmax_row
from model_runtime.records.numbers import RowReport
from pages.numbers.gain import GAINS, format_control, gain_slider
from pages.shared.escape import counted, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from viz.equations import worked
from viz.numbers.scaling_order import gain_words
from viz.numbers.softmax import (
    SoftmaxBreaks,
    softmax_breaks_figure,
    softmax_rows_figure,
    softmax_rows_record,
    way_title,
)
from viz.style import share, three_digits

_NOTHING = 1e-30  # an error below it is of no number that any format here could hold


def row(side: Side, report: RowReport, gain: float, number_format: str) -> None:
    query = side.texts[side.query]
    record = softmax_rows_record(report, side.texts, query=query, number_format=number_format, gain=gain)
    live_figure(
        softmax_rows_figure(record),
        key=side.key_figure("softmax-rows"),
        provenance=origin(side, gain, number_format),
    )
    n_keys, n_drawn = len(report.keys), len(record.drawn)
    hidden = n_keys - n_drawn
    more = f" The {n_drawn} largest are drawn; {counted(hidden, 'key')} more count." if hidden else ""
    st.markdown(f"The row of {quoted(query)} over {counted(n_keys, 'visible key')}.{more}")


def origin(side: Side, gain: float, number_format: str) -> Provenance:
    extra: dict[str, Any] = {"number format": number_format}  # not a Python name
    return side.origin(gain=gain_words(gain), **extra)


def table(report: RowReport, number_format: str) -> str:
    """What happens inside each way."""
    lines = [
        "| way | largest eˣ | sum of eˣ | sum of the shares | largest error |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, result in report.results.items():
        total = result.sum_of_shares
        error = "NaN" if math.isnan(result.error) else share(0 if result.error < _NOTHING else result.error)
        lines.append(
            f"| {way_title(way, number_format)} | {three_digits(float(result.exps.max()))} | "
            f"{three_digits(result.total)} | {'NaN' if math.isnan(total) else f'{total:.6f}'} | {error} |"
        )
    return "\n".join(lines)


def breaks(side: Side, gain: float, number_format: str) -> None:
    curve = side.run.measure(
        break_curve,
        "Computing the head's softmax at every gain",
        layer=side.layer,
        head=side.head,
        gains=GAINS[::2],
        dtype=number_format,
    )
    live_figure(
        softmax_breaks_figure(SoftmaxBreaks(curve, number_format, gain)),
        key=side.key_figure("softmax-breaks"),
        provenance=origin(side, gain, number_format),
    )


def mathematics(report: RowReport) -> str:
    """Both forms with this row's largest score."""
    top = float(report.scores.max())
    line = worked(math.exp(top) if top < 600 else math.inf, math.exp, top)
    return (
        r"$$\frac{e^{s_i}}{\sum_j e^{s_j}} = \frac{e^{s_i - m}}{\sum_j e^{s_j - m}}, \qquad m = \max_j s_j$$"
        f"\n\nHere $m$ is {line.operand(top)}. Naively the largest term is $e^{{m}}$, "
        f"{_exp_words(top)}; shifted it is $e^0 = 1$. "
        r"$\ln 65{,}504 = 11.09$ for fp16, $\ln (3.4 \times 10^{38}) = 88.7$ for fp32 and bf16."
    )


def _exp_words(score: float) -> str:
    """e^score, for scores of any size."""
    tens = score / math.log(10)
    return three_digits(math.exp(score)) if abs(tens) < 300 else f"about 10 to the power {tens:,.0f}"


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    left, right = st.columns([5, 2], gap="medium")
    with left:
        gain = gain_slider()
    with right:
        number_format = format_control()
    reports = [
        side.run.measure(
            softmax_row, layer=side.layer, head=side.head, query=side.query, gain=gain, dtype=number_format
        )
        for side in sides
    ]
    for place, side, report in zip(places(sides), sides, reports, strict=True):
        with column(place, side):
            row(side, report, gain, number_format)
            st.markdown(table(report, number_format))
            breaks(side, gain, number_format)
    st.caption(
        f"“{number_format}” without more: every step is rounded to {number_format}, each partial sum too; "
        "this is emulated, because processors widen to fp32 inside. “fp32 inside”: scores are widened, "
        "computed as this machine does, and the shares rounded once. A learned sink is left out."
    )
    return Lesson(
        mathematics=partial(mathematics, reports[0]),
        code=(narrow.softmax, narrow.row_total, narrow.running_sum),
    )
