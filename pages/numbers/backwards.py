"""A run taken backwards for the Loss scaling part: who reads, what came out, and shares by kind and scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_runtime.errors import ModelTooLarge
from model_runtime.numbers import gradients
from model_runtime.numbers.gradients import GradientReport, GradientSizes
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.sides import Drawing
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from viz.numbers.gradient_sizes import Finding

SMALL = "gpt2-mini"  # reads the prompt where the run's own model is too large
KINDS = ("weight", "stream", "logit")
SCALES = tuple(range(25))  # k on the slider


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side: which run was taken backwards, over how many of how many tokens, and what came out."""

    drawing: Drawing
    run: Run
    n_all: int
    report: GradientReport | None  # None: a single token

    @property
    def stands_in(self) -> bool:
        return self.run.model != self.drawing.run.model

    def spec(self) -> Any:
        return runtime.model_for(self.run).spec

    def origin(self, **extra: object) -> Provenance:
        cut = {"tokens": f"the first {gradients.MOST_TOKENS}"} if self.n_all > gradients.MOST_TOKENS else {}
        return runtime.provenance_of(self.run, **cut, **extra)

    def kinds(self) -> tuple[tuple[GradientSizes, slice], ...]:
        """Where each kind of `KINDS` lies: which sizes, which of their groups."""
        assert self.report is not None
        last = len(self.report.stream.names) - 1
        return (
            (self.report.weights, slice(None)),
            (self.report.stream, slice(0, last)),
            (self.report.stream, slice(last, None)),
        )


def reader_of(run: Run) -> Run:
    """The run that is taken backwards: this one in fp32 without its edits, or the small model on its prompt.

    Raises:
        ModelTooLarge: the run's model is too large, and the small one is not installed.
    """
    from model_runtime.loading.catalogue import row_of

    read = replace(run, edits=())
    if runtime.model_for(read).spec.n_params > gradients.MOST_WEIGHTS:
        if row_of(SMALL) is None:
            raise ModelTooLarge(
                f"A backward pass is made of at most {gradients.MOST_WEIGHTS:,} parameters.",
                "Choose a smaller model.",
            )
        read = replace(read, model=SMALL, dtype="auto")
    return runtime.in_dtype(read, "float32")


def side_of(drawing: Drawing) -> Side:
    """Take the model backwards over the prompt: once for all visitors, a turn a pass."""
    run = reader_of(drawing.run)
    model = runtime.model_for(run)
    ids = tuple(model.tokens.encode(run.prompt))
    read = ids[: min(gradients.MOST_TOKENS, model.spec.n_ctx)]

    def measure() -> GradientReport:
        return gradients.loss_gradients(model, read, turn=runtime.turns().take)

    report = None
    if len(read) > 1:
        words = f"Running {model.spec.name} backwards over the prompt"
        report = runtime.computed(run, ("gradients", read), measure, words=words, slow=True)
    return Side(drawing, run, len(ids), report)


def shares_of(sizes: GradientSizes, groups: slice, counts: np.ndarray) -> np.ndarray:
    """Of a kind's gradients that are not 0 in fp32: float64 [k], or [pass]; `counts` [group, ...]."""
    present = max(1, int(sizes.present[groups].sum()))
    total: np.ndarray = counts[groups].sum(0) / present
    return total


def findings_of(side: Side, k: int, batch: int) -> tuple[Finding, ...]:
    found = []
    for name, (sizes, groups) in zip(KINDS, side.kinds(), strict=True):
        vanishing = shares_of(sizes, groups, sizes.vanishing)
        infinite = shares_of(sizes, groups, sizes.infinite)
        before, at = sizes.scales.index(-batch), sizes.scales.index(k - batch)
        found.append(Finding(name, float(vanishing[before]), float(vanishing[at]), float(infinite[at])))
    return tuple(found)


def counts_of(side: Side) -> list[np.ndarray]:
    return [sizes.counts[groups].sum(0) for sizes, groups in side.kinds()]


def curves(side: Side, batch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Shares that vanish and that become infinite, by kind, float64 [k] over `SCALES`."""
    found = []
    for counts in ("vanishing", "infinite"):
        rows = []
        for sizes, groups in side.kinds():
            at = [sizes.scales.index(k - batch) for k in SCALES]
            rows.append(shares_of(sizes, groups, getattr(sizes, counts))[at])
        found.append(rows)
    return found[0], found[1]


def passes_of(side: Side, batch: int) -> tuple[list[int], list[int]]:
    """Real passes on the slider: their places in the report, and their k."""
    assert side.report is not None
    at = [i for i, e in enumerate(side.report.fp16.scales) if e + batch in SCALES]
    return at, [side.report.fp16.scales[i] + batch for i in at]


def layer_shares(side: Side, batch: int) -> np.ndarray:
    """Share that vanishes, float64 [row, k]: groups of the weights, then of the stream."""
    assert side.report is not None
    rows = []
    for sizes in (side.report.weights, side.report.stream):
        at = [sizes.scales.index(k - batch) for k in SCALES]
        rows.append(sizes.vanishing[:, at] / np.maximum(sizes.present, 1)[:, None])
    return np.concatenate(rows)


def errors_of(side: Side, batch: int) -> list[float]:
    assert side.report is not None
    return [float(side.report.fp16.error[i]) for i in passes_of(side, batch)[0]]


def bf16_error(side: Side) -> float:
    """Relative error of the weights' gradient in bf16, without a scale."""
    assert side.report is not None
    return float(side.report.bf16.error[side.report.bf16.scales.index(0)])
