"""How an edit moved the next-token distribution, in numbers and in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model_runtime.records.distributions import kl, log_softmax, softmax, total_variation
from viz import style


@dataclass(frozen=True)
class DistributionChange:
    """From one distribution over the vocabulary to another."""

    top_text: str  # the likeliest token before
    top_before: float
    top_after: float
    new_top_text: str  # the likeliest token after
    new_top_after: float
    divergence: float  # KL(before || after) in nats (Kullback and Leibler 1951)
    moved: float  # probability that changed places: half the sum of absolute differences, 0 to 1

    @property
    def keeps_top(self) -> bool:
        """Whether the likeliest token stays."""
        return self.top_text == self.new_top_text


def distribution_change_record(
    before: np.ndarray,  # logits [d_vocab]
    after: np.ndarray,
    text_of: Callable[[int], str],
) -> DistributionChange:
    """Two rows of logits over one vocabulary -> what changed. (Logits must be finite.)"""
    p, q = softmax(before), softmax(after)
    top, new_top = int(p.argmax()), int(q.argmax())
    return DistributionChange(
        top_text=text_of(top),
        top_before=float(p[top]),
        top_after=float(q[top]),
        new_top_text=text_of(new_top),
        new_top_after=float(q[new_top]),
        divergence=kl(log_softmax(before), log_softmax(after)),
        moved=total_variation(p, q),
    )


def change_sentence(change: DistributionChange) -> str:
    """The change in one line of plain text, token text visible but not escaped."""
    top = f"“{style.shorten(style.visible(change.top_text))}”"
    said = f"{top} goes from {style.share(change.top_before)} to {style.share(change.top_after)}"
    if change.new_top_text != change.top_text:
        new = f"“{style.shorten(style.visible(change.new_top_text))}”"
        said += f" and {new} becomes the likeliest ({style.share(change.new_top_after)})"
    return (
        f"{said}; {style.share(change.moved)} of the probability moves from some tokens to others "
        f"(KL divergence {style.three_digits(change.divergence, 'nats')})."
    )
