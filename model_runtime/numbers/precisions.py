"""One model and one prompt in fp32, bf16 and fp16: how large its numbers get, what is lost, what it says.

    run = open_run(load_model(name), prompt)
    report = compare_precisions(run, model_in=lambda dtype: load_model(name, dtype=dtype))
    report.reading("fp16").error[:, REST]  # by layer

"fp32", "bf16" and "fp16" mean that weights and activations are stored in that format; what a product or a
norm does inside is measured by `inner_precision`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from model_runtime.errors import ModelTooLarge, SamplingError, UnsupportedModel
from model_runtime.limits import MIB
from model_runtime.model import Model
from model_runtime.records.formats import FORMATS
from model_runtime.records.sized import Sized
from model_runtime.run import ModelIn, OpenRun, Turn
from model_runtime.sampling.arithmetic import checked_scores
from model_runtime.steps import part, step
from model_runtime.trace import Trace

COMPARED: tuple[str, ...] = ("fp32", "bf16", "fp16")  # keys of `number_formats.FORMATS`
STREAM = "resid_post"
BRANCHES: tuple[str, ...] = ("attn_out", "mlp_post", "mlp_out")  # in the order of the forward pass
POINTS: tuple[str, ...] = (*BRANCHES, STREAM)
INFINITE, NAN, SUBNORMAL, ZERO, CANCELLED = range(5)  # columns of the counts
ALL, FIRST, REST = range(3)  # columns of the errors
_MOST_BYTES = 512 * MIB  # of float32 values held at a time; a longer prompt is read in several forwards


@dataclass(frozen=True, eq=False)
class FormatReading(Sized):
    """One forward pass in one format.

    A place is a point of the stream: 0 is what enters the first layer, l + 1 what leaves layer l.

    largest: point -> float64 [place] ([layer] for the branches): the largest absolute value; infinite where
        one is, NaN where one is not a number and none infinite, or where the layer has no such point.
    counts: point -> int64 [place or layer, 5]. INFINITE, NAN: such values. Underflow is counted where fp32
        has a number other than 0: SUBNORMAL where the format has one below its smallest normal number (2^-14
        in fp16, 2^-126 in bf16 and fp32), so that digits are lost; ZERO where it has exactly 0. CANCELLED:
        those of ZERO whose fp32 value is no smaller than the smallest normal number: not too small for the
        format, but lost when rounded numbers cancelled.
    sizes: point -> int64 [place or layer]: how many values there are.
    error: float64 [place, 3]: |x - x32| / |x32| of the stream (Euclidean), over ALL tokens, the FIRST (whose
        activations can be thousands of times larger), and the REST; NaN where a value is not finite or there
        is no such token.
    finite_tokens: int64 [place]: tokens whose stream is finite.
    logits: float32 [d_vocab] of the next token.
    """

    key: str  # of FORMATS
    largest: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]
    error: np.ndarray
    finite_tokens: np.ndarray
    logits: np.ndarray

    @cached_property
    def refusal(self) -> str:
        """Why nothing can be drawn from the logits, "" where something can."""
        try:
            checked_scores(self.logits)
        except SamplingError as error:
            return error.what
        return ""

    @property
    def first_broken(self) -> tuple[int, str] | None:
        """(layer, point) where the first infinity or NaN appears, in the order of the forward pass.

        Layer -1 is what enters the first layer. None where all is finite.
        """
        broken = {point: rows[:, : NAN + 1].sum(1) > 0 for point, rows in self.counts.items()}
        for layer in range(-1, len(self.finite_tokens) - 1):
            for point in POINTS:
                row = layer + (point == STREAM)
                if row >= 0 and point in broken and broken[point][row]:
                    return layer, point
        return None

    @property
    def lost(self) -> np.ndarray:
        """Counts of all points together, int64 [place, 5]; the branches of layer l are at place l + 1."""
        return _all_points(self.counts)

    @property
    def looked_at(self) -> np.ndarray:
        """How many values `lost` is a count of, int64 [place]."""
        return _all_points(self.sizes)


def _all_points(table: dict[str, np.ndarray]) -> np.ndarray:
    total = table[STREAM].copy()
    for point in BRANCHES:
        if point in table:
            total[1:] += table[point]
    return total


@dataclass(frozen=True, eq=False)
class PrecisionReport(Sized):
    """One prompt in several formats; `readings` begin with fp32.

    missing: format -> why the model does not run in it here, in words.
    """

    n_tokens: int
    n_layers: int
    readings: tuple[FormatReading, ...]
    missing: dict[str, str]

    @property
    def added(self) -> np.ndarray | None:
        """Largest number that each layer's MLP adds in fp32, float64 [layer]; None where it is not seen."""
        return self.readings[0].largest.get("mlp_out")

    @property
    def largest_adder(self) -> int:
        """The layer whose MLP adds the largest number to the stream, in fp32; 0 where none is seen."""
        sizes = self.added
        return 0 if sizes is None or np.isnan(sizes).all() else int(np.nanargmax(sizes))

    def errors(self, column: int) -> dict[str, np.ndarray]:
        """Errors of the stream by narrow format, float64 [place]; `column` is ALL, FIRST or REST."""
        return {reading.key: reading.error[:, column] for reading in self.readings[1:]}

    def reading(self, key: str) -> FormatReading:
        """One format's.

        Raises:
            KeyError: the model does not run in it; `missing` says why.
        """
        return {reading.key: reading for reading in self.readings}[key]


