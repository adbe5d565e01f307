"""Loss scaling: gradients of a real backward pass on the prompt, against fp16's range, scaled by 2^k."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

import numpy as np
import streamlit as st

from model_runtime.numbers import gradients
from pages.numbers.backwards import (
    KINDS,
    SCALES,
    Side,
    bf16_error,
    counts_of,
    curves,
    errors_of,
    findings_of,
    layer_shares,
    passes_of,
    shares_of,
    side_of,
)
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column, drawings_of
from pages.shared.settings import url_state as state
from viz.drawn import Drawn
from viz.numbers.gradient_fates import (
    gradient_errors_figure,
    gradient_errors_record,
    gradient_fates_figure,
    gradient_fates_record,
    nearest_pass,
)
from viz.numbers.gradient_layers import gradient_layers_figure, gradient_layers_record
from viz.numbers.gradient_sizes import gradient_histogram_figure, gradient_histogram_record, power
from viz.style import share, shares, three_digits

BATCHES = {"0": "1", "4": "16", "8": "256", "12": "4,096", "16": "65,536"}  # log2 -> prompts
QUESTION = (
    "Choose a batch of 65,536 prompts and a scale of 1. How far will the fp16 gradient be off? Predict, look "
    "at the last figure, then raise the scale until it no longer helps. And with a batch of 1: how far can "
    "you go before the step is lost?"
)
ANSWER = (
    "A mean over 65,536 prompts leaves each prompt 1/65,536 of its gradient, which is sixteen powers of two. "
    "Much of it then lies below the smallest number of fp16: the gradient is no longer merely coarse, it "
    "points elsewhere. A scale of 2¹⁶ undoes exactly this, since both are powers of two and cost no digits. "
    "Beyond that little is won, until the largest gradients reach 65,520 and become infinite. One infinity "
    "is enough: what is multiplied by it backwards becomes infinite or NaN, and the step has to be thrown "
    "away. bf16 needs no scale, as its range is that of fp32; it pays with three bits fewer, so each "
    "rounding is off by eight times as much."
)
SOURCES = """
- Micikevicius et al. 2018, [Mixed precision training](https://arxiv.org/abs/1710.03740), 3.2 and figure 3:
  the activation gradients of a detector (Multibox SSD) against fp16's range.
- Dynamic loss scaling as PyTorch does it: [torch.amp.GradScaler](https://docs.pytorch.org/docs/stable/amp.html)
  starts at 2¹⁶, halves on an infinity and doubles after 2,000 steps without one.
- Kalamkar et al. 2019, [A study of BFLOAT16 for deep learning training](https://arxiv.org/abs/1905.12322):
  training in bf16 without a scale.
"""


def controls() -> tuple[int, int]:
    """The scale's k and the batch's log2."""
    st.select_slider(
        "Scale of the loss",
        SCALES,
        format_func=lambda k: f"{power(k)} = {2**k:,}" if k else "1",
        help="The loss is multiplied by it before the backward pass, and the gradients are divided by it "
        "afterwards.",
        **state.bound("loss_scale"),
    )
    st.segmented_control(
        "Prompts in the batch",
        [*BATCHES],
        format_func=BATCHES.__getitem__,
        required=True,
        help="The loss of a batch is the mean over its prompts, so this prompt's part of every gradient is "
        "divided by their number. For more than one, what is shown is that part.",
        **state.bound("loss_batch"),
    )
    return state.get("loss_scale"), int(state.get("loss_batch"))


def histogram(side: Side, others: Sequence[Side], k: int, batch: int) -> Drawn:
    return gradient_histogram_figure(
        gradient_histogram_record(
            KINDS,
            counts_of(side),
            gradients.LOWEST,
            -batch,
            k,
            findings_of(side, k, batch),
            *(counts_of(other) for other in others),
        )
    )


def fates(side: Side, k: int, batch: int, top: float) -> Drawn:
    assert side.report is not None
    half, (at, passes) = side.report.fp16, passes_of(side, batch)
    vanishing, infinite = curves(side, batch)
    measured, broken = [], []
    tables = (
        (half.weights_vanished, half.weights_broken),
        (half.stream_vanished, half.stream_broken),
        (half.stream_vanished, half.stream_broken),
    )
    for (sizes, groups), (gone, lost) in zip(side.kinds(), tables, strict=True):
        measured.append(shares_of(sizes, groups, gone[at].T))
        broken.append(lost[at].T[groups].sum(0) / max(1, int(sizes.sizes[groups].sum())))
    record = gradient_fates_record(
        KINDS, SCALES, vanishing, infinite, passes, measured, broken, k, findings_of(side, k, batch), top
    )
    return gradient_fates_figure(record)


def layers(side: Side, k: int, batch: int, top: float) -> Drawn:
    assert side.report is not None
    names = side.report.weights.names, side.report.stream.names
    return gradient_layers_figure(gradient_layers_record(*names, SCALES, layer_shares(side, batch), k, top))


def errors(side: Side, others: Sequence[Side], k: int, batch: int) -> Drawn:
    assert side.report is not None
    rows = [[*errors_of(other, batch), bf16_error(other)] for other in others]
    record = gradient_errors_record(
        passes_of(side, batch)[1], errors_of(side, batch), bf16_error(side), k, *rows
    )
    return gradient_errors_figure(record)


def who_reads(side: Side) -> None:
    """Which model was taken backwards, and over what."""
    spec, report = side.spec(), side.report
    name = f"**{plain(spec.name)}**"
    if side.stands_in:
        own = side.drawing.spec()
        st.info(
            f"{plain(own.name)} has {own.n_params:,} parameters. A backward pass of it would take too long "
            f"for a page, so the bundled {name} ({spec.n_params:,} parameters) reads the prompt here, with "
            "its own tokenizer."
        )
    if report is None:
        st.info(
            f"The prompt is a single token for {name}, so there is no next token to learn from. Type one "
            "more word."
        )
        return
    cut = f", the first of {side.n_all:,}" if side.n_all > report.n_tokens else ""
    edits = " The run's edits are left out here." if side.drawing.run.edits else ""
    st.markdown(
        f"{name} read {counted(report.n_tokens, 'token')}{cut}. Its loss, the mean surprise at each next "
        f"token, is {three_digits(report.loss)} nats. One backward pass gave "
        f"{int(report.weights.sizes.sum()):,} gradients of weights.{edits}"
    )


def sentences(side: Side, k: int, batch: int) -> None:
    """The numbers at the chosen scale."""
    assert side.report is not None
    half, (at, passes) = side.report.fp16, passes_of(side, batch)
    found = findings_of(side, k, batch)
    gone = shares(*(f.vanishing for f in found))
    each = ", ".join(f"{words} of the {f.name} gradients" for words, f in zip(gone, found, strict=True))
    large = max(found, key=lambda f: f.infinite)
    over = f"{share(large.infinite)} of the {large.name} gradients" if large.infinite else "none"
    whole = [p for i, p in zip(at, passes, strict=True) if not half.weights_broken[i].sum()]
    best = (
        f"Of the passes made, {power(max(whole))} is the largest scale whose gradient stays finite."
        if whole
        else "None of the passes made stays finite."
    )
    near = nearest_pass(passes, k)
    error = float(half.error[at[near]])
    off = "holds infinities or NaN" if np.isnan(error) else f"is off by {share(error)}"
    st.markdown(
        f"With a scale of {power(k)}, fp16 turns {plain(each)} into 0, and makes {plain(over)} infinite. "
        "The real pass with "
        f"{power(passes[near])} {plain(off)}. {best} In bf16, without any scale, the gradient is off by "
        f"{plain(share(bf16_error(side)))}."
    )


def inside(devices: Iterable[str]) -> str:
    """How a product of fp16 matrices adds up, as far as it is known of a device."""
    kinds = {device.partition(":")[0] for device in devices}
    if kinds <= {"cpu"}:
        return "adds up in fp32 inside and rounds its result to fp16"
    if "cuda" in kinds:
        return (
            "rounds its result to fp16 and adds up in fp32 inside, but on a GPU PyTorch may let parts of a "
            "sum meet in fp16 (allow_fp16_reduced_precision_reduction)"
        )
    return "rounds its result to fp16 (in what it adds up is the device's own choice)"


def story(devices: Iterable[str]) -> None:
    st.markdown(
        "Micikevicius et al. (2018) trained a detector in fp16 and it diverged: many gradients of "
        "activations lay below fp16's range, while much of the range above them stood empty. They multiplied "
        "the loss by 8, three powers of two, and it trained as well as in fp32. **Dynamic loss scaling** "
        "finds the factor by itself: it doubles the scale every so often until a gradient becomes infinite, "
        "then throws that one step away and halves the scale again."
    )
    st.caption(
        "Shares are of the gradients that are not 0 in fp32: rows of the embedding that no token used, and "
        "experts that none asked, have gradient 0 in any format.  \n"
        "Stream: of what enters the first layer and what leaves each layer, at every token. Logit: of the "
        "score of every token in the vocabulary: its probability divided by the number of predictions, less "
        "1 divided by it for the right token. Most tokens are improbable, so these are the smallest.  \n"
        "Lines: the fp32 gradients times the scale, rounded to fp16. Real pass: weights and activations in "
        f"fp16 from the start; a product of matrices {inside(devices)}; the loss itself is computed in fp32. "
        "Error: length of the difference to the fp32 gradient of all weights, after division by the scale, "
        "as a share of its length."
    )


def mathematics(side: Side, k: int, batch: int) -> str:
    assert side.report is not None
    report, e = side.report, k - batch
    largest = float(report.weights.largest.max())
    prompts = "" if not batch else f"/{2**batch:,}".replace(",", "{,}")
    limits = gradients.fp16_limits(e)
    return (
        r"$$L = -\frac{1}{n-1}\sum_{t=1}^{n-1} \ln p(x_{t+1} \mid x_{\le t}), \qquad "
        r"\frac{\partial\,(sL)}{\partial w} = s\,\frac{\partial L}{\partial w}, \qquad "
        r"w \leftarrow w - \eta\,\frac{1}{s}\,\frac{\partial\,(sL)}{\partial w}$$"
        "\n\nThe chain rule is linear: each step backwards multiplies what comes in, so a factor at the loss "
        "comes out at every gradient, and a power of two costs no digit. "
        f"Here $n = {report.n_tokens}$, $L = {report.loss:.3f}$ nats, $s = 2^{{{k}}}{prompts}$: the largest "
        f"gradient of a weight, {three_digits(largest)}, becomes {three_digits(largest * 2.0**e)}.\n\n"
        r"$$|g| \le 2^{-25}/s \to 0, \qquad |g| < (2^{-14} - 2^{-25})/s \to \text{subnormal}, \qquad "
        r"|g| \ge 65{,}520/s \to \infty$$"
        f"\n\nWith this $s$ the limits are {three_digits(2.0 ** (-25 - e))}, {three_digits(limits[1])} and "
        f"{three_digits(limits[2])}. A tie goes to the neighbour whose last bit is 0: {power(-25)} to 0, "
        "65,520 to infinity."
    )


def code() -> str:
    return "\n\n".join(map(inspect.getsource, (gradients.backward, gradients.fp16_limits)))


def draw_side(side: Side, others: Sequence[Side], k: int, batch: int, tops: tuple[float, float]) -> None:
    drawing = side.drawing
    origin = side.origin(**{"scale of the loss": power(k), "prompts in the batch": f"{2**batch:,}"})
    live_figure(
        histogram(side, others, k, batch), key=drawing.key_figure("gradient-sizes"), provenance=origin
    )
    sentences(side, k, batch)
    live_figure(fates(side, k, batch, tops[0]), key=drawing.key_figure("gradient-fates"), provenance=origin)
    live_figure(layers(side, k, batch, tops[1]), key=drawing.key_figure("gradient-layers"), provenance=origin)
    live_figure(errors(side, others, k, batch), key=drawing.key_figure("gradient-errors"), provenance=origin)


def draw(view: View) -> Lesson:
    """Draw the part."""
    k, batch = controls()
    sides = [side_of(drawing) for drawing in drawings_of(view)]
    whole = [side for side in sides if side.report is not None]
    tops = (
        max((float(np.max(curves(side, batch)[0])) for side in whole), default=0.0) or 0.01,
        max((float(layer_shares(side, batch).max()) for side in whole), default=0.0) or 0.01,
    )
    for place, side in zip(st.columns(len(sides)), sides, strict=True):
        with column(place, side.drawing):
            who_reads(side)
            if side.report is not None:
                draw_side(side, whole, k, batch, tops)
    story(side.spec().device for side in sides)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=(lambda: mathematics(whole[0], k, batch)) if whole else "",
        code=code,
        sources=SOURCES,
    )
