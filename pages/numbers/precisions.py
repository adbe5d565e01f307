"""Whole model: the same weights and prompt in fp32, bf16 and fp16, layer by layer and in what is said."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.numbers import precisions
from model_runtime.numbers.formats import FORMATS
from model_runtime.numbers.inner_precision import InnerPrecision, inner_precision
from model_runtime.numbers.precisions import CANCELLED, COMPARED, FIRST, INFINITE, NAN, REST, ZERO
from pages.numbers.precision_sides import N_TOKENS, POWERS, Side, known_texts, side_of, texts_of
from pages.numbers.precision_words import (
    ANSWER,
    QUESTION,
    SOURCES,
    broken_words,
    gain_words,
    layer_table,
    mathematics,
    parting_words,
    text_table,
)
from pages.shared.escape import plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from viz.distribution_bars import DistributionBars, compared_record, distribution_bars_figure
from viz.numbers.precision_counts import lost_counts_figure, lost_counts_record
from viz.numbers.precision_lines import errors_record, largest_record
from viz.numbers.precision_lines_figure import errors_figure, largest_figure
from viz.style import share

AT_ONCE = 300e6  # parameters: a larger model writes its three texts on a button


def controls(drawing: Drawing) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.select_slider(
            "Gain: what one MLP adds, multiplied",
            list(POWERS),
            format_func=lambda k: f"× {2**k:,}" if k else "× 1 (the model as it is)",
            help="An edit of these forward passes alone: weights stay as they are, and no other page or "
            "visitor computes with it.",
            **state.bound("swell"),
        )
    with right:
        st.segmented_control(
            "In which layer",
            ["largest", "selected"],
            format_func={"largest": "Largest MLP output", "selected": f"Layer {drawing.layer}"}.__getitem__,
            required=True,
            help="The layer whose MLP adds the largest number, or the selected layer: a click on a figure "
            "selects another.",
            **state.bound("swell_at"),
        )


def tell(side: Side) -> None:
    if words := gain_words(side):
        st.markdown(plain(words))
    for reading in side.report.readings:
        if words := broken_words(reading, side.report.n_tokens):
            st.markdown(words)
    for key, words in side.report.missing.items():
        st.info(f"This model does not run in {key} on this machine: {plain(words)}")


def choose_layer(click: Click) -> None:
    """A click on a place of the stream selects its layer."""
    layer = click.customdata[0] if isinstance(click.customdata, list) else click.customdata
    if isinstance(layer, int) and not isinstance(layer, bool) and layer >= 0:
        state.set(layer=layer)


def figure(side: Side, drawn: Any, name: str, *, clickable: bool = True) -> None:
    live_figure(
        drawn,
        key=side.drawing.key_figure(name),
        provenance=runtime.provenance_of(
            side.exact, formats=", ".join(reading.key for reading in side.report.readings)
        ),
        clickable=clickable and side.drawing.clickable,
        on_click=choose_layer if clickable else None,
    )


def lines(side: Side, sides: Sequence[Side], places: Sequence[Any]) -> None:
    """Largest activations and errors, on the axes of all runs."""
    layer = side.drawing.layer
    with places[0]:
        figure(
            side,
            largest_figure(
                largest_record(
                    side.largest, float(FORMATS["fp16"].largest), layer, *(one.largest for one in sides)
                )
            ),
            "largest",
        )
    with places[1]:
        if len(side.report.readings) < 2:
            st.info("There is no second format to compare with fp32.")
            return
        others = [one.errors(which) for one in sides for which in (REST, FIRST)]
        figure(
            side,
            errors_figure(errors_record(side.errors(REST), side.errors(FIRST), layer, *others)),
            "stream-errors",
        )
        st.caption(
            "Relative error of the stream: the length of the difference from fp32, divided by fp32's length. "
            + ("Thin dotted lines: the first token, whose largest numbers would hide all others." if
               side.report.n_tokens > 1 else "")
        )  # fmt: skip


def distribution_of(side: Side) -> DistributionBars | None:
    """The next token in every format; None where none of them has a distribution."""
    model = runtime.model_for(side.exact)
    return compared_record(
        {reading.key: reading.logits for reading in side.report.readings},
        lambda token_id: token_text(model.token(token_id)),
        refusals={reading.key: reading.refusal for reading in side.report.readings},
        each=1,
    )


def distribution(side: Side, record: DistributionBars | None, top: float) -> None:
    """The picture, on the axis of all runs, and why a format has none."""
    if record is not None:
        drawn = distribution_bars_figure(replace(record, top=top))
        figure(side, drawn, "next-in-formats", clickable=False)
    for reading in side.report.readings:
        if reading.refusal:
            st.warning(
                f"**No token is drawn in {reading.key}.** {reading.refusal} A softmax over them would be NaN "
                "for every token, and any token that came out would be made up."
            )


def texts(side: Side) -> None:
    """The likeliest continuation in every format, and where it parts from fp32's."""
    st.markdown(f"**The likeliest next {N_TOKENS} tokens in each format**")
    if known_texts(side.run) is None and side.drawing.spec().n_params > AT_ONCE:
        label = f"Write {N_TOKENS} tokens in each format"
        if not st.button(label, key=f"gf.precisions.write.{side.drawing.slug}"):
            return
    found = texts_of(side.run)
    st.markdown(text_table(found))
    reference, *others = found.texts
    for text in (reference, *others) if reference.refusal else others:
        st.markdown(parting_words(text, reference))


