"""Order of operations: (q kᵀ)/√d, q(k/√d)ᵀ and (q/√d)kᵀ on the model's own q and k, as they grow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from model_runtime.numbers.narrow import product_sums
from model_runtime.numbers.scaling_order import compare_orders, head_sizes, scores_in
from model_runtime.records.counts import counted
from model_runtime.records.numbers import ORDERS, OrderReport
from pages.numbers.gain import FORMATS, GAINS, format_control, gain_slider, inside_control
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.numbers.breaking_gains import breaking_gains_figure, breaking_gains_record, heads_sentence
from viz.numbers.order_patterns import order_patterns_figure, order_patterns_record
from viz.numbers.scaling_order import (
    ORDER_TITLES,
    difference_words,
    gain_words,
    order_products_figure,
    order_products_record,
)
from viz.style import three_digits

STORY = (
    "When Stanford's Mistral project trained GPT-2 Small in mixed precision, a run crashed, and the overflow "
    "was [found](https://github.com/stanford-crfm/mistral/issues/66) in attention's product of q and k in "
    "fp16. They divided k first and kept the product in fp32; transformers' GPT-2 offers it as "
    "`reorder_and_upcast_attn`."
)


def products(side: Side, report: OrderReport, number_format: str) -> None:
    record = order_products_record(report, number_format, (GAINS[0], GAINS[-1]))
    live_figure(
        order_products_figure(record),
        key=side.key_figure("order-products"),
        provenance=origin(side, report, number_format),
    )


def patterns(side: Side, report: OrderReport, number_format: str) -> None:
    record = order_patterns_record(report, side.texts, side.query, number_format)
    live_figure(
        order_patterns_figure(record),
        key=side.key_figure("order-patterns"),
        provenance=origin(side, report, number_format),
    )
    if record.first:
        st.caption(
            f"Drawn are {counted(len(record.texts), 'token')} up to the selected one; the numbers above and "
            f"below are of all {len(side.texts):,}."
        )


def origin(side: Side, report: OrderReport, number_format: str) -> Provenance:
    inside = "fp32" if report.inside == "wide" else "rounded at every step"
    extra: dict[str, Any] = {"number format": number_format, "sums inside": inside}
    return side.origin(gain=gain_words(report.gain), **extra)


def all_layers(side: Side, gain: float) -> None:
    def choose(click: Click) -> None:
        if isinstance(click.customdata, int):
            state.set(layer=click.customdata)

    sizes = side.run.measure(head_sizes, "Measuring all heads")
    record = breaking_gains_record(
        {order: sizes.breaking_gains(order) for order in ORDERS}, (*GAINS, 2 * GAINS[-1]), gain, side.layer
    )
    live_figure(
        breaking_gains_figure(record),
        key=side.key_figure("breaking-gains"),
        provenance=side.run.origin(gain=gain_words(gain)),
        clickable=side.clickable,
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
    found = [(order, form, report.results[order, form]) for order in ORDERS for form in ("fp32", *FORMATS)]
    differences = difference_words([result for _, _, result in found])
    for (order, form, result), off in zip(found, differences, strict=True):
        lines.append(
            f"| {ORDER_TITLES[order]} | {form} | {three_digits(result.largest)} | "
            f"{result.overflowed} of {result.n_cells:,} | {result.infinite} | {len(result.broken_rows)} "
            f"| {off} |"
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


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    left, middle, right = st.columns([5, 2, 4], gap="medium")
    with left:
        gain = gain_slider()
    with middle:
        number_format = format_control()
    with right:
        inside = inside_control()
    reports = [
        side.run.measure(
            compare_orders,
            "Computing attention three times",
            layer=side.layer,
            head=side.head,
            gain=gain,
            inside=inside,
        )
        for side in sides
    ]
    for place, side, report in zip(places(sides), sides, reports, strict=True):
        with column(place, side):
            if abs(report.scaling) == 1.0:
                st.info(f"{plain(side.spec.name)} does not divide scores: its three orders are one.")
            products(side, report, number_format)
            patterns(side, report, number_format)
            st.markdown(table(report))
            st.subheader("All layers at once", anchor=False)
            all_layers(side, gain)
    st.markdown(STORY)
    return Lesson(mathematics=partial(mathematics, reports[0]), code=(product_sums, scores_in))
