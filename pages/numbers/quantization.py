"""Quantization: the model's own weights in 8 or 4 bits, and what the model says then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from model_runtime.numbers import quantization
from model_runtime.numbers.gguf_blocks import gguf_file_of, tensors_of
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.numbers.quantization_effects import SCHEMES
from model_runtime.records.weights import CloseLook
from pages.numbers.packing import (
    Quantized,
    choose_matrix,
    controls,
    one_layer,
    quantized_of,
    scheme_words,
)
from pages.shared.escape import nth, plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.distribution_bars import DistributionBars, distribution_bars_figure, pair_record
from viz.equations import tex, worked
from viz.numbers.quant_errors import quant_errors_figure, quant_errors_record
from viz.numbers.quant_schemes import BlockPoint, SchemePoint, quant_schemes_figure, quant_schemes_record
from viz.numbers.weight_grid import weight_grid_figure, weight_grid_record
from viz.style import in_words, share, three_digits, visible


def choose_scheme(click: Click) -> None:
    """A click on a point chooses its scheme."""
    match click.customdata:
        case [int(bits), str(kind), str(group)]:
            state.set(bits=str(bits), kind=kind, group=group)


def schemes(mine: Quantized, everyone: Sequence[Quantized]) -> None:
    found, scheme, side = mine.errors, mine.scheme, mine.side
    points = [
        SchemePoint(s.bits, s.kind, s.group, float(bits), float(error))
        for s, bits, error in zip(SCHEMES, found.bits, found.total, strict=True)
    ]
    record = quant_schemes_record(
        f"layer {side.layer}",
        points,
        [BlockPoint(name, *values) for name, values in found.blocks.items()],
        (scheme.bits, scheme.kind, scheme.group),
        [
            error
            for other in everyone
            for error in (*other.errors.total, *(e for _, e in other.errors.blocks.values()))
        ],
        mine.whole,
    )
    live_figure(
        quant_schemes_figure(record),
        key=side.key_figure("quant-schemes"),
        provenance=mine.origin(step=found.step),
        clickable=side.clickable,
        on_click=choose_scheme,
    )
    if found.step > 1:
        st.caption(
            f"Layer {side.layer} has {in_words(sum(found.sizes))} weights in its matrices. To keep "
            f"this quick, errors are measured on every {nth(found.step)} row of each matrix; bits a weight, "
            "and a scale for a whole tensor, come from all rows."
        )


def distributions(everyone: Sequence[Quantized]) -> list[DistributionBars | None]:
    """The next-token pairs of all runs, on one axis."""
    found = [
        None
        if one.effect is None
        else pair_record(
            one.side.run.logits,
            one.effect.logits,
            one.side.run.text_of,
            ("as loaded", f"{one.scheme.bits} bits"),
        )
        for one in everyone
    ]
    top = max((record.top for record in found if record is not None), default=1.0)
    return [None if record is None else replace(record, top=top) for record in found]


def next_token(mine: Quantized, record: DistributionBars) -> None:
    live_figure(
        distribution_bars_figure(record),
        key=mine.side.key_figure("quant-next"),
        provenance=mine.origin(layer=one_layer(), measured=True),
    )


def megabytes(n_bytes: int) -> str:
    """Bytes for the screen, in MB of a million bytes; fewer than 100,000 in full."""
    return f"{n_bytes:,} bytes" if n_bytes < 100_000 else three_digits(n_bytes / 1e6, "MB")


def summary(mine: Quantized, record: DistributionBars | None) -> None:
    """Bytes, bits, error, KL, and whether the likeliest token stays."""
    if mine.effect is None or record is None:
        return
    report, change = mine.effect.report, record.change
    what = f"layer {mine.side.layer}" if one_layer() else "all layers"
    smaller, bits = (three_digits(n) for n in (report.bytes_before / report.bytes_after, report.bits))
    before, after = (plain(f"“{_shown(text)}”") for text in (change.top_text, change.new_top_text))
    stays = f"The likeliest token stays {before}"
    if change.top_text != change.new_top_text:
        stays = f"The likeliest token changes from {before} to {after}"
    st.markdown(
        f"The matrices of **{what}** in {scheme_words(mine.scheme)}: **{megabytes(report.bytes_before)} → "
        f"{megabytes(report.bytes_after)}** ({smaller} times smaller, {bits} bits "
        f"a weight), **{plain(share(report.error))}** off. {stays}; "
        f"KL divergence **{three_digits(change.divergence, 'nats')}**."
    )


def _shown(text: str) -> str:
    """A token inside a sentence: without its leading space, and what else is blank made visible."""
    return visible(text.strip() or text)


def file_words(mine: Quantized) -> None:
    """What must be said where the weights come from a file that is quantized already."""
    side, found = mine.side, mine.errors
    file = gguf_file_of(side.spec.model_id)
    tensors = {} if file is None else tensors_of(file, side.layer if one_layer() else None)
    if not tensors:
        return
    kinds = " and ".join(sorted({tensor.kind for tensor in tensors.values()}))
    n_bytes = sum(tensor.n_bytes for tensor in tensors.values())
    words = (
        f"These weights come from a file that is quantized already: it keeps them as {kinds} in "
        f"{megabytes(n_bytes)}, and loading writes them out in {side.spec.dtype}. "
    )
    zero_point = float(found.total[SCHEMES.index(QuantScheme(4, "zero_point", "32"))])
    if "Q4_1" in found.blocks:
        again = found.blocks["Q4_1"][1]
        words += (
            f"Packed as Q4_1 again, layer {side.layer} loses "
            f"{'nothing' if again < 1e-7 else plain(share(again))}. 4 bits with a zero point for 32 lose "
            f"{plain(share(zero_point))}, though it too has 16 levels for 32 weights: Q4_1 keeps the least "
            "weight of a block as it is, and a zero point is a whole number of steps, so the levels lie "
            "beside those of the file."
        )
    st.caption(words)


def grid(mine: Quantized, look: CloseLook, looks: Sequence[CloseLook]) -> None:
    live_figure(
        weight_grid_figure(weight_grid_record(mine.matrix, look, looks)),
        key=mine.side.key_figure("quant-grid"),
        provenance=mine.origin(step=look.step),
    )
    largest, typical = look.largest.largest, look.typical.largest
    ratio = f", {three_digits(largest / typical)} times as large" if typical else ""
    where, there = "of the matrix", ""
    if look.step > 1:
        where, there = f"in every {nth(look.step)} row of the matrix", " in those rows"
    st.caption(
        f"Both are from layer {mine.side.layer}, {plain(mine.matrix)}; the scales of their axes differ. The "
        f"largest weight is {three_digits(largest)}{ratio} as the largest of the typical strip. Of all "
        f"weights {where} {plain(share(look.to_zero))} become 0. Typical: of all strips of "
        f"{len(look.typical.weights)} weights{there}, the one whose largest weight is the median."
    )


def by_place(mine: Quantized, everyone: Sequence[Quantized]) -> None:
    """Error by layer for the whole model, by matrix for one layer; a click chooses it."""
    side, what = mine.side, "matrix" if one_layer() else "layer"

    def values(one: Quantized) -> list[float]:
        if one_layer():
            return [float(error) for error in one.errors.errors[SCHEMES.index(one.scheme)]]
        return list(one.effect.report.errors_by_layer) if one.effect else []

    errors = values(mine)
    if not errors:
        return
    labels = list(mine.errors.names) if one_layer() else [f"layer {i}" for i in range(len(errors))]
    chosen = labels.index(mine.matrix) if one_layer() else side.layer
    others = [error for other in everyone for error in values(other)]

    def choose(click: Click) -> None:
        if isinstance(click.point, int) and 0 <= click.point < len(labels):
            state.set(**{what: labels[click.point] if what == "matrix" else click.point})

    live_figure(
        quant_errors_figure(quant_errors_record(what, labels, errors, chosen, others)),
        key=side.key_figure("quant-places"),
        provenance=mine.origin(layer=one_layer(), step=mine.errors.step if one_layer() else 1),
        clickable=side.clickable,
        on_click=choose,
    )


def _six_tex(value: float) -> str:
    return tex(value, 6)


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
    steps = code - (round(float(strip.zero)) if scheme.kind == "zero_point" else 0)
    line = worked(near, lambda scale, n: scale * n, float(strip.scale), steps, least=6, words=_six_tex)
    zero = f" - {strip.zero:.0f}" if scheme.kind == "zero_point" else ""
    return (
        f"{formula}\n\nCodes go from {three_digits(low)} to {high}, and $s$ is kept as fp16. The first "
        "typical weight of "
        f"{plain(name)} (row {strip.row:,}, column {strip.start:,}): $w = {_six_tex(w)}$, "
        f"$s = {line.tex(strip.scale)}$, $c = {code}$:\n\n$$\\hat w = {line.tex(strip.scale)} \\cdot "
        f"({code}{zero}) {line.tex_sign} "
        f"{_six_tex(near)}$$\n\n"
        "Bits a weight: the codes, 16 bits for each scale and 8 for each zero point, divided by the number "
        r"of weights. $$\text{error} = \lVert \hat W - W \rVert / \lVert W \rVert, \qquad "
        r"\mathrm{KL} = \sum_t p_t \ln (p_t / q_t)$$ with $p$ the probabilities as loaded and $q$ those of "
        "the packed model."
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    scheme = controls()
    everyone = [one for side in sides if (one := quantized_of(side, scheme))]
    if not everyone:
        return Lesson()
    records = distributions(everyone)
    spots = places([one.side for one in everyone])
    for place, mine, record in zip(spots, everyone, records, strict=True):
        with column(place, mine.side):
            summary(mine, record)
            schemes(mine, everyone)
            file_words(mine)
            alone = len(everyone) == 1
            left, right = st.columns(2, gap="medium") if alone else (st.container(), st.container())
            with left:
                if record is not None:
                    next_token(mine, record)
            with right:
                by_place(mine, everyone)
    choose_matrix(everyone)
    looks = [one.look() for one in everyone]
    spots = places([one.side for one in everyone])
    for place, mine, look in zip(spots, everyone, looks, strict=True):
        with place:
            grid(mine, look, looks)
    code = (quantization.quantize, quantization.in_groups, quantization.in_steps, quantization.dequantize)
    return Lesson(mathematics=partial(mathematics, scheme, everyone[0].matrix, looks[0]), code=code)
