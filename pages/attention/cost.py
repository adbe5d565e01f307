"""Cost: comparisons against length by formula, and measured on this machine for the loaded model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from model_runtime.attention import cost as attention_cost
from model_runtime.attention import formulas as attention_formulas
from model_runtime.attention import infini
from pages.attention.cost_tables import infini_words, layer_table
from pages.shared.escape import plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import measurements, runtime
from pages.shared.settings import url_state as state
from viz.attention.cost import (
    CostCurve,
    LengthCurves,
    cost_curve_record,
    growth_sentence,
    length_curves_record,
)
from viz.attention.cost_figure import cost_curve_figure, length_curves_figure
from viz.attention.key_groups import in_bytes
from viz.style import share

WINDOWS = (4, 16, 64, 128, 256, 512, 1024, 4096)
QUESTION = (
    "Double a long text. By how much does the time of attention grow, and by how much that of the "
    "whole model? Guess two numbers, then measure."
)
ANSWER = (
    "Attention alone compares four times as many pairs, so its time grows towards fourfold. The whole model "
    "grows less: the other matrices work token by token, twice the work for twice the text, and in a small "
    "model at a thousand tokens they still take the larger part. The longer the text, the more the square "
    "wins."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), table 1: operations,
  sequential steps and path length of a layer.
- Beltagy et al. 2020, [Longformer](https://arxiv.org/abs/2004.05150): sliding windows, n times w.
- Katharopoulos et al. 2020, [Transformers are RNNs](https://arxiv.org/abs/2006.16236): linear attention.
- Munkhdalai et al. 2024, [Leave no context behind](https://arxiv.org/abs/2404.07143): Infini-attention.
- Dao et al. 2022, [FlashAttention](https://arxiv.org/abs/2205.14135): the same sums without writing the
  scores to
  memory, so time still grows with the square but memory does not.
"""


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


def work_of(drawing: Drawing, window: int) -> LengthCurves:
    """Multiplications of one head by formula."""
    d_head = drawing.spec().d_head
    multiply = attention_formulas.multiplications
    return length_curves_record(
        {
            "full, causal": lambda n: multiply("full", n, d_head),
            f"window of {window:,}": lambda n: multiply("window", n, d_head, window),
            "linear": lambda n: multiply("linear", n, d_head),
        },
        len(drawing.texts),
        title="Full attention grows with the square",
        quantity="multiplications of one head",
    )


def memory_of(drawing: Drawing, window: int) -> LengthCurves:
    """Bytes kept while a text is written, by formula."""
    spec = drawing.spec()
    fixed = infini.infini_sizes(spec, window)
    return length_curves_record(
        {
            "full cache": lambda n: attention_cost.cache_bytes(spec, n),
            f"window of {window:,}": lambda n: attention_cost.cache_bytes(spec, min(n, window)),
            "Infini-attention": lambda n: (
                attention_cost.cache_bytes(spec, min(n, window)) + fixed.memory_bytes
            ),
        },
        len(drawing.texts),
        title="A memory of fixed size does not grow",
        quantity="memory",
        in_bytes=True,
    )


def curves(drawing: Drawing, record: LengthCurves, name: str) -> None:
    live_figure(
        length_curves_figure(record),
        key=drawing.key_figure(name),
        provenance=runtime.provenance_of(drawing.run, "computed", window=state.get("span")),
    )


def work_words(drawing: Drawing, window: int) -> None:
    """The counts of this prompt."""
    n, d_head = len(drawing.texts), drawing.spec().d_head
    full, some = attention_cost.score_counts(n), attention_cost.score_counts(n, window)
    st.markdown(
        f"This prompt: n = {n:,}, so one head compares n(n+1)/2 = **{full:,}** pairs; with a window of "
        f"{window:,}, **{some:,}**. Twice the text: {attention_cost.score_counts(2 * n):,}. Linear attention "
        f"compares none: it keeps sums, which pays from {attention_formulas.linear_pays_from(d_head):,} "
        f"tokens on (d_head {d_head})."
    )


def curve_of(measured: Any, n_prompt: int) -> CostCurve:
    """A measurement -> what will be drawn."""
    fits = [
        None if fit is None else (fit.a, fit.b, fit.c, fit.r2)
        for fit in (measured.attention_fit, measured.forward_fit)
    ]
    return cost_curve_record(
        measured.lengths,
        [
            ("attention of one layer", measured.attention_seconds, fits[0]),
            ("whole model", measured.forward_seconds, fits[1]),
        ],
        n_prompt,
    )


