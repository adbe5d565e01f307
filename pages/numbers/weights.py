"""Weights: how large the loaded model's own are, and what a round trip through each format does to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.numbers.weight_rows import sum_of_squares
from model_runtime.numbers.weights import ROUND_TRIPS, count_sizes, round_trip, weight_ranges
from model_runtime.records.formats import FORMATS
from model_runtime.records.weights import WeightRanges
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.numbers.weights import (
    outside_sentence,
    trip_errors_figure,
    trip_errors_record,
    weight_sizes_figure,
    weight_sizes_record,
)
from viz.style import three_digits


def ranges_of(side: Side) -> WeightRanges:
    """Sizes of the model's weights, counted once for all visitors."""
    return side.run.measure(weight_ranges, f"Counting the weights of {side.spec.name}", slow=True)


def sizes(side: Side, ranges: WeightRanges, top: float) -> None:
    """The heat map; a click on a row chooses its layer."""
    record = weight_sizes_record(ranges, top)

    def chosen(click: Click) -> None:
        row = click.point[0] if isinstance(click.point, tuple) else -1
        name = record.names[row] if 0 <= row < len(record.names) else ""
        if name.startswith("layer "):
            state.set(layer=int(name.removeprefix("layer ")))

    live_figure(
        weight_sizes_figure(record),
        key=side.key_figure("weight-sizes"),
        provenance=side.run.origin(as_it_is=True),
        clickable=side.clickable,
        on_click=chosen,
    )
    n, largest = int(ranges.sizes.sum()), float(ranges.largest.max())
    st.markdown(
        f"{plain(side.spec.name)} has {counted(n, 'weight')}; the largest is {three_digits(largest)}. "
        f"{plain(outside_sentence(record))}"
    )


def losses(side: Side, ranges: WeightRanges, all_ranges: Sequence[WeightRanges]) -> None:
    tables = [
        {FORMATS[key].title: of.trips[key].error.tolist() for key in ROUND_TRIPS}
        for of in (ranges, *all_ranges)
    ]
    live_figure(
        trip_errors_figure(trip_errors_record(ranges.names, *tables)),
        key=side.key_figure("round-trip"),
        provenance=side.run.origin(as_it_is=True),
    )
    gone = {FORMATS[key].title: int(ranges.trips[key].gone.sum()) for key in ROUND_TRIPS}
    words = ", ".join(f"{name} {counted(n, 'weight')}" for name, n in gone.items() if n)
    st.caption(f"Set to 0 by the round trip: {words}." if words else "No weight is set to 0 by a round trip.")


def mathematics(ranges: WeightRanges) -> str:
    return (
        r"$$\text{error} = \frac{\lVert \mathrm{round}(W) - W \rVert}{\lVert W \rVert} = "
        r"\sqrt{\frac{\sum_i (\mathrm{round}(w_i) - w_i)^2}{\sum_i w_i^2}}$$"
        f"\n\nHere, in {ranges.names[-1]} and fp16: {three_digits(float(ranges.trips['fp16'].error[-1]))}. "
        "A normal number is off by at most half a gap: $2^{-m-1}$ of its size with $m$ significand bits, "
        f"{three_digits(2.0**-11)} in fp16, {three_digits(2.0**-8)} in bf16."
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    ranges = [ranges_of(side) for side in sides]
    top = max(weight_sizes_record(one).top for one in ranges)
    for place, side, one in zip(places(sides), sides, ranges, strict=True):
        with column(place, side):
            sizes(side, one, top)
            losses(side, one, ranges)
    return Lesson(mathematics=partial(mathematics, ranges[0]), code=(round_trip, count_sizes, sum_of_squares))
