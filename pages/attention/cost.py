"""Cost: comparisons against length by formula, and measured on this machine for the loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.attention import cost as attention_cost
from model_runtime.attention import formulas as attention_formulas
from model_runtime.attention import infini
from model_runtime.attention.cost import measure_cost
from model_runtime.records import CostMeasurement
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.attention.cost import (
    CostCurve,
    LengthCurves,
    cost_curve_figure,
    cost_curve_record,
    growth_sentence,
    length_curves_figure,
    length_curves_record,
)
from viz.equations import tex
from viz.style import in_bytes, share

WINDOWS = (4, 16, 64, 128, 256, 512, 1024, 4096)


def controls() -> int:
    """The window of the calculators, in tokens."""
    now = state.get("span")
    st.select_slider(
        "Window of the calculators, tokens",
        sorted({*WINDOWS, now}),
        format_func=lambda width: f"{width:,}",
        help="How many tokens each one sees in a sliding window, itself included; also the segment of "
        "Infini-attention below.",
        width=360,
        **state.bound("span"),
    )
    return int(state.get("span"))


def work_of(side: Side, window: int) -> LengthCurves:
    """Multiplications of one head by formula."""
    d_head = side.spec.d_head
    multiply = attention_formulas.multiplications
    return length_curves_record(
        {
            "full, causal": lambda n: multiply("full", n, d_head),
            f"window of {window:,}": lambda n: multiply("window", n, d_head, window),
            "linear": lambda n: multiply("linear", n, d_head),
        },
        len(side.texts),
        title="Full attention grows with the square",
        quantity="multiplications of one head",
    )


def memory_of(side: Side, window: int) -> LengthCurves:
    """Bytes kept while a text is written, by formula."""
    spec = side.spec
    fixed = infini.infini_sizes(spec, window)
    return length_curves_record(
        {
            "full cache": lambda n: attention_cost.cache_bytes(spec, n),
            f"window of {window:,}": lambda n: attention_cost.cache_bytes(spec, min(n, window)),
            "Infini-attention": lambda n: (
                attention_cost.cache_bytes(spec, min(n, window)) + fixed.memory_bytes
            ),
        },
        len(side.texts),
        title="A memory of fixed size does not grow",
        quantity="memory",
        in_bytes=True,
    )


def both(
    sides: Sequence[Side], records: Sequence[LengthCurves], name: str, places: Sequence[DeltaGenerator]
) -> None:
    """One figure a run, on shared axes."""
    low, high = min(record.low for record in records), max(record.high for record in records)
    for place, side, record in zip(places, sides, records, strict=True):
        with column(place, side):
            live_figure(
                length_curves_figure(replace(record, low=low, high=high)),
                key=side.key_figure(name),
                provenance=side.run.origin("computed", as_it_is=True, window=state.get("span")),
            )


def work_words(side: Side, window: int) -> None:
    """The counts of this prompt."""
    n, d_head = len(side.texts), side.spec.d_head
    full, some = attention_cost.score_counts(n), attention_cost.score_counts(n, window)
    st.markdown(
        f"This prompt: n = {n:,}, so one head compares n(n+1)/2 = **{full:,}** pairs; with a window of "
        f"{window:,}, **{some:,}**. Twice the text: {attention_cost.score_counts(2 * n):,}. Linear attention "
        f"compares none: it keeps sums, which pays from {attention_formulas.linear_pays_from(d_head):,} "
        f"tokens on (a head has {d_head} numbers a token)."
    )


def measured_cost(side: Side) -> CostMeasurement | None:
    """The measurement for the run's model; makes it when the button is pressed."""
    known = side.run.known(measure_cost)
    if known is not None:
        return known
    name = side.spec.name
    st.subheader("And on this machine?", anchor=False)
    st.markdown(
        f"How long does {plain(name)} really take? The prompt is repeated to growing lengths, and real "
        f"forwards are timed here, with the attention of one layer alone beside them."
    )
    pressed = st.button("Measure on this machine (about 20 s)", key=f"gf.measure.{side.slug}", type="primary")
    if pressed:
        words = f"Measuring {name} at growing lengths (about 20 s)"
        side.run.measure(measure_cost, words, dear=True)
        st.rerun()
    return None


def measured_figure(side: Side, measured: CostMeasurement, record: CostCurve) -> None:
    """Points and curves, and what they say."""
    live_figure(
        cost_curve_figure(record),
        key=side.key_figure("cost"),
        provenance=side.run.origin(layer=measured.layer, threads=measured.threads),
    )
    for index, timed in enumerate(record.timed):
        sentence = growth_sentence(record, index)
        st.markdown(f"{sentence[:1].upper()}{sentence[1:]} Fitted: {timed.words}.")
    last = measured.lengths[-1]
    squared = measured.forward_fit and measured.forward_fit.squared_share(last)
    part = f" The squared term is {share(squared)} of the whole model's time there." if squared else ""
    stopped = f" Longer lengths were left out: {plain(measured.stopped)}." if measured.stopped else ""
    st.caption(
        f"At {counted(last, 'token')} all {measured.n_heads} heads' scores of one layer take "
        f"{in_bytes(measured.score_bytes[-1])}.{part}{stopped} Attention is timed as written on paper: "
        f"every score goes through memory. The model's own kernel may not do that. Other work on this "
        f"machine slows both."
    )


def measured_costs(sides: Sequence[Side], places: Sequence[DeltaGenerator]) -> None:
    """Each run's measurement, on shared axes where there are two."""
    found = []
    for place, side in zip(places, sides, strict=True):
        with column(place, side):
            found.append((side, measured_cost(side), st.container()))
    records = [(s, m, cost_curve_record(m, len(s.texts)), place) for s, m, place in found if m is not None]
    for side, measured, record, place in records:
        low, high = min(r.low for _, _, r, _ in records), max(r.high for _, _, r, _ in records)
        with place:
            measured_figure(side, measured, replace(record, low=low, high=high))


