"""Order of operations: (q kᵀ)/√d, q(k/√d)ᵀ and (q/√d)kᵀ on the model's own q and k, as they grow."""

from __future__ import annotations

import inspect
from typing import Any

import streamlit as st

from model_runtime.numbers import scaling_order
from model_runtime.numbers.narrow import Inside
from model_runtime.numbers.scaling_order import ORDERS, HeadSizes, OrderReport
from pages.numbers.gain import GAINS, format_control, gain_slider, inside_control
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.numbers.breaking_gains import breaking_gains_figure, breaking_gains_record, heads_sentence
from viz.numbers.order_patterns import order_patterns_figure, order_patterns_record
from viz.numbers.scaling_order import (
    ORDER_TITLES,
    OrderRow,
    gain_words,
    order_products_figure,
    order_products_record,
)
from viz.style import share, three_digits

QUESTION = (
    "In fp16, q and k grow by the gain. Which order breaks first, and how much later do the others follow if "
    "d is 64? Predict, then move the gain."
)
ANSWER = (
    "(q kᵀ)/√d hands on the largest numbers, so it breaks first. With d = 64 the others hand on an eighth of "
    "that, and a product grows with the square of the gain: they follow at √8 = 2.83 times the gain. A score "
    "of +∞ turns its whole row into NaN; −∞ looks like a mask, and the key is gone without a word. bf16 has "
    "fp32's range and breaks nowhere here, but its patterns are coarser."
)
STORY = (
    "When Stanford's Mistral project trained GPT-2 Small in mixed precision, a run crashed, and the overflow "
    "was [found](https://github.com/stanford-crfm/mistral/issues/66) in attention's product of q and k in "
    "fp16. They divided k first and kept the product in fp32; transformers' GPT-2 offers it as "
    "`reorder_and_upcast_attn`."
)
SOURCES = """
- Karamcheti, Orr et al. 2021, [Mistral: a journey towards reproducible language model training][mistral],
  and its [change of the order](https://github.com/stanford-crfm/mistral/pull/75).
- transformers, [GPT-2 with these changes](https://github.com/huggingface/transformers/pull/13573).
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2.1: why √d.

[mistral]: https://crfm.stanford.edu/2021/08/26/mistral.html
"""


def report_of(drawing: Drawing, gain: float, inside: Inside) -> OrderReport:
    """The selected head in all orders and formats."""
    model = runtime.model_for(drawing.run)
    layer, head = drawing.layer, drawing.head
    return runtime.derived(
        drawing.run,
        ("orders", layer, head, gain, inside),
        lambda trace: scaling_order.compare_orders(model, trace, layer, head, gain=gain, inside=inside),
        words="Computing attention three times",
    )


def sizes_of(drawing: Drawing) -> HeadSizes:
    """How large q, k and their products are in every head."""
    model = runtime.model_for(drawing.run)
    return runtime.derived(
        drawing.run,
        "head sizes",
        lambda trace: scaling_order.head_sizes(model, trace),
        words="Measuring all heads",
    )


def rows_of(report: OrderReport, number_format: str) -> list[OrderRow]:
    rows = []
    for order in ORDERS:
        result, wide = report.results[order, number_format], report.results[order, "fp32"]
        rows.append(
            OrderRow(
                order,
                wide.largest,
                result.largest,
                result.overflowed,
                result.up,
                result.down,
                result.nan,
                result.n_cells,
                len(result.broken_rows),
                len(result.pattern),
                result.difference,
            )
        )
    return rows


def products(drawing: Drawing, report: OrderReport, number_format: str) -> None:
    record = order_products_record(
        rows_of(report, number_format),
        number_format,
        f"L{report.layer} H{report.head}",
        report.gain,
        (GAINS[0], GAINS[-1]),
    )
    live_figure(
        order_products_figure(record),
        key=drawing.key_figure("order-products"),
        provenance=origin(drawing, report, number_format),
    )