def compare_precisions(run: OpenRun, *, model_in: ModelIn, turn: Turn = nullcontext) -> PrecisionReport:
    """Run the model over the prompt in each format and hold the values against fp32's, layer by layer.

    The edits are made by each format's own arithmetic, for these forwards only; no trace is kept.

    Args:
        model_in: called once for each dtype; may load the model. At most two of its models are held at a
            time, and one where all layers fit into one forward's memory.
        turn: entered around each forward, so that others get theirs in between.

    Raises:
        PromptError, InterventionError: as `Model.trace`.
        ModelTooLarge: there is not enough memory for the model in one of the formats.
        GlassformerError: the model cannot be had in float32.
    """
    model = model_in(str(FORMATS["fp32"].torch_dtype))
    ids = run.ids
    n_layers, groups = model.spec.n_layers, _groups(model, len(ids))
    points = [point for point in POINTS if None in model.reasons[point]]
    readings = {key: _empty(key, model, points) for key in COMPARED}

    # With several groups the reference is not kept: it is read again beside each narrow format.
    passes, n_passes = iter(range(1_000_000)), len(COMPARED) if len(groups) == 1 else 4 * len(groups)

    def trace(model: Model, layers: range) -> Trace:
        asked = ["resid_pre", *points] if layers.start == 0 else points
        with turn(), part(min(next(passes), n_passes - 1), n_passes):
            return model.trace(ids, points=asked, layers=layers, interventions=run.interventions)

    exact = _Reference(model, trace, groups, readings["fp32"])
    del model  # the reference lets it go as soon as it can
    missing: dict[str, str] = {}

    def read(reading: FormatReading) -> None:
        other = model_in(str(FORMATS[reading.key].torch_dtype))  # let go before the next one is loaded
        for layers in groups:
            reference = exact.of(layers)
            _fill(reading, trace(other, layers), reference)

    for key in COMPARED[1:]:
        with narrow(key, missing):
            read(readings[key])
    exact.complete()
    found = tuple(reading for key, reading in readings.items() if key not in missing)
    return PrecisionReport(len(ids), n_layers, found, missing)


class _Reference:
    """The forwards in fp32: each counted once; kept where one holds all layers, run again where not."""

    def __init__(
        self,
        model: Model,
        trace: Callable[[Model, range], Trace],
        groups: list[range],
        reading: FormatReading,
    ) -> None:
        self.model: Model | None = model
        self.trace, self.reading, self.uncounted = trace, reading, list(groups)
        self.kept: Trace | None = None
        if len(groups) == 1:
            self.kept, self.model = self.of(groups[0]), None

    def of(self, layers: range) -> Trace:
        if self.kept is not None:
            return self.kept
        assert self.model is not None
        found = self.trace(self.model, layers)
        if layers in self.uncounted:
            _fill(self.reading, found, found)
            self.uncounted.remove(layers)
        return found

    def complete(self) -> None:
        """Count what no narrow format has asked for."""
        for layers in tuple(self.uncounted):
            self.of(layers)


@contextmanager
def narrow(key: str, missing: dict[str, str]) -> Iterator[None]:
    """Around the work in one narrow format: notes in `missing` that the machine does not compute in it.

    Raises:
        ModelTooLarge: the memory does not suffice, now; anything else is raised as it is.
    """
    try:
        yield
    except UnsupportedModel as error:
        missing[key] = str(error)
    except (RuntimeError, MemoryError) as error:
        words = str(error)
        if "not implemented for" in words:
            missing[key] = words.strip().splitlines()[0]
        elif isinstance(error, MemoryError | torch.OutOfMemoryError) or "ried to allocate" in words:
            raise ModelTooLarge(
                f"There is not enough memory to run the model in {key} beside what is loaded.",
                "Choose a smaller model or a shorter prompt, or try again later.",
            ) from error
        else:
            raise


