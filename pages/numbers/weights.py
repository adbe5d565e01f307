"""Weights: how large the loaded model's own are, and what a round trip through each format does to them."""

from __future__ import annotations

import inspect
import math

import streamlit as st

from model_runtime.numbers import weight_formats
from model_runtime.numbers.formats import FORMATS
from model_runtime.numbers.weight_formats import ROUND_TRIPS, WeightRanges
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.numbers.weight_ranges import (
    FormatLimit,
    WeightSizes,
    outside_sentence,
    trip_errors_figure,
    trip_errors_record,
    weight_sizes_figure,
    weight_sizes_record,
)
from viz.style import three_digits

QUESTION = (
    "fp16 reaches to 65,504, and no weight of SmolLM2 is larger than 9.25. Will fp16 hold all of its weights "
    "exactly, nearly, or lose many of them? And fp8?"
)
ANSWER = (
    "fp16 keeps them to about 0.02 %: nearly all are normal numbers there, and only the smallest lose "
    "digits. In fp8 e4m3 normal numbers begin at 1/64. One weight in thirteen is smaller: those lose digits, "
    "and one in three hundred becomes 0. That is why fp8 weights are kept with a scale "
    "that moves them to the middle of the range."
)
SOURCES = """
- Micikevicius et al. 2018, [Mixed precision training](https://arxiv.org/abs/1710.03740): ranges of
  weights and gradients against fp16's.
- Micikevicius et al. 2022, [FP8 formats for deep learning](https://arxiv.org/abs/2209.05433): fp8 with a
  scale for each tensor.
"""
_NORMAL = ("fp16", "e4m3")  # formats whose limits are drawn


def ranges_of(drawing: Drawing) -> WeightRanges:
    """Sizes of the model's weights, counted once for all visitors."""
    name = drawing.spec().name
    return runtime.computed(
        drawing.run,
        "weight_ranges",
        lambda: weight_formats.weight_ranges(runtime.model_for(drawing.run).hf_model),
        words=f"Counting the weights of {name}",
        slow=True,
    )


def sizes_of(ranges: WeightRanges, top: float | None = None) -> WeightSizes:
    rows = [FORMATS[key] for key in _NORMAL]
    trips = [ranges.trips[key] for key in _NORMAL]
    return weight_sizes_record(
        ranges.names,
        ranges.counts,
        ranges.zeros,
        weight_formats.LOWEST,
        [FormatLimit(r.title, math.log2(r.smallest_normal), math.log2(r.largest)) for r in rows],
        [int(trip.above.sum()) for trip in trips],
        [int(trip.subnormal.sum()) for trip in trips],
        top,
    )


def sizes(drawing: Drawing, record: WeightSizes, ranges: WeightRanges) -> None:
    """The heat map; a click on a row chooses its layer."""

    def chosen(click: Click) -> None:
        row = click.point[0] if isinstance(click.point, tuple) else -1
        name = record.names[row] if 0 <= row < len(record.names) else ""
        if name.startswith("layer "):
            state.set(layer=int(name.removeprefix("layer ")))

    live_figure(
        weight_sizes_figure(record),
        key=drawing.key_figure("weight-sizes"),
        provenance=runtime.provenance_of(drawing.run),
        clickable=drawing.clickable,
        on_click=chosen,
    )
    n, largest = int(ranges.sizes.sum()), float(ranges.largest.max())
    st.markdown(
        f"{plain(drawing.spec().name)} has {counted(n, 'weight')}; the largest is {three_digits(largest)}. "
        f"{plain(outside_sentence(record))}"
    )


def losses(drawing: Drawing, all_ranges: list[WeightRanges], ranges: WeightRanges) -> None:
    def table(of: WeightRanges) -> dict[str, list[float]]:
        return {FORMATS[key].title: of.trips[key].error.tolist() for key in ROUND_TRIPS}

    record = trip_errors_record(ranges.names, table(ranges), *(table(other) for other in all_ranges))
    live_figure(
        trip_errors_figure(record),
        key=drawing.key_figure("round-trip"),
        provenance=runtime.provenance_of(drawing.run),
    )
    gone = {FORMATS[key].title: int(ranges.trips[key].gone.sum()) for key in ROUND_TRIPS}
    words = ", ".join(f"{name} {counted(n, 'weight')}" for name, n in gone.items() if n)
    st.caption(f"Set to 0 by the round trip: {words}." if words else "No weight is set to 0 by a round trip.")


def mathematics(ranges: WeightRanges) -> str:
    fp16, layer = ranges.trips["fp16"], len(ranges.names) - 1
    return (
        r"$$\text{error} = \frac{\lVert \mathrm{round}(W) - W \rVert}{\lVert W \rVert} = "
        r"\sqrt{\frac{\sum_i (\mathrm{round}(w_i) - w_i)^2}{\sum_i w_i^2}}$$"
        f"\n\nHere, in {ranges.names[layer]} and fp16: {three_digits(float(fp16.error[layer]))}. "
        "A normal number is off by at most half a gap: $2^{-m-1}$ of its size with $m$ significand bits, "
        f"{three_digits(2.0**-11)} in fp16, {three_digits(2.0**-8)} in bf16."
    )


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
    ranges = [ranges_of(drawing) for drawing in drawings]
    top = max(sizes_of(one).top for one in ranges)
    for place, drawing, one in zip(st.columns(len(drawings)), drawings, ranges, strict=True):
        with column(place, drawing):
            sizes(drawing, sizes_of(one, top), one)
            losses(drawing, ranges, one)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(ranges[0]),
        code=lambda: inspect.getsource(weight_formats._Tally),
        sources=SOURCES,
    )
