"""The numbers of the whole-model part: a run's forwards in every format, with the gain among its edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_runtime.interventions import ScaleMLP
from model_runtime.numbers.formats import FORMATS
from model_runtime.numbers.precision_texts import PrecisionTexts, compare_texts
from model_runtime.numbers.precisions import COMPARED, STREAM, PrecisionReport, compare_precisions
from pages.shared.frame.sides import Drawing
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state

N_TOKENS = 24
DTYPES = tuple(str(FORMATS[key].torch_dtype) for key in COMPARED)
POWERS = range(17)  # of two, for the gain


@dataclass(frozen=True, eq=False)
class Side:
    """A run, the edit that swells it (none at gain 1), and its numbers in every format."""

    drawing: Drawing
    run: Run  # the gain among its edits
    layer: int  # whose MLP is amplified
    calm: PrecisionReport  # without the gain
    report: PrecisionReport

    @property
    def exact(self) -> Run:
        """The run in float32."""
        return runtime.in_dtype(self.run, "float32")

    @property
    def largest(self) -> dict[str, np.ndarray]:
        return {reading.key: reading.largest[STREAM] for reading in self.report.readings}

    def errors(self, column: int) -> dict[str, np.ndarray]:
        return {reading.key: reading.error[:, column] for reading in self.report.readings[1:]}


def model_of(run: Run) -> Callable[[str], Any]:
    """The run's model in a dtype, from the shelf.

    Which run that is is settled now: to ask later could load a model anew that has made room for another.
    """
    runs = {dtype: runtime.in_dtype(run, dtype) for dtype in DTYPES}
    return lambda dtype: runtime.model_for(runs[dtype])


def report_of(run: Run) -> PrecisionReport:
    """The three forwards, made once for all visitors; no trace of them is kept."""
    model = model_of(run)
    return runtime.computed(
        runtime.in_dtype(run, "float32"),
        ("precisions", run.prompt, run.edits),
        lambda: compare_precisions(model, run.prompt, run.edits, turn=runtime.turns().take),
        words="Running the model in fp32, bf16 and fp16",
        slow=True,
    )


def side_of(drawing: Drawing) -> Side:
    run = drawing.run
    calm = report_of(run)
    layer = drawing.layer if state.get("swell_at") == "selected" else largest_layer(calm)
    power = state.get("swell")
    if power:
        run = replace(run, edits=(*run.edits, ScaleMLP(layer, 2.0**power)))
    return Side(drawing, run, layer, calm, report_of(run) if power else calm)


def largest_layer(report: PrecisionReport) -> int:
    """The layer whose MLP adds the largest number to the stream, in fp32."""
    sizes = added(report)
    return 0 if sizes is None or np.isnan(sizes).all() else int(np.nanargmax(sizes))


def added(report: PrecisionReport) -> np.ndarray | None:
    """Largest number that each layer's MLP adds, float64 [layer]; None where the model does not show it."""
    return report.readings[0].largest.get("mlp_out")


def _texts_name(run: Run) -> tuple[Any, ...]:
    return "precision texts", run.prompt, run.edits, N_TOKENS


def known_texts(run: Run) -> PrecisionTexts | None:
    """The texts of `texts_of` if somebody has asked for them; never waits."""
    found: PrecisionTexts | None = runtime.known(runtime.in_dtype(run, "float32"), _texts_name(run))
    return found


def texts_of(run: Run) -> PrecisionTexts:
    """The likeliest continuation in each format, written once for all visitors."""
    model = model_of(run)
    return runtime.computed(
        runtime.in_dtype(run, "float32"),
        _texts_name(run),
        lambda: compare_texts(model, run.prompt, N_TOKENS, run.edits, turn=runtime.turns().take),
        words=f"Writing {N_TOKENS} tokens in each format",
        slow=True,
    )