def losses(side: Side) -> None:
    """Counts of what overflowed and underflowed, where there are any."""
    readings = side.report.readings
    counts = {reading.key: reading.lost for reading in readings}
    record = lost_counts_record(counts, readings[0].looked_at.tolist())
    if not record.columns:
        st.markdown("**Nothing overflows and nothing underflows** in any layer, in any of the formats.")
        return
    figure(side, lost_counts_figure(record), "lost-values")
    cancelled = sum(int(table[:, CANCELLED].sum()) for table in counts.values())
    zeros = sum(int(table[:, ZERO].sum()) for table in counts.values())
    st.caption(
        absent_words(list(counts.values()))
        + "Counted in the stream, in what attention and the MLP add, and inside the MLP. Subnormal: not 0, "
        "but below the format's smallest normal number (2⁻¹⁴ in fp16, 2⁻¹²⁶ in bf16), so digits are lost. "
        "Zero: exactly 0 where fp32 has another number"
        + (f"; {cancelled:,} of these {zeros:,} zeros were not too small: rounded numbers cancelled." if zeros
           else ".")
    )  # fmt: skip


def absent_words(counts: Sequence[np.ndarray]) -> str:
    """Which of infinity and NaN occurs nowhere, as a sentence; "" where both occur."""
    absent = [
        what
        for number, what in ((INFINITE, "infinity"), (NAN, "NaN"))
        if not any(table[:, number].any() for table in counts)
    ]
    return f"No {' and no '.join(absent)} in any format. " if absent else ""


@dataclass(frozen=True)
class Inner:
    """What `inner_precision` finds, None included, as the shared memory can keep it."""

    found: InnerPrecision | None
    nbytes: int = 64

    @classmethod
    def of(cls, run: Run) -> Inner:
        return cls(inner_precision(runtime.model_for(run)))


def arithmetic(side: Side) -> None:
    """Which arithmetic is shown: measured on the model's own numbers."""
    found = {}
    for key in COMPARED[1:]:
        if key not in side.report.missing:
            run = runtime.in_dtype(side.drawing.run, str(FORMATS[key].torch_dtype))
            found[key] = runtime.computed(run, "inner precision", lambda run=run: Inner.of(run)).found
    found = {key: one for key, one in found.items() if one is not None}
    if not found:
        return
    lines = {
        "products: exact, rounded once": [share(one.product) for one in found.values()],
        "if rounded at each step": [share(one.product_rounded) for one in found.values()],
        "softmax: exact, rounded once": [share(one.softmax) for one in found.values()],
    }
    norms = [one.norm for one in found.values()]
    if None not in norms:
        lines["last norm takes 300²"] = ["yes" if norm else "no" for norm in norms]
    rows = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    rows += [f"| {name} | {' | '.join(values)} |" for name, values in lines.items()]
    st.markdown("**What “in fp16” means here, measured**\n\n" + "\n".join(rows))
    terms = next(iter(found.values())).terms
    st.caption(
        f"Weights and activations are stored in the format. Products of {terms:,} terms (the longest rows of "
        "the embedding table): the share that is the exact sum, rounded once at the end. Near 100 %, the "
        "machine adds up in a wider format and rounds the result; below it, what rounding after each term "
        "would give. Likewise the softmax of these numbers. The norm: whether the model's last one takes "
        "numbers up to 300, whose squares fp16 cannot hold. What is stored, such as the stream after each "
        "layer, is always rounded."
    )


def code() -> str:
    parts = (
        precisions.compare_precisions,
        precisions.count_lost,
        precisions.stream_errors,
    )
    return "\n\n".join(map(inspect.getsource, parts))


def halves(drawing: Drawing) -> Sequence[AbstractContextManager[Any]]:
    """Two places: side by side while one run is drawn, else one below the other."""
    return st.columns(2, gap="medium") if not drawing.name else (st.container(), st.container())


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
    controls(drawings[0])
    sides = [side_of(drawing) for drawing in drawings]
    records = [distribution_of(side) for side in sides]
    top = max((record.top for record in records if record), default=1.0)
    waiting = []
    for place, side, record in zip(st.columns(len(sides)), sides, records, strict=True):
        with column(place, side.drawing):
            tell(side)
            lines(side, sides, halves(side.drawing))
            left, right = halves(side.drawing)
            with left:
                distribution(side, record, top)
            with right:
                waiting.append((side, st.container()))
            left, right = halves(side.drawing)
            with left:
                losses(side)
            with right:
                st.markdown(layer_table(side))
                arithmetic(side)
    for side, place in waiting:  # what takes longest comes last, so that the rest is there meanwhile
        with place:
            texts(side)
    return Lesson(QUESTION, ANSWER, mathematics=lambda: mathematics(sides[0]), code=code, sources=SOURCES)
