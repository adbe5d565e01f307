"""Sums: one real sum of the forward pass in several formats, orders and batch shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from model_runtime.numbers import narrow
from model_runtime.numbers.sums import SumReport, batch_shapes, partial_sums, sum_report
from model_runtime.records.numbers import LengthErrors
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.numbers.sums import sum_errors_figure, sum_errors_record, sum_orders_figure, sum_orders_record
from viz.style import three_digits

KINDS = {"norm": "Squares under the norm", "logit": "One logit", "vocabulary": "Softmax over the vocabulary"}


def report_of(side: Side, kind: str) -> SumReport:
    """The sum in every way and order, from the run's own forward pass."""
    layer, position = (side.layer, side.query) if kind == "norm" else (0, -1)
    return side.run.measure(sum_report, "Adding up", kind=kind, layer=layer, position=position)


def says(side: Side, kind: str) -> tuple[str, str]:
    """What is added up: for a title, and as a sentence of our own markdown."""
    if kind == "norm":
        return says_norm(side)
    if kind == "logit":
        capped = getattr(side.model.hf_model.config, "final_logit_softcapping", None)
        before = ", before the model's final soft cap" if capped else ""
        token = quoted(side.run.text_of(int(side.run.logits.argmax())))
        return (
            "The likeliest token's logit",
            f"The logit of {token}{before}: the final stream times that token's row of the head.",
        )
    return (
        "The softmax's denominator",
        "e to the power of each logit less the largest one, over the whole vocabulary: what the softmax "
        "divides by.",
    )


def says_norm(side: Side) -> tuple[str, str]:
    """What the squares are of: it depends on the model's norm, and on where it has one."""
    text, layer = quoted(side.texts[side.query]), side.layer
    centred = side.spec.norm == "LayerNorm"
    whose = "the stream's distances from its mean" if centred else "the stream"
    title = f"{'Squared distances from the mean' if centred else 'Squares of the stream'}, layer {layer}"
    if side.model.reasons["ln1"][layer] is not None:
        return title, (
            f"This model has no norm in front of layer {layer}. Added up are the squares of {whose} of "
            f"{text}, as a norm there would."
        )
    root = "variance" if centred else "mean of its squares"
    return title, (
        f"{side.spec.norm} in front of layer {layer} divides by the root of the {root}. For {text} the "
        f"squares of {whose} are added up."
    )


def errors(side: Side, report: LengthErrors, kind: str, reports: Sequence[LengthErrors]) -> None:
    title, sentence = says(side, kind)
    st.markdown(f"{sentence} There are {counted(report.lengths[-1], 'term')}.")
    live_figure(
        sum_errors_figure(sum_errors_record(report, title, *reports)),
        key=side.key_figure("sum-errors"),
        provenance=origin(side, kind),
    )
    lines = ["| numbers and sums in | result | off by |", "|---|---:|---:|"]
    for way, total in report.sums.items():
        gap = three_digits(abs(total - report.exact)) if np.isfinite(total) else "∞"
        lines.append(f"| {way} | {total:,.9g} | {gap} |".replace("inf", "∞"))
    st.markdown("\n".join([*lines, f"| exact | {report.exact:,.12g} | |"]))


def origin(side: Side, kind: str) -> Provenance:
    return side.run.origin(layer=side.layer, token=side.query) if kind == "norm" else side.run.origin()


def orders(side: Side, report: SumReport, kind: str) -> None:
    live_figure(
        sum_orders_figure(sum_orders_record(report.orders, report.exact)),
        key=side.key_figure("sum-orders"),
        provenance=origin(side, kind),
    )


def batches(side: Side) -> None:
    """torch's own product of the last stream and the head, in batches."""
    st.subheader("The same row in a larger batch", anchor=False)
    lines = [
        "| rows at once | logits that differ from the row alone | largest difference |",
        "|---:|---:|---:|",
    ]
    shapes = side.run.measure(batch_shapes, "Multiplying in batches").shapes
    for shape in shapes:
        lines.append(
            f"| {shape.rows} | {shape.differ:,} of {side.spec.d_vocab:,} | {three_digits(shape.largest)} |"
        )
    st.markdown("\n".join(lines))
    found = (
        "A kernel cuts the work by its shape, so sums are formed in another order. The numbers are right to "
        "within rounding, but a greedy choice between two nearly equal tokens can turn."
        if any(shape.differ for shape in shapes)
        else "Here the kernel adds up in the same order for every batch, so no digit moves."
    )
    st.caption(
        f"Measured with torch on {plain(side.spec.device)}, {plain(side.spec.dtype)}: the final stream of "
        f"the last token times the head, the same row repeated. {found}"
    )


def mathematics(report: LengthErrors) -> str:
    """Both bounds with this sum's length and fp16's unit roundoff."""
    n = report.lengths[-1]
    halves = int(np.ceil(np.log2(max(n, 2))))
    return (
        r"$$\Big|\,\widehat{\textstyle\sum x_i} - \sum x_i\Big| \;\le\; (n-1)\,u \sum |x_i| "
        r"\;\text{ in order},\qquad \lceil \log_2 n \rceil\, u \sum |x_i| \;\text{ pairwise}$$"
        f"\n\nto first order, with $u = 2^{{-m-1}}$: {three_digits(2.0**-11)} in fp16, "
        f"{three_digits(2.0**-8)} in bf16, {three_digits(2.0**-24)} in fp32. Here $n$ = {n:,} and $\\lceil "
        f"\\log_2 n \\rceil$ = {halves}: in fp32 at most {three_digits((n - 1) * 2.0**-24)} in order, "
        f"{three_digits(halves * 2.0**-24)} pairwise."
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    st.segmented_control(
        "What is added up",
        [*KINDS],
        format_func=KINDS.__getitem__,
        required=True,
        wrap=True,
        help="For the squares under the norm, layer and token are those chosen in the sidebar.",
        **state.bound("added"),
    )
    kind = state.get("added")
    reports = [report_of(side, kind) for side in sides]
    lengths = [report.by_length for report in reports]
    for place, side, report in zip(places(sides), sides, reports, strict=True):
        with column(place, side):
            errors(side, report.by_length, kind, lengths)
            orders(side, report, kind)
            batches(side)
    st.caption(
        "In every row the numbers are rounded to the format first, then each product, then each sum, step by "
        "step: emulated, except “fp16 numbers, fp32 sum”, which is what tensor cores do."
    )
    return Lesson(
        mathematics=partial(mathematics, lengths[0]),
        code=(partial_sums, narrow.pairwise_sum, narrow.running_sum),
    )
