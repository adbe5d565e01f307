"""Whole model: the same weights and prompt in fp32, bf16 and fp16, layer by layer and in what is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.interventions import ScaleMLP
from model_runtime.numbers import precisions
from model_runtime.numbers.inner_precision import inner_precision
from model_runtime.numbers.precision_texts import PrecisionTexts, compare_texts
from model_runtime.numbers.precisions import (
    CANCELLED,
    COMPARED,
    FIRST,
    REST,
    STREAM,
    ZERO,
    PrecisionReport,
    compare_precisions,
)
from model_runtime.records.formats import FORMATS
from pages.numbers.precision_words import (
    POWERS,
    absent_words,
    broken_words,
    gain_words,
    layer_table,
    mathematics,
    parting_words,
    text_table,
)
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame import not_finite
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from viz.distribution_bars import DistributionBars, compared_record, distribution_bars_figure
from viz.drawn import Drawn
from viz.numbers.precision_counts import lost_counts_figure, lost_counts_record
from viz.numbers.precision_lines import errors_record, largest_record
from viz.numbers.precision_lines_figure import errors_figure, largest_figure
from viz.style import share

N_TOKENS = 24
AT_ONCE = 300e6  # parameters: a larger model writes its three texts on a button


@dataclass(frozen=True, eq=False)
class Amplified:
    """A run, one of whose MLPs is amplified by 2^power, and its numbers in every format."""

    side: Side
    run: PageRun  # the gain among its edits
    layer: int  # whose MLP it is
    power: int  # 0: as it is
    calm: PrecisionReport  # without the gain
    report: PrecisionReport


def amplified(side: Side) -> Amplified:
    calm = report_of(side.run)
    layer, power = calm.largest_adder, state.get("swell")
    if state.get("swell_at") == "selected":
        layer = side.layer
    if not power:
        return Amplified(side, side.run, layer, power, calm, calm)
    run = side.run.changed(edits=(*side.run.interventions, ScaleMLP(layer, 2.0**power)))
    return Amplified(side, run, layer, power, calm, report_of(run))


def report_of(run: PageRun) -> PrecisionReport:
    """The three forwards, made once for all visitors; no trace of them is kept."""
    words = "Running the model in fp32, bf16 and fp16"
    seconds = 4 * run.forward_seconds  # half precision takes longer on a processor
    lent = {"model_in": run.model_in}
    return exact(run).measure(compare_precisions, words, slow=True, seconds=seconds, at_hand=lent)


def texts_of(run: PageRun) -> PrecisionTexts:
    """The likeliest continuation in each format, written once for all visitors."""
    words, lent = f"Writing {N_TOKENS} tokens in each format", {"model_in": run.model_in}
    return exact(run).measure(compare_texts, words, slow=True, at_hand=lent, n_tokens=N_TOKENS)


def exact(run: PageRun) -> PageRun:
    """The run in fp32: what compares formats is kept under it, whichever of them the run itself has."""
    return run.in_dtype("float32")


def comparable(run: PageRun) -> None:
    """Let pass a run that is something to compare with in fp32, be it infinite.

    Raises:
        NotFinite: norms make zeros of its streams in every format, so that all agree about nothing.
    """
    if run.finiteness.first is not None:
        found = exact(run).finiteness
        if found.first is not None and found.first.too_large:
            not_finite.whole(found)


def controls(side: Side) -> None:
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
            format_func={"largest": "Largest MLP output", "selected": f"Layer {side.layer}"}.__getitem__,
            required=True,
            help="The layer whose MLP adds the largest number, or the selected layer: a click on a figure "
            "selects another.",
            **state.bound("swell_at"),
        )


def tell(one: Amplified) -> None:
    if words := gain_words(one.calm, one.layer, one.power):
        st.markdown(plain(words))
    for reading in one.report.readings:
        if words := broken_words(reading, one.report.n_tokens):
            st.markdown(words)
    for key, words in one.report.missing.items():
        st.info(f"This model does not run in {key} on this machine: {plain(words)}")


def choose_layer(click: Click) -> None:
    """A click on a place of the stream selects its layer."""
    if click.number is not None and click.number >= 0:
        state.set(layer=click.number)


def figure(one: Amplified, drawn: Drawn, name: str, *, clickable: bool = True) -> None:
    formats = ", ".join(reading.key for reading in one.report.readings)
    live_figure(
        drawn,
        key=one.side.key_figure(name),
        provenance=exact(one.run).origin(formats=formats),
        clickable=clickable and one.side.clickable,
        on_click=choose_layer if clickable else None,
    )


def largest(one: Amplified, every: Sequence[Amplified]) -> None:
    """The largest activations, on the axis of all runs."""
    lines, *others = (
        {reading.key: reading.largest[STREAM] for reading in each.report.readings} for each in (one, *every)
    )
    record = largest_record(lines, float(FORMATS["fp16"].largest), one.side.layer, *others)
    figure(one, largest_figure(record), "largest")


def errors(one: Amplified, every: Sequence[Amplified]) -> None:
    """Errors of the stream, on the axis of all runs."""
    if len(one.report.readings) < 2:
        st.info("There is no second format to compare with fp32.")
        return
    rest, first, *others = (each.report.errors(which) for each in (one, *every) for which in (REST, FIRST))
    figure(one, errors_figure(errors_record(rest, first, one.side.layer, *others)), "stream-errors")
    thin = "Thin dotted lines: the first token, whose largest numbers would hide all others."
    st.caption(
        "Relative error of the stream: the length of the difference from fp32, divided by fp32's length. "
        + (thin if one.report.n_tokens > 1 else "")
    )


def distribution_of(one: Amplified) -> DistributionBars | None:
    """The next token in every format; None where none of them has a distribution."""
    return compared_record(
        {reading.key: reading.logits for reading in one.report.readings},
        one.run.text_of,
        refusals={reading.key: reading.refusal for reading in one.report.readings},
        each=1,
    )


def distribution(one: Amplified, record: DistributionBars | None, top: float) -> None:
    """The picture, on the axis of all runs, and why a format has none."""
    if record is not None:
        figure(one, distribution_bars_figure(replace(record, top=top)), "next-in-formats", clickable=False)
    for reading in one.report.readings:
        if reading.refusal:
            st.warning(
                f"**No token is drawn in {reading.key}.** {reading.refusal} A softmax over them would be NaN "
                "for every token, and any token that came out would be made up."
            )


def texts(one: Amplified) -> None:
    """The likeliest continuation in every format, and where it parts from fp32's."""
    st.markdown(f"**The likeliest next {N_TOKENS} tokens in each format**")
    if one.side.spec.n_params > AT_ONCE and exact(one.run).known(compare_texts, n_tokens=N_TOKENS) is None:
        label = f"Write {N_TOKENS} tokens in each format"
        if not st.button(label, key=f"gf.precisions.write.{one.side.slug}"):
            return
    found = texts_of(one.run)
    st.markdown(text_table(found, one.run.model.tokens))
    reference, *others = found.texts
    for text in (reference, *others) if reference.refusal else others:
        st.markdown(parting_words(text, reference))


