"""Sums: one real sum of the forward pass in several formats, orders and batch shapes."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.numbers import sums
from model_runtime.numbers.sums import BatchShapes, LengthErrors, SumReport
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.numbers.sums import sum_errors_figure, sum_errors_record, sum_orders_figure, sum_orders_record
from viz.style import three_digits

KINDS = {"norm": "Squares under the norm", "logit": "One logit", "vocabulary": "Softmax over the vocabulary"}
QUESTION = (
    "49,152 positive numbers are added one after another in fp32. How many of the result's seven digits are "
    "right? And if they are added pairwise: neighbours first, then pairs of pairs?"
)
ANSWER = (
    "In order, about four: each small term is added to a large total and loses its last digits there, "
    "thousands of times in the same direction. Pairwise, equals meet equals, and nearly all digits are "
    "right. Libraries add in blocks, whose size depends on the device and the shape of the matrices: hence "
    "other last digits on another machine, or for the same prompt in a larger batch."
)
SOURCES = """
- Higham 1993, *The accuracy of floating point summation*, SIAM Journal on Scientific Computing 14(4).
- Goldberg 1991, [What every computer scientist should know about floating-point arithmetic][goldberg], 4.1.
- transformers, `LlamaRMSNorm`: the squares are added up in fp32, whatever the model's format.

[goldberg]: https://doi.org/10.1145/103162.103163
"""


def request_of(drawing: Drawing, kind: str) -> dict[str, Any]:
    """What the forward pass has to keep for a sum, and no more: `Model.trace`'s arguments."""
    last = len(drawing.texts) - 1
    return {
        "norm": {"points": ("resid_pre",), "layers": (drawing.layer,), "positions": (drawing.query,)},
        "logit": {"points": ("ln_final",), "layers": (), "positions": (last,)},
        "vocabulary": {},
    }[kind]


def report_of(drawing: Drawing, kind: Any) -> SumReport:
    """The sum in every way and order, from the run's own forward pass."""
    model = runtime.model_for(drawing.run)
    layer = drawing.layer

    def add_up(trace: Any) -> SumReport:
        return sums.sum_report(sums.sum_terms(model, trace, kind, layer=layer, row=-1))

    name = ("sum", kind, layer, drawing.query) if kind == "norm" else ("sum", kind)
    return runtime.derived(drawing.run, name, add_up, words="Adding up", **request_of(drawing, kind))


def says(drawing: Drawing, kind: str) -> tuple[str, str]:
    """What is added up: for a title, and as a sentence of our own markdown."""
    model = runtime.model_for(drawing.run)
    if kind == "norm":
        return says_norm(drawing, model)
    if kind == "logit":
        token = model.token(int(runtime.logits_for(drawing.run).argmax()))
        capped = getattr(model.hf_model.config, "final_logit_softcapping", None)
        before = ", before the model's final soft cap" if capped else ""
        return (
            "The likeliest token's logit",
            f"The logit of {quoted(token_text(token))}{before}: the final stream times that token's row of "
            "the head.",
        )
    return (
        "The softmax's denominator",
        "e to the power of each logit less the largest one, over the whole vocabulary: what the softmax "
        "divides by.",
    )


def says_norm(drawing: Drawing, model: Any) -> tuple[str, str]:
    """What the squares are of: it depends on the model's norm, and on where it has one."""
    text, layer = quoted(drawing.texts[drawing.query]), drawing.layer
    centred = model.spec.norm == "LayerNorm"
    whose = "the stream's distances from its mean" if centred else "the stream"
    title = f"{'Squared distances from the mean' if centred else 'Squares of the stream'}, layer {layer}"
    if model.reasons["ln1"][layer] is not None:
        return title, (
            f"This model has no norm in front of layer {layer}. Added up are the squares of {whose} of "
            f"{text}, as a norm there would."
        )
    root = "variance" if centred else "mean of its squares"
    return title, (
        f"{model.spec.norm} in front of layer {layer} divides by the root of the {root}. For {text} the "
        f"squares of {whose} are added up."
    )


def errors(drawing: Drawing, report: LengthErrors, kind: str, reports: list[LengthErrors]) -> None:
    title, sentence = says(drawing, kind)
    record = sum_errors_record(
        report.lengths, report.errors, report.sums, report.exact, title, *(other.errors for other in reports)
    )
    st.markdown(f"{sentence} There are {counted(report.lengths[-1], 'term')}.")
    live_figure(
        sum_errors_figure(record), key=drawing.key_figure("sum-errors"), provenance=origin(drawing, kind)
    )
    lines = ["| numbers and sums in | result | off by |", "|---|---:|---:|"]
    for way, total in report.sums.items():
        gap = three_digits(abs(total - report.exact)) if np.isfinite(total) else "∞"
        lines.append(f"| {way} | {total:,.9g} | {gap} |".replace("inf", "∞"))
    st.markdown("\n".join([*lines, f"| exact | {report.exact:,.12g} | |"]))


def origin(drawing: Drawing, kind: str) -> Any:
    layer = drawing.layer if kind == "norm" else None
    token = {"token": drawing.query} if kind == "norm" else {}
    return runtime.provenance_of(drawing.run, layer=layer, **token)


def orders(drawing: Drawing, report: SumReport, kind: str) -> None:
    record = sum_orders_record(report.orders, report.exact)
    live_figure(
        sum_orders_figure(record), key=drawing.key_figure("sum-orders"), provenance=origin(drawing, kind)
    )


def shapes_of(drawing: Drawing) -> BatchShapes:
    """torch's own product of the last stream and the head, in batches."""
    model = runtime.model_for(drawing.run)
    return runtime.derived(
        drawing.run,
        "batch shapes",
        lambda trace: sums.batch_shapes(model, trace),
        words="Multiplying in batches",
        **request_of(drawing, "logit"),
    )


def batches(drawing: Drawing) -> None:
    spec = drawing.spec()
    st.subheader("The same row in a larger batch", anchor=False)
    lines = [
        "| rows at once | logits that differ from the row alone | largest difference |",
        "|---:|---:|---:|",
    ]
    shapes = shapes_of(drawing).shapes
    for shape in shapes:
        lines.append(
            f"| {shape.rows} | {shape.differ:,} of {spec.d_vocab:,} | {three_digits(shape.largest)} |"
        )
    st.markdown("\n".join(lines))
    differs = any(shape.differ for shape in shapes)
    found = (
        "A kernel cuts the work by its shape, so sums are formed in another order. The numbers are right to "
        "within rounding, but a greedy choice between two nearly equal tokens can turn."
        if differs
        else "Here the kernel adds up in the same order for every batch, so no digit moves."
    )
    st.caption(
        f"Measured with torch on {plain(spec.device)}, {plain(spec.dtype)}: the final stream of the last "
        f"token times the head, the same row repeated. {found}"
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


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
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
    reports = [report_of(drawing, kind) for drawing in drawings]
    lengths = [report.by_length for report in reports]
    for place, drawing, report in zip(st.columns(len(drawings)), drawings, reports, strict=True):
        with column(place, drawing):
            errors(drawing, report.by_length, kind, lengths)
            orders(drawing, report, kind)
            batches(drawing)
    st.caption(
        "In every row the numbers are rounded to the format first, then each product, then each sum, step by "
        "step: emulated, except “fp16 numbers, fp32 sum”, which is what tensor cores do."
    )
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(lengths[0]),
        code=lambda: inspect.getsource(sums.partial_sums),
        sources=SOURCES,
    )
