"""Loss scaling: gradients of a real backward pass on the prompt, against fp16's range, scaled by 2^k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.capture.hooks import let_go
from model_runtime.errors import ModelTooLarge
from model_runtime.loading.catalogue import row_of
from model_runtime.numbers import gradients
from model_runtime.numbers.gradients import GradientReport, backward, fp16_limits, loss_scaling, twin_of
from model_runtime.records.numbers import LossScaling
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.run import runtime
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from viz.equations import tex, worked
from viz.numbers.gradient_fates import (
    gradient_errors_figure,
    gradient_errors_record,
    gradient_fates_figure,
    gradient_fates_record,
)
from viz.numbers.gradient_layers import gradient_layers_figure, gradient_layers_record
from viz.numbers.gradient_sizes import (
    findings_of,
    gradient_histogram_figure,
    gradient_histogram_record,
    power,
)
from viz.style import share, shares, three_digits

SMALL = "gpt2-mini"  # reads the prompt where the run's own model is too large
SCALES = tuple(range(25))  # k on the slider
BATCHES = {"0": "1", "4": "16", "8": "256", "12": "4,096", "16": "65,536"}  # log2 -> prompts


@dataclass(frozen=True, eq=False)
class Backwards:
    """A run taken backwards: who read, how many tokens there are to read, and what came out."""

    side: Side
    run: PageRun
    n_all: int
    report: GradientReport | None  # None: a single token

    def origin(self, k: int, batch: int) -> Provenance:
        extra: dict[str, Any] = {"scale of the loss": power(k), "prompts in the batch": f"{2**batch:,}"}
        if self.n_all > gradients.MOST_TOKENS:
            extra = {"tokens": f"the first {gradients.MOST_TOKENS}", **extra}
        return self.run.origin(**extra)


def reader_of(run: PageRun) -> PageRun:
    """The run that is taken backwards: this one in fp32 without its edits, or the small model on its prompt.

    Raises:
        ModelTooLarge: the run's model is too large, and the small one is not installed.
    """
    read = run.changed(edits=())
    if run.spec.n_params > gradients.MOST_WEIGHTS:
        if row_of(SMALL) is None:
            raise ModelTooLarge(
                f"A backward pass is made of at most {gradients.MOST_WEIGHTS:,} parameters.",
                "Choose a smaller model.",
            )
        read = read.changed(model=SMALL, dtype="auto")
    return read.in_dtype("float32")


def backwards_of(side: Side) -> Backwards:
    """Take the model backwards over the prompt: once for all visitors, a turn a pass."""
    run = reader_of(side.run)
    ids = tuple(run.model.tokens.encode(run.settings.prompt))  # as many as there are: it is cut here
    read = ids[: min(gradients.MOST_TOKENS, run.spec.n_ctx)]
    words = f"Running {run.spec.name} backwards over the prompt"
    if len(read) < 2:
        return Backwards(side, run, len(ids), None)
    seconds = 3 * len(gradients.PASSES) * runtime.forward_seconds(run.spec, len(read))  # back costs twice
    report = run.measure(gradients.loss_gradients, words, slow=True, seconds=seconds, ids=read)
    return Backwards(side, run, len(ids), report)


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


def who_reads(found: Backwards) -> None:
    """Which model was taken backwards, and over what."""
    report, own = found.report, found.side.spec
    name = f"**{plain(found.run.spec.name)}**"
    if found.run.settings.model != found.side.run.settings.model:
        st.info(
            f"{plain(own.name)} has {own.n_params:,} parameters. A backward pass of it would take too long "
            f"for a page, so the bundled {name} ({found.run.spec.n_params:,} parameters) reads the prompt "
            "here, with its own tokenizer."
        )
    if report is None:
        st.info(
            f"The prompt is a single token for {name}, so there is no next token to learn from. Type one "
            "more word."
        )
        return
    cut = f", the first of {found.n_all:,}" if found.n_all > report.n_tokens else ""
    edits = " The run's edits are left out here." if found.side.run.interventions else ""
    st.markdown(
        f"{name} read {counted(report.n_tokens, 'token')}{cut}. Its loss, the mean surprise at each next "
        f"token, is {three_digits(report.loss)} nats. One backward pass gave "
        f"{int(report.weights.sizes.sum()):,} gradients of weights.{edits}"
    )


def sentences(scaling: LossScaling, k: int) -> None:
    """The numbers at the chosen scale."""
    found, passes = findings_of(scaling, k), scaling.passes
    gone = shares(*(f.vanishing for f in found))
    each = ", ".join(f"{words} of the {f.name} gradients" for words, f in zip(gone, found, strict=True))
    large = max(found, key=lambda f: f.infinite)
    over = f"{share(large.infinite)} of the {large.name} gradients" if large.infinite else "none"
    whole = [p for p, broken in zip(passes, scaling.broken[0], strict=True) if not broken]
    best = (
        f"Of the passes made, {power(max(whole))} is the largest scale whose gradient stays finite."
        if whole
        else "None of the passes made stays finite."
    )
    near = scaling.nearest_pass(k)
    error = float(scaling.error[near])
    off = "holds infinities or NaN" if np.isnan(error) else f"is off by {share(error)}"
    st.markdown(
        f"With a scale of {power(k)}, fp16 turns {plain(each)} into 0, and makes {plain(over)} infinite. "
        "The real pass with "
        f"{power(passes[near])} {plain(off)}. {best} In bf16, without any scale, the gradient is off by "
        f"{plain(share(scaling.bf16))}."
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


def mathematics(report: GradientReport, k: int, batch: int) -> str:
    e = k - batch
    largest = float(report.weights.largest.max())
    prompts = "" if not batch else f"/{2**batch:,}".replace(",", "{,}")
    limits = fp16_limits(e)
    grown = worked(largest * 2.0**e, lambda gradient: gradient * 2.0**e, largest)
    return (
        r"$$L = -\frac{1}{n-1}\sum_{t=1}^{n-1} \ln p(x_{t+1} \mid x_{\le t}), \qquad "
        r"\frac{\partial\,(sL)}{\partial w} = s\,\frac{\partial L}{\partial w}, \qquad "
        r"w \leftarrow w - \eta\,\frac{1}{s}\,\frac{\partial\,(sL)}{\partial w}$$"
        "\n\nThe chain rule is linear: each step backwards multiplies what comes in, so a factor at the loss "
        "comes out at every gradient, and a power of two costs no digit. "
        f"Here $n = {report.n_tokens}$, $L = {tex(report.loss)}$ nats, $s = 2^{{{k}}}{prompts}$: the largest "
        f"gradient of a weight, {grown.operand(largest)}, becomes {three_digits(largest * 2.0**e)}.\n\n"
        r"$$|g| \le 2^{-25}/s \to 0, \qquad |g| < (2^{-14} - 2^{-25})/s \to \text{subnormal}, \qquad "
        r"|g| \ge 65{,}520/s \to \infty$$"
        f"\n\nWith this $s$ the limits are {three_digits(2.0 ** (-25 - e))}, {three_digits(limits[1])} and "
        f"{three_digits(limits[2])}. A tie goes to the neighbour whose last bit is 0: {power(-25)} to 0, "
        "65,520 to infinity."
    )


def figures(found: Backwards, scaling: LossScaling, others: Sequence[LossScaling], k: int) -> None:
    """All four, on the axes of all runs, and the numbers behind the first."""
    key, origin = found.side.key_figure, found.origin(k, scaling.batch)
    sizes = gradient_histogram_figure(gradient_histogram_record(scaling, k, *others))
    live_figure(sizes, key=key("gradient-sizes"), provenance=origin)
    sentences(scaling, k)
    fates = gradient_fates_figure(gradient_fates_record(scaling, k, *others))
    live_figure(fates, key=key("gradient-fates"), provenance=origin)
    layers = gradient_layers_figure(gradient_layers_record(scaling, k, *others))
    live_figure(layers, key=key("gradient-layers"), provenance=origin)
    errors = gradient_errors_figure(gradient_errors_record(scaling, k, *others))
    live_figure(errors, key=key("gradient-errors"), provenance=origin)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    k, batch = controls()
    found = [backwards_of(side) for side in sides]
    scalings = {one: loss_scaling(one.report, SCALES, batch) for one in found if one.report is not None}
    for place, one in zip(places(sides), found, strict=True):
        with column(place, one.side):
            who_reads(one)
            if one in scalings:
                figures(one, scalings[one], tuple(scalings.values()), k)
    story(one.run.spec.device for one in found)
    reports = [one.report for one in found if one.report is not None]
    maths = partial(mathematics, reports[0], k, batch) if reports else ""
    return Lesson(mathematics=maths, code=(twin_of, backward, let_go, fp16_limits))