def losses(one: Amplified) -> None:
    """Counts of what overflowed and underflowed, where there are any."""
    readings = one.report.readings
    counts = {reading.key: reading.lost for reading in readings}
    record = lost_counts_record(counts, readings[0].looked_at.tolist())
    if not record.columns:
        st.markdown("**Nothing overflows and nothing underflows** in any layer, in any of the formats.")
        return
    figure(one, lost_counts_figure(record), "lost-values")
    cancelled = sum(int(table[:, CANCELLED].sum()) for table in counts.values())
    zeros = sum(int(table[:, ZERO].sum()) for table in counts.values())
    those = f". {cancelled_words(cancelled, zeros)}"
    st.caption(
        absent_words(list(counts.values()))
        + "Counted in the stream, in what attention and the MLP add, and inside the MLP. Subnormal: not 0, "
        "but below the format's smallest normal number (2⁻¹⁴ in fp16, 2⁻¹²⁶ in bf16), so digits are lost. "
        "Zero: exactly 0 where fp32 has another number" + (those if zeros else ".")
    )


def cancelled_words(cancelled: int, zeros: int) -> str:
    """How many of the zeros are no loss of small numbers.

    >>> cancelled_words(0, 3), cancelled_words(1, 1)
    ('All 3 zeros were too small.', 'The one zero was not too small: rounded numbers cancelled.')
    """
    if zeros == 1:
        return "The one zero was " + (
            "not too small: rounded numbers cancelled." if cancelled else "too small."
        )
    if cancelled == 0:
        return f"All {zeros:,} zeros were too small."
    if cancelled == zeros:
        return f"None of the {zeros:,} zeros was too small: rounded numbers cancelled."
    verb = "was" if cancelled == 1 else "were"
    return f"{cancelled:,} of the {zeros:,} zeros {verb} not too small: rounded numbers cancelled."