def measured_cost(drawing: Drawing) -> Any | None:
    """The measurement for the run's model; makes it when the button is pressed."""
    known = measurements.known_cost(drawing.run)
    if known is not None:
        return known
    name = drawing.spec().name
    st.subheader("And on this machine?", anchor=False)
    st.markdown(
        f"How long does {plain(name)} really take? The prompt is repeated to growing lengths, and real "
        f"forwards are timed here, with the attention of one layer alone beside them."
    )
    pressed = st.button(
        "Measure on this machine (about 20 s)", key=f"gf.measure.{drawing.slug}", type="primary"
    )
    if pressed:
        measurements.cost_for(drawing.run)
        st.rerun()
    return None


def measured_figure(drawing: Drawing, measured: Any, record: CostCurve) -> None:
    """Points and curves, and what they say."""
    live_figure(
        cost_curve_figure(record),
        key=drawing.key_figure("cost"),
        provenance=runtime.provenance_of(drawing.run, layer=measured.layer, threads=measured.threads),
    )
    for index, timed in enumerate(record.timed):
        sentence = growth_sentence(record, index)
        st.markdown(f"{sentence[:1].upper()}{sentence[1:]} Fitted: {timed.words}.")
    last = measured.lengths[-1]
    squared = measured.forward_fit and measured.forward_fit.squared_share(last)
    part = f" The squared term is {share(squared)} of the whole model's time there." if squared else ""
    stopped = f" Longer lengths were left out: {plain(measured.stopped)}." if measured.stopped else ""
    st.caption(
        f"At {last:,} tokens all {measured.n_heads} heads' scores of one layer take "
        f"{in_bytes(measured.score_bytes[-1])}.{part}{stopped} Attention is timed as written on paper: "
        f"every score goes through memory. The model's own kernel may not do that. Other work on this "
        f"machine slows both."
    )


def measured_costs(drawings: Sequence[Drawing], places: Sequence[Any]) -> None:
    """Each run's measurement, on shared axes where there are two."""
    found = []
    for place, drawing in zip(places, drawings, strict=True):
        with column(place, drawing):
            found.append((drawing, measured_cost(drawing), st.container()))
    records = [(d, m, curve_of(m, len(d.texts)), place) for d, m, place in found if m is not None]
    for drawing, measured, record, place in records:
        low, high = min(r.low for _, _, r, _ in records), max(r.high for _, _, r, _ in records)
        with place:
            measured_figure(drawing, measured, replace(record, low=low, high=high))


def columns(drawings: Sequence[Drawing]) -> list[Any]:
    """A place for each run."""
    return [st.container()] if len(drawings) == 1 else list(st.columns(len(drawings)))


def mathematics(drawing: Drawing) -> str:
    """The counts and, once measured, the fit."""
    n, window = len(drawing.texts), state.get("span")
    d_head = drawing.spec().d_head
    measured = measurements.known_cost(drawing.run)
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
        f"{fit.r2:.4f}$$"
    )


def _ms(seconds: float) -> str:
    mantissa, exponent = f"{1000 * seconds:.2e}".split("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if seconds else "0"


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    window = controls()
    works = [work_of(drawing, window) for drawing in drawings]
    if len(drawings) == 1:
        left, right = st.columns(2)
        with left:
            both(drawings, works, "work", [st.container()])
            work_words(drawings[0], window)
        measured_costs(drawings, [right])
    else:
        both(drawings, works, "work", columns(drawings))
        measured_costs(drawings, columns(drawings))
    st.subheader("Attention, recurrence, convolution", anchor=False)
    for place, drawing in zip(columns(drawings), drawings, strict=True):
        with column(place, drawing):
            layer_table(drawing, window)
    st.subheader("A memory that does not grow: Infini-attention", anchor=False)
    both(drawings, [memory_of(drawing, window) for drawing in drawings], "memory", columns(drawings))
    for place, drawing in zip(columns(drawings), drawings, strict=True):
        with column(place, drawing):
            infini_words(drawing, window)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(drawings[0]),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (
                attention_cost.score_counts,
                attention_formulas.multiplications,
                attention_cost.fit_cost,
                infini.infini_sizes,
            )
        ),
        sources=SOURCES,
    )


def both(
    drawings: Sequence[Drawing], records: Sequence[LengthCurves], name: str, places: Sequence[Any]
) -> None:
    """One figure a run, on shared axes."""
    low, high = min(record.low for record in records), max(record.high for record in records)
    for place, drawing, record in zip(places, drawings, records, strict=True):
        with column(place, drawing):
            curves(drawing, replace(record, low=low, high=high), name)
