"""Two trainings side by side, with the balancing loss and without it: recorded by our own training script.

The record lies beside the bundled model (`assets/models/mixtral-mini/collapse.json`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model_runtime.errors import GlassformerError
from model_runtime.loading.catalogue import BUNDLED

RECORD = BUNDLED / "mixtral-mini" / "collapse.json"


class RecordMissing(GlassformerError):
    """The recording is not there, or cannot be read."""


@dataclass(frozen=True, eq=False)
class Training:
    """One training as it was recorded.

    share: of the routed slots of held-out text that each expert got, float64 [step, layer, expert], each
    layer sums to 1. loss: on the same text, in nats a token, float64 [step].
    """

    share: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True, eq=False)
class Collapse:
    """Both trainings, at the same steps and on the same text."""

    description: str
    note: str  # about the text
    steps: tuple[int, ...]
    with_loss: Training
    without_loss: Training

    @property
    def n_layers(self) -> int:
        return int(self.with_loss.share.shape[1])


def read_collapse(file: Path = RECORD) -> Collapse:
    """The bundled recording.

    Raises:
        RecordMissing: there is none, or it is not what it should be.
    """
    if not file.is_file():
        raise RecordMissing(
            "The recording of a router trained without the balancing loss is not here.",
            "It comes with the bundled model, in assets/models/mixtral-mini; `make train-minis` makes it.",
        )
    try:
        return _read(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordMissing(
            f"The recording in {file.name} cannot be read: {error}.", "`make train-minis` makes it anew."
        ) from error


def _read(written: dict[str, Any]) -> Collapse:
    steps = tuple(int(step) for step in written["steps"])
    runs = []
    for name in ("with_loss", "without_loss"):
        share = np.array(written[name]["share"], dtype=np.float64)
        loss = np.array(written[name]["loss"], dtype=np.float64)
        if share.ndim != 3 or len(share) != len(steps) or loss.shape != (len(steps),) or not steps:
            raise ValueError(f"{name} has shares {share.shape} and losses {loss.shape} at {len(steps)} steps")
        if not np.allclose(share.sum(axis=-1), 1.0, atol=1e-3):
            raise ValueError(f"the shares of {name} do not sum to 1")
        runs.append(Training(share, loss))
    if runs[0].share.shape != runs[1].share.shape:
        raise ValueError("the two trainings have different shapes")
    return Collapse(str(written["description"]), str(written.get("domains_note", "")), steps, *runs)