def patterns(drawing: Drawing, report: OrderReport, number_format: str) -> None:
    record = order_patterns_record(
        report.results["after", "fp32"].pattern,
        {order: report.results[order, number_format].pattern for order in ORDERS},
        drawing.texts,
        drawing.query,
        number_format,
    )
    live_figure(
        order_patterns_figure(record),
        key=drawing.key_figure("order-patterns"),
        provenance=origin(drawing, report, number_format),
    )
    if record.first:
        st.caption(
            f"Drawn are {len(record.texts)} tokens up to the selected one; the numbers above and below are "
            f"of all {len(drawing.texts):,}."
        )


def origin(drawing: Drawing, report: OrderReport, number_format: str) -> Any:
    inside = "fp32" if report.inside == "wide" else "rounded at every step"
    gain = gain_words(report.gain)
    return drawing.origin("measured", gain=gain, **{"number format": number_format, "sums inside": inside})


def all_layers(drawing: Drawing, gain: float) -> None:
    def choose(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(layer=click.customdata)

    sizes = sizes_of(drawing)
    record = breaking_gains_record(
        {order: sizes.breaking_gains(order) for order in ORDERS}, (*GAINS, 2 * GAINS[-1]), gain, drawing.layer
    )
    live_figure(
        breaking_gains_figure(record),
        key=drawing.key_figure("breaking-gains"),
        provenance=runtime.provenance_of(drawing.run, gain=gain_words(gain)),
        clickable=drawing.clickable,
        on_click=choose,
    )
    st.caption(
        f"{heads_sentence(record)} A mark is the first head of a layer to break. Broken: in fp16, with sums "
        "kept in fp32, at least one product that a token may use is infinite. The gain follows from each "
        "head's largest product at gain 1, as products grow with the gain's square."
    )


def table(report: OrderReport) -> str:
    """All orders in all formats."""
    lines = [
        "| order | format | largest handed on | products ±∞ or NaN | scores | rows NaN | differs from fp32 "
        "by |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for order in ORDERS:
        for number_format in ("fp32", "fp16", "bf16"):
            result = report.results[order, number_format]
            lines.append(
                f"| {ORDER_TITLES[order]} | {number_format} | {three_digits(result.largest)} | "
                f"{result.overflowed} of {result.n_cells:,} | {result.infinite} | {len(result.broken_rows)} "
                f"| {share(result.difference)} |"
            )
    return "\n".join(lines)


def mathematics(report: OrderReport) -> str:
    """The three orders with this head's numbers."""
    root = 1 / report.scaling if report.scaling else float("inf")
    after, key = (report.results[order, "fp32"].largest for order in ("after", "key"))
    return (
        r"$$\frac{q k^\top}{\sqrt d} = q \Big(\frac{k}{\sqrt d}\Big)^{\!\top} = \frac{q}{\sqrt d}\, k^\top$$"
        f"\n\nLayer {report.layer}, head {report.head}, gain {gain_words(report.gain)}: $d$ is "
        f"{report.d_head}, the factor {three_digits(report.scaling)} = 1 / {three_digits(root)}. The largest "
        f"$|q k^\\top|$ is {three_digits(after)}; divided first it is {three_digits(key)}. fp16 ends at "
        "65,504, and what rounds beyond it, from 65,520 on, is infinite.\n\n"
        r"A row with a score of $+\infty$: the softmax takes $\infty - \infty$, which is NaN, and divides "
        r"all of the row by it. A score of $-\infty$ gives $e^{-\infty} = 0$."
    )


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
    left, middle, right = st.columns([5, 2, 4], gap="medium")
    with left:
        gain = gain_slider()
    with middle:
        number_format = format_control()
    with right:
        inside = inside_control()
    reports = [report_of(drawing, gain, inside) for drawing in drawings]
    for place, drawing, report in zip(st.columns(len(drawings)), drawings, reports, strict=True):
        with column(place, drawing):
            if abs(report.scaling) == 1.0:
                st.info(f"{plain(drawing.spec().name)} does not divide scores: its three orders are one.")
            products(drawing, report, number_format)
            patterns(drawing, report, number_format)
            st.markdown(table(report))
            st.subheader("All layers at once", anchor=False)
            all_layers(drawing, gain)
    st.markdown(STORY)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(reports[0]),
        code=lambda: inspect.getsource(scaling_order.scores_in),
        sources=SOURCES,
    )