def arithmetic(one: Amplified) -> None:
    """Which arithmetic is shown: measured on the model's own numbers."""
    dtypes = {key: str(FORMATS[key].torch_dtype) for key in COMPARED[1:] if key not in one.report.missing}
    every = {key: one.side.run.in_dtype(dtype).measure(inner_precision) for key, dtype in dtypes.items()}
    found = {key: inner for key, inner in every.items() if inner.terms}
    if not found:
        return
    lines = {
        "products: exact, rounded once": [share(inner.product) for inner in found.values()],
        "if rounded at each step": [share(inner.product_rounded) for inner in found.values()],
        "softmax: exact, rounded once": [share(inner.softmax) for inner in found.values()],
    }
    norms = [inner.norm for inner in found.values()]
    if None not in norms:
        lines["last norm takes 300²"] = ["yes" if norm else "no" for norm in norms]
    rows = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    rows += [f"| {name} | {' | '.join(values)} |" for name, values in lines.items()]
    st.markdown("**What “in fp16” means here, measured**\n\n" + "\n".join(rows))
    terms = next(iter(found.values())).terms
    st.caption(
        f"Weights and activations are stored in the format. Products of {terms:,} terms (the longest rows of "
        "the embedding table): the share that is the exact sum, rounded once at the end. Near 100\u00a0%, "
        "the machine adds up in a wider format and rounds the result; below it, what rounding after each "
        "term would give. Likewise the softmax of these numbers. The norm: whether the model's last one "
        "takes numbers up to 300, whose squares fp16 cannot hold. What is stored, such as the stream after "
        "each layer, is always rounded."
    )


def halves(side: Side) -> Sequence[DeltaGenerator]:
    """Two places: side by side while one run is drawn, else one below the other."""
    return st.columns(2, gap="medium") if not side.name else (st.container(), st.container())


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    for side in sides:
        comparable(side.run)
    controls(sides[0])
    every = [amplified(side) for side in sides]
    records = [distribution_of(one) for one in every]
    top = max((record.top for record in records if record), default=1.0)
    waiting = []
    for place, one, record in zip(places(sides), every, records, strict=True):
        with column(place, one.side):
            tell(one)
            left, right = halves(one.side)
            with left:
                largest(one, every)
            with right:
                errors(one, every)
            left, right = halves(one.side)
            with left:
                distribution(one, record, top)
            with right:
                waiting.append((one, st.container()))
            left, right = halves(one.side)
            with left:
                losses(one)
            with right:
                st.markdown(layer_table(one.report.readings, one.side.layer))
                arithmetic(one)
    for one, place in waiting:  # what takes longest comes last, so that the rest is there meanwhile
        with place:
            texts(one)
    maths = partial(mathematics, every[0].report, every[0].side.layer)
    return Lesson(mathematics=maths, code=(precisions.count_lost, precisions.stream_errors, precisions.ratio))
