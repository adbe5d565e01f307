"""Quantization: the model's own weights in 8 or 4 bits, and what the model says then."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from model_runtime.numbers import quantization
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.numbers.quantization_effects import SCHEMES, CloseLook, Strip
from pages.numbers.matrices import bytes_in_file, file_of, nearest_name, tensors_of
from pages.numbers.packing import (
    Side,
    controls,
    default_matrix,
    look_of,
    matrix_names,
    sampled,
    scheme_of_controls,
    scheme_words,
    side_of,
    whole_of,
)
from pages.shared.escape import in_words, nth, plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column, drawings_of
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.distribution_bars import DistributionBars, distribution_bars_figure, pair_record
from viz.numbers.quant_errors import quant_errors_figure, quant_errors_record
from viz.numbers.quant_schemes import BlockPoint, SchemePoint, quant_schemes_figure, quant_schemes_record
from viz.numbers.weight_grid import GridStrip, weight_grid_figure, weight_grid_record
from viz.style import share, three_digits, visible

QUESTION = (
    "Choose 4 bits and one scale a tensor, for this layer. How many of the levels do 32 typical "
    "weights get? And what happens if each row, or each 32 weights, have a scale of their own?"
)
ANSWER = (
    "Very few. The largest weight of the matrix sets the scale for all, and typical weights are many times "
    "smaller: they end on two or three levels, most of them on 0. A scale a row, or for 32 neighbours, costs "
    "0.02 to 0.5 bits a weight and gives them most levels back. That is why 4-bit files keep a scale for "
    "every 32 to 128 weights."
)
SOURCES = """
- Jacob et al. 2018, [Quantization and training for integer-arithmetic-only inference][jacob], 2.1: scale
  and zero point.