def _groups(model: Model, n_tokens: int) -> list[range]:
    """Layers to keep at a time, so that the float32 values of one group stay within `_MOST_BYTES`."""
    spec = model.spec
    bytes_per_layer = 4 * n_tokens * (3 * spec.d_model + spec.d_mlp)
    size = max(1, _MOST_BYTES // bytes_per_layer)
    return [range(start, min(start + size, spec.n_layers)) for start in range(0, spec.n_layers, size)]


def _empty(key: str, model: Model, points: list[str]) -> FormatReading:
    """A reading to be filled layer by layer."""
    n = model.spec.n_layers
    rows = {point: n + (point == STREAM) for point in points}
    return FormatReading(
        key,
        largest={point: np.full(k, np.nan) for point, k in rows.items()},
        counts={point: np.zeros((k, 5), dtype=np.int64) for point, k in rows.items()},
        sizes={point: np.zeros(k, dtype=np.int64) for point, k in rows.items()},
        error=np.full((n + 1, 3), np.nan),
        finite_tokens=np.zeros(n + 1, dtype=np.int64),
        logits=np.zeros(model.spec.d_vocab, dtype=np.float32),
    )


def _fill(reading: FormatReading, trace: Trace, reference: Trace) -> None:
    """The layers of one forward, against the same layers in fp32."""
    reading.logits[:] = trace.next_token_logits()
    least = float(FORMATS[reading.key].smallest_normal)
    asked = [(point, layer) for layer in trace.layers for point in reading.counts]
    for point, layer in [("resid_pre", 0)] * (0 in trace.layers) + asked:
        if trace.reasons[point][layer] is not None:
            continue
        step()
        values, exact = trace.get(point, layer), reference.get(point, layer)
        row, kind = layer + (point == STREAM), STREAM if point == "resid_pre" else point
        reading.largest[kind][row] = largest_value(values)
        reading.counts[kind][row] = count_lost(values, exact, least)
        reading.sizes[kind][row] = values.size
        if kind == STREAM:
            reading.finite_tokens[row] = np.isfinite(values).all(1).sum()
            reading.error[row] = stream_errors(values, exact)


def largest_value(values: np.ndarray) -> float:
    """Largest absolute value; infinite where one is, else NaN where one is not a number."""
    largest = float(np.abs(values).max())
    return np.inf if np.isnan(largest) and np.isinf(values).any() else largest


def count_lost(values: np.ndarray, exact: np.ndarray, least: float) -> tuple[int, int, int, int, int]:
    """The five counts of `FormatReading.counts`.

    Args:
        values, exact: float32, the same shape: in the format, and in fp32.
        least: the format's smallest normal number.
    """
    sizes = np.abs(values)
    small = np.flatnonzero(sizes < least)  # few: the other tests look at these only
    meant = np.abs(exact.flat[small])
    zero, there = sizes.flat[small] == 0, meant != 0
    lost = zero & there
    bad = 0 if np.isfinite(sizes.max()) else int(np.isnan(values).sum())
    infinite = int(np.isinf(values).sum()) if bad or np.isinf(sizes.max()) else 0
    return infinite, bad, int((~zero & there).sum()), int(lost.sum()), int((lost & (meant >= least)).sum())


def stream_errors(values: np.ndarray, exact: np.ndarray) -> tuple[float, float, float]:
    """|x - x32| / |x32| over all tokens, the first, and the rest; NaN where that is no number.

    Args:
        values, exact: float32 [pos, d_model].
    """
    with np.errstate(invalid="ignore", over="ignore"):
        difference = (values - exact).astype(np.float64)
    off = np.einsum("pd,pd->p", difference, difference)
    wide = exact.astype(np.float64)
    size = np.einsum("pd,pd->p", wide, wide)
    first, rest = ratio(off[:1], size[:1]), ratio(off[1:], size[1:])
    return ratio(off, size), first, rest


def ratio(off: np.ndarray, size: np.ndarray) -> float:
    """Root of the sum of `off` over that of `size`, squared lengths [pos]; NaN where that is no number."""
    total = float(size.sum())
    if not len(off) or not np.isfinite(off).all() or total == 0:
        return float("nan")
    return float(np.sqrt(off.sum() / total))