def layer_table(side: Side, window: int) -> None:
    """Vaswani's table 1 with this prompt's numbers."""
    n, d = len(side.texts), side.spec.d_model
    lines = [
        "| layer | operations | sequential steps | longest path |",
        "|---|---:|---:|---:|",
        *(
            f"| {row.name} | {row.operations_formula} = {row.operations:,} "
            f"| {_value(row.sequential_formula, row.sequential)} | {_value(row.path_formula, row.path)} |"
            for row in attention_formulas.layer_types(n, d, window=window)
        ),
    ]
    st.markdown("\n".join(lines))
    cheaper = "fewer" if n < d else "more"
    st.caption(
        f"Computed for n = {counted(n, 'token')} and d = {d:,} numbers a token, convolution of width k = 3, "
        f"window r = {min(window, n):,}; ⌈ ⌉ rounds up to whole steps; constant factors left out, as in the "
        f"paper. A recurrent layer must take its {n:,} steps one after the other; attention takes one, "
        f"and here needs {cheaper} operations."
    )


def _value(formula: str, value: int) -> str:
    return str(value) if formula == str(value) else f"{formula} = {value:,}"


def infini_words(side: Side, window: int) -> None:
    """The parts of Infini-attention with this model's sizes."""
    spec = side.spec
    sizes = infini.infini_sizes(spec, window)
    full = attention_cost.cache_bytes(spec, spec.n_ctx)
    pays = infini.pays_from(spec, window)
    st.markdown(
        "\n".join(
            [
                "| part | holds | size |",
                "|---|---|---:|",
                f"| segment | keys and values of the last {counted(window, 'token')}, exactly | "
                f"{in_bytes(sizes.segment_bytes)} |",
                f"| memory | {spec.d_head} × {spec.d_head} + {spec.d_head} = {sizes.head_numbers:,} "
                f"numbers for each of {sizes.heads:,} key and value heads | {in_bytes(sizes.memory_bytes)} "
                f"|",
                f"| both | whatever the length | {in_bytes(sizes.total_bytes)} |",
                f"| full cache | all {spec.n_ctx:,} tokens, exactly | {in_bytes(full)} |",
            ]
        )
    )
    later = f"From {counted(pays, 'token')} on" if pays else "Never in this model:"
    st.caption(
        f"{later} the full cache is larger than segment and memory. The memory holds sums of keys times "
        f"values, so old text is kept blurred, not word by word. No loaded model has this attention; the "
        f"sizes are those it would have here."
    )


def mathematics(side: Side) -> str:
    """The counts and, once measured, the fit."""
    n, window = len(side.texts), state.get("span")
    d_head = side.spec.d_head
    measured = side.run.known(measure_cost)
    words = (
        "Pairs that one head compares, full and in a window of $w$:\n\n"
        r"$$\sum_{q=1}^{n} q = \frac{n(n+1)}{2}, \qquad \sum_{q=1}^{n} \min(q, w) = n w - \frac{w(w-1)}{2} "
        r"\quad (w \le n)$$"
        f"\n\nHere $n = {n}$: ${attention_cost.score_counts(n):,}$, and with $w = {window:,}$ "
        f"${attention_cost.score_counts(n, window):,}$. Each pair costs $2 d_\\mathrm{{head}} = "
        f"{2 * d_head}$ multiplications (the dot product, and the weighted value). Linear attention needs "
        f"no pairs:\n\n"
        r"$$z_q = \frac{\phi(q)^\top \sum_{k \le q} \phi(k)\, v_k^\top}{\phi(q)^\top \sum_{k \le q} "
        r"\phi(k)}$$"
        f"\n\nwhich is $2 d_\\mathrm{{head}}^2 + d_\\mathrm{{head}} = {2 * d_head * d_head + d_head:,}$ "
        "multiplications a token."
    )
    if measured is None or measured.attention_fit is None:
        return f"{words} The measured curve is fitted as $t(n) = a + b n + c n^2$ with $a, b, c \\ge 0$."
    fit = measured.attention_fit
    return (
        f"{words} The measured attention of one layer is fitted as\n\n$$t(n) = a + b n + c n^2, \\quad a = "
        f"{_ms(fit.a)}, \\; b = {_ms(fit.b)}, \\; c = {_ms(fit.c)} \\;\\text{{ms}}, \\quad r^2 = "
        f"{tex(fit.r2)}$$"
    )


def _ms(seconds: float) -> str:
    return tex(1000 * seconds, 3)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    window = controls()
    works = [work_of(side, window) for side in sides]
    if len(sides) == 1:
        left, right = st.columns(2)
        with left:
            both(sides, works, "work", [st.container()])
            work_words(sides[0], window)
        measured_costs(sides, [right])
    else:
        both(sides, works, "work", places(sides))
        measured_costs(sides, places(sides))
    st.subheader("Attention, recurrence, convolution", anchor=False)
    for place, side in zip(places(sides), sides, strict=True):
        with column(place, side):
            layer_table(side, window)
    st.subheader("A memory that does not grow: Infini-attention", anchor=False)
    both(sides, [memory_of(side, window) for side in sides], "memory", places(sides))
    for place, side in zip(places(sides), sides, strict=True):
        with column(place, side):
            infini_words(side, window)
    return Lesson(
        mathematics=partial(mathematics, sides[0]),
        code=(
            attention_cost.score_counts,
            attention_formulas.multiplications,
            attention_cost.CostFit,
            attention_cost.fit_cost,
            attention_cost.cache_bytes,
            infini.InfiniSizes,
            infini.infini_sizes,
        ),
    )