- Dettmers et al. 2022, [LLM.int8()](https://arxiv.org/abs/2208.07339), 2.1: absmax and zero point; 3:
  outliers.
- Frantar et al. 2022, [GPTQ](https://arxiv.org/abs/2210.17323), 4: groups of 128 and fewer.
- ggml, `ggml-common.h`: Q4_1 and Q8_0.

[jacob]: https://arxiv.org/abs/1712.05877
"""


def choose_scheme(click: Click) -> None:
    """A click on a point chooses its scheme."""
    match click.customdata:
        case [int(bits), str(kind), str(group)]:
            state.set(bits=str(bits), kind=kind, group=group)


def origin(
    side: Side, scheme: QuantScheme, *, layer: bool = True, measured: bool = False, step: int = 1
) -> Provenance:
    """`step`: the picture's numbers were measured on every so many rows."""
    return runtime.provenance_of(
        side.drawing.run,
        "measured" if measured else "computed",
        layer=side.drawing.layer if layer else None,
        weights=scheme_words(scheme),
        **sampled(step),
    )


def schemes(side: Side, scheme: QuantScheme, sides: Sequence[Side]) -> None:
    found = side.errors
    points = [
        SchemePoint(s.bits, s.kind, s.group, float(bits), float(error))
        for s, bits, error in zip(SCHEMES, found.bits, found.total, strict=True)
    ]
    record = quant_schemes_record(
        f"layer {side.drawing.layer}",
        points,
        [BlockPoint(name, *values) for name, values in found.blocks.items()],
        (scheme.bits, scheme.kind, scheme.group),
        [
            error
            for other in sides
            for error in (*other.errors.total, *(e for _, e in other.errors.blocks.values()))
        ],
        whole_of(side),
    )
    live_figure(
        quant_schemes_figure(record),
        key=side.drawing.key_figure("quant-schemes"),
        provenance=origin(side, scheme, step=found.step),
        clickable=side.drawing.clickable,
        on_click=choose_scheme,
    )
    if found.step > 1:
        st.caption(
            f"Layer {side.drawing.layer} has {in_words(sum(found.sizes))} weights in its matrices. To keep "
            f"this quick, errors are measured on every {nth(found.step)} row of each matrix; bits a weight, "
            "and a scale for a whole tensor, come from all rows."
        )


def distributions(side: Side, top: float | None = None) -> DistributionBars | None:
    if side.effect is None:
        return None
    model = runtime.model_for(side.drawing.run)
    record = pair_record(
        runtime.logits_for(side.drawing.run),
        side.effect.logits,
        lambda token_id: token_text(model.token(token_id)),
        ("as loaded", f"{state.get('bits')} bits"),
    )
    return record if top is None else replace(record, top=top)


def next_token(side: Side, record: DistributionBars, scheme: QuantScheme) -> None:
    live_figure(
        distribution_bars_figure(record),
        key=side.drawing.key_figure("quant-next"),
        provenance=origin(side, scheme, layer=state.get("scope") == "layer", measured=True),
    )


def megabytes(n_bytes: int) -> str:
    """Bytes for the screen, in MB of a million bytes; fewer than 100,000 in full."""
    return f"{n_bytes:,} bytes" if n_bytes < 100_000 else three_digits(n_bytes / 1e6, "MB")


def summary(side: Side, record: DistributionBars | None, scheme: QuantScheme) -> None:
    """Bytes, bits, error, KL, and whether the likeliest token stays."""
    if side.effect is None or record is None:
        return
    report, change = side.effect.report, record.change
    what = f"layer {side.drawing.layer}" if state.get("scope") == "layer" else "all layers"
    bits = 8 * report.bytes_after / report.n_weights
    ratio = report.bytes_before / report.bytes_after
    before, after = (plain(f"“{_shown(text)}”") for text in (change.top_text, change.new_top_text))
    stays = f"The likeliest token stays {before}"
    if change.top_text != change.new_top_text:
        stays = f"The likeliest token changes from {before} to {after}"
    st.markdown(
        f"The matrices of **{what}** in {scheme_words(scheme)}: **{megabytes(report.bytes_before)} → "
        f"{megabytes(report.bytes_after)}** ({three_digits(ratio)} times smaller, {three_digits(bits)} bits "
        f"a weight), **{plain(share(report.error))}** off. {stays}; "
        f"KL divergence **{three_digits(change.divergence, 'nats')}**."
    )


def _shown(text: str) -> str:
    """A token inside a sentence: without its leading space, and what else is blank made visible."""
    return visible(text.strip() or text)


def file_words(side: Side) -> None:
    """What must be said where the weights come from a file that is quantized already."""
    drawing = side.drawing
    file = file_of(drawing)
    if file is None:
        return
    tensors = tensors_of(file, drawing.layer if state.get("scope") == "layer" else None)
    if not tensors:
        return
    kinds = " and ".join(sorted({tensor.kind for tensor in tensors.values()}))
    words = (
        f"These weights come from a file that is quantized already: it keeps them as {kinds} in "
        f"{megabytes(bytes_in_file(list(tensors.values())))}, and loading writes them out in "
        f"{drawing.spec().dtype}. "
    )
    found = side.errors
    zero_point = float(found.total[SCHEMES.index(QuantScheme(4, "zero_point", "32"))])
    if "Q4_1" in found.blocks:
        again = found.blocks["Q4_1"][1]
        words += (
            f"Packed as Q4_1 again, layer {drawing.layer} loses "
            f"{'nothing' if again < 1e-7 else plain(share(again))}. 4 bits with a zero point for 32 lose "
            f"{plain(share(zero_point))}, though it too has 16 levels for 32 weights: Q4_1 keeps the least "
            "weight of a block as it is, and a zero point is a whole number of steps, so the levels lie "
            "beside those of the file."
        )
    st.caption(words)


def strips_of(look: CloseLook) -> tuple[GridStrip, GridStrip]:
    def strip(what: str, one: Strip) -> GridStrip:
        return GridStrip(
            what,
            one.row,
            one.start,
            tuple(one.weights.tolist()),
            tuple(one.near.tolist()),
            tuple(one.codes.tolist()),
            one.scale,
            one.zero,
            one.levels,
        )

    return strip("around the largest weight", look.largest), strip("typical weights", look.typical)


def grid(side: Side, scheme: QuantScheme, name: str, look: CloseLook, looks: Sequence[CloseLook]) -> None:
    record = weight_grid_record(name, strips_of(look), [strips_of(other) for other in looks])
    live_figure(
        weight_grid_figure(record),
        key=side.drawing.key_figure("quant-grid"),
        provenance=origin(side, scheme, step=look.step),
    )
    largest, typical = (float(np.abs(strip.weights).max()) for strip in (look.largest, look.typical))
    ratio = f", {three_digits(largest / typical)} times as large" if typical else ""
    where, there = "of the matrix", ""
    if look.step > 1:
        where, there = f"in every {nth(look.step)} row of the matrix", " in those rows"
    st.caption(
        f"Both are from layer {side.drawing.layer}, {plain(name)}; the scales of their axes differ. The "
        f"largest weight is {three_digits(largest)}{ratio} as the largest of the typical strip. Of all "
        f"weights {where} {plain(share(look.to_zero))} become 0. Typical: of all strips of "
        f"{len(look.typical.weights)} weights{there}, the one whose largest weight is the median."
    )


def by_place(side: Side, scheme: QuantScheme, sides: Sequence[Side]) -> None:
    """Error by layer for the whole model, by matrix for one layer; a click chooses it."""
    whole = state.get("scope") == "model"
    row = SCHEMES.index(scheme)

    def values(one: Side) -> list[float]:
        if not whole:
            return [float(error) for error in one.errors.errors[row]]
        return list(one.effect.report.errors_by_layer) if one.effect else []

    mine = values(side)
    if not mine:
        return
    names = side.errors.names
    labels = [f"layer {i}" for i in range(len(mine))] if whole else list(names)
    chosen = side.drawing.layer
    if not whole:
        chosen = names.index(nearest_name("matrix", names, default_matrix(side)))
    others = [error for other in sides for error in values(other)]
    record = quant_errors_record("layer" if whole else "matrix", labels, mine, chosen, others)

    def choose(click: Click) -> None:
        if isinstance(click.point, int) and 0 <= click.point < len(labels):
            state.set(**({"layer": click.point} if whole else {"matrix": labels[click.point]}))

    live_figure(
        quant_errors_figure(record),
        key=side.drawing.key_figure("quant-places"),
        provenance=origin(side, scheme, layer=not whole, step=1 if whole else side.errors.step),
        clickable=side.drawing.clickable,
        on_click=choose,
    )


def mathematics(scheme: QuantScheme, name: str, look: CloseLook) -> str:
    """The grid of the typical strip with its numbers, and its first weight."""
    strip = look.typical
    low, high = scheme.levels
    if scheme.kind == "absmax":
        formula = (
            r"$$s = \frac{\max_i |w_i|}{"
            + str(high)
            + r"}, \qquad c_i = \mathrm{round}(w_i / s), \qquad \hat w_i = s\, c_i$$"
        )
    else:
        formula = (
            r"$$s = \frac{\max(w, 0) - \min(w, 0)}{"
            + str(high)
            + r"}, \quad z = \mathrm{round}(-\min(w, 0) / s), "
            r"\quad c_i = \mathrm{round}(w_i / s) + z, \quad \hat w_i = s\,(c_i - z)$$"
        )
    w, near, code = float(strip.weights[0]), float(strip.near[0]), int(strip.codes[0])
    zero = f" - {strip.zero:.0f}" if scheme.kind == "zero_point" else ""
    return (
        f"{formula}\n\nCodes go from {low} to {high}, and $s$ is kept as fp16. The first typical weight of "
        f"{plain(name)} (row {strip.row:,}, column {strip.start:,}): $w = {w:.6g}$, $s = {strip.scale:.6g}$, "
        f"$c = {code}$:\n\n$$\\hat w = {strip.scale:.6g} \\cdot ({code}{zero}) = {near:.6g}$$\n\n"
        "Bits a weight: the codes, 16 bits for each scale and 8 for each zero point, divided by the number "
        r"of weights. $$\text{error} = \lVert \hat W - W \rVert / \lVert W \rVert, \qquad "
        r"\mathrm{KL} = \sum_t p_t \ln (p_t / q_t)$$ with $p$ the probabilities as loaded and $q$ those of "
        "the packed model."
    )


def draw(view: View) -> Lesson:
    """Draw the part."""
    controls()
    scheme = scheme_of_controls()
    drawings = drawings_of(view)
    sides = [side for drawing in drawings if (side := side_of(drawing, scheme))]
    if not sides:
        return Lesson(QUESTION, ANSWER, sources=SOURCES)
    records = shared_distributions(sides)
    for place, side, record in zip(st.columns(len(sides)), sides, records, strict=True):
        with column(place, side.drawing):
            summary(side, record, scheme)
            schemes(side, scheme, sides)
            file_words(side)
            alone = len(sides) == 1
            left, right = st.columns(2, gap="medium") if alone else (st.container(), st.container())
            with left:
                if record is not None:
                    next_token(side, record, scheme)
            with right:
                by_place(side, scheme, sides)
    names = matrix_names(sides)
    looks = [look_of(side, scheme, name) for side, name in zip(sides, names, strict=True)]
    for place, side, name, look in zip(st.columns(len(sides)), sides, names, looks, strict=True):
        with place:
            grid(side, scheme, name, look, looks)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(scheme, names[0], looks[0]),
        code=lambda: "\n\n".join(map(inspect.getsource, (quantization.quantize, quantization.dequantize))),
        sources=SOURCES,
    )


def shared_distributions(sides: Sequence[Side]) -> list[DistributionBars | None]:
    """The next-token pairs of all runs, on one axis."""
    first = [distributions(side) for side in sides]
    top = max((record.top for record in first if record is not None), default=1.0)
    return [distributions(side, top) for side in sides]
