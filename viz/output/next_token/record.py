"""From the model's distribution to the one that is drawn from: what the next-token picture holds.

The whole vocabulary is in the picture: every step of the pipeline as one bar of 100 % (`StepRow`), the
likeliest tokens one by one (`Candidate`), everything else in numbers (`Rest`). Nothing that a step cuts
disappears: it stays, marked with the step that cut it.

`next_token_figure` draws the record; `assets/js/next_token.js` builds the same record in the browser while a
slider is dragged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import SamplingReport, StepResult
from viz.output.sampling_words import LABELS, setting_words
from viz.text import label, quoted, share, three_digits, visible

# Steps that have a slider: their rows are always there, so that the picture keeps its height under a drag.
SLIDER_STEPS = ("temperature", "top_k", "top_p", "min_p")
BASE, FINAL = "base", "final"
LONGEST_TOKEN = 15  # characters of a row's label
# Where a probability axis may end, and the step between its ticks.
AXIS_STEPS = {
    0.00001: 0.000002,
    0.00002: 0.000005,
    0.00005: 0.00001,
    0.0001: 0.00002,
    0.0002: 0.00005,
    0.0005: 0.0001,
    0.001: 0.0002,
    0.002: 0.0005,
    0.005: 0.001,
    0.01: 0.002,
    0.02: 0.005,
    0.05: 0.01,
    0.1: 0.02,
    0.2: 0.05,
    0.3: 0.1,
    0.4: 0.1,
    0.5: 0.1,
    0.75: 0.25,
    1.0: 0.2,
}
# Of the way to the farthest mark: where all bars are shorter, the axis ends with the bars, to show them.
LEAST_BAR = 0.25
AXIS_ROOM = 1.2  # of the axis's end: how far it goes on, for the words behind the bars
NARROW_ROOM = 2.2  # the same on a phone: 15 letters behind the longest bar
LABEL_SPAN = 0.34  # of the whole axis: the room of the words behind a bar
DIFFERENCE_ENDS = (1, 5, 10, 25, 50, 100)  # where an axis of percentage points may end


@dataclass(frozen=True)
class Candidate:
    """One token's way through the pipeline. Probabilities are shares of 1."""

    token_id: int
    text: str  # whole, as it is seen
    rank: int  # by the model's own probability, the likeliest is 1
    model: float  # the model's own probability
    final: float  # after all steps; 0 where cut
    entering: float  # where cut: its probability when the step that cut it began; else `final`
    cut_by: str | None  # short name of the step that cut it: "top-p"
    pinned: float | None = None  # in the pinned run; NaN: its vocabulary lacks the token; None: none pinned

    @property
    def label(self) -> str:
        """The text as plotly draws it, short."""
        return label(self.text, LONGEST_TOKEN)

    @property
    def bar(self) -> float:
        """The length of this run's own bar in the row, drawn or cut."""
        return max(self.final, self.entering)

    @property
    def longest_bar(self) -> float:
        """The same with the pinned run's bar."""
        return max(self.bar, self.pinned) if self.pinned == self.pinned and self.pinned else self.bar

    def words_at(self, axis_end: float) -> float:
        """Where the words of the row begin: behind its bar; behind the model's stroke where that is in their
        way."""
        whole = AXIS_ROOM * axis_end
        in_the_way = self.bar <= self.model <= min(self.bar + LABEL_SPAN * whole, whole)
        return self.model if in_the_way else self.bar


@dataclass(frozen=True)
class Segment:
    """A stretch of a step's bar: one candidate, or (`token_id` None) the rest of the vocabulary."""

    start: float
    width: float
    cut: bool
    label: str
    token_id: int | None


@dataclass(frozen=True)
class StepRow:
    """The whole vocabulary at one step, 100 % wide.

    A step that cuts shows what it was handed, the cut part marked; one that reshapes shows what it leaves.
    """

    name: str
    setting: str
    active: bool
    n_kept: int
    cut_mass: float
    entropy: float  # nats, of what is left
    effective_choices: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Rest:
    """The tokens without a row of their own."""

    n_tokens: int
    model: float
    final: float
    n_kept: int


@dataclass(frozen=True)
class NextTokenRecord:
    """Everything the picture says."""

    candidates: tuple[Candidate, ...]
    steps: tuple[StepRow, ...]  # base, the steps in their order, final
    rest: Rest
    d_vocab: int
    selected: int  # token id
    axis_end: float  # of the probability axis: of its ticks; the words go on behind it
    title: str
    words: str
    pinned_label: str | None = None


def next_token_record(
    report: SamplingReport,
    shown: Sequence[int],
    token_text: Callable[[int], str],
    selected: int,
    pinned: Mapping[int, float] | None = None,
    pinned_label: str | None = None,
) -> NextTokenRecord:
    """What one choice looks like.

    Args:
        report: the steps over the whole vocabulary.
        shown: ids of the tokens with a row of their own; the selected one and the one likeliest to be
            drawn are added.
        token_text: the text of a token by id.
        selected: id of the selected token.
        pinned: final probability in the pinned run by id (NaN: no such token there).
        pinned_label: what sets the pinned run apart, in words.
    """
    likeliest = int(report.steps[-1].probabilities.argmax())  # typical-p and penalties can move it far down
    ids = shown_in_order(report, [*shown, selected, likeliest])
    candidates = tuple(_candidate(report, token_id, token_text, pinned) for token_id in ids)
    rows = _step_rows(report, candidates)
    rest = _rest(report, ids)
    return NextTokenRecord(
        candidates=candidates,
        steps=rows,
        rest=rest,
        d_vocab=report.d_vocab,
        selected=selected,
        axis_end=axis_end(_reach(candidates)),
        title=_title(candidates, report.steps[-1], report.d_vocab),
        words=_words(rest, rows[-1]),
        pinned_label=pinned_label,
    )


def shown_in_order(report: SamplingReport, ids: Sequence[int]) -> list[int]:
    """Each id once, the likeliest in the model first; equals by id."""
    scores = report.base.probabilities
    return sorted({int(token_id) for token_id in ids}, key=lambda token_id: (-scores[token_id], token_id))


def _reach(candidates: Sequence[Candidate]) -> float:
    """How far the axis must reach: to the farthest mark, or, where beside it no bar could be seen, to the
    longest bar; strokes of the model beyond the axis then stand at its edge."""
    bars = max(candidate.longest_bar for candidate in candidates)
    marks = max(bars, *(candidate.model for candidate in candidates))
    return marks if bars >= LEAST_BAR * marks else bars


def axis_end(reach: float) -> float:
    """The end of a probability axis: one of a few round numbers, so that it rests during most of a drag.

    >>> axis_end(0.34), axis_end(1.0)
    (0.4, 1.0)
    """
    return next((end for end in AXIS_STEPS if reach <= end), 1.0)


def axis_ticks(end: float) -> list[float]:
    """Round places from 0 to the end of the axis; beyond it there is room for words only.

    >>> axis_ticks(0.4)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    step = AXIS_STEPS[end]
    return [round(tick * step, 9) for tick in range(round(end / step) + 1)]


def _candidate(
    report: SamplingReport,
    token_id: int,
    token_text: Callable[[int], str],
    pinned: Mapping[int, float] | None,
) -> Candidate:
    before: StepResult = report.base
    cut_by, entering = None, float(report.steps[-1].probabilities[token_id])
    for step in report.steps:
        if not step.kept[token_id]:
            cut_by, entering = LABELS[step.name], float(before.probabilities[token_id])
            break
        before = step
    return Candidate(
        token_id=token_id,
        text=visible(token_text(token_id)),
        rank=report.rank(token_id),
        model=float(report.base.probabilities[token_id]),
        final=float(report.steps[-1].probabilities[token_id]),
        entering=entering,
        cut_by=cut_by,
        pinned=None if pinned is None else float(pinned[token_id]),
    )


def _step_rows(report: SamplingReport, candidates: Sequence[Candidate]) -> tuple[StepRow, ...]:
    rows = [_step_row(BASE, "the model", report.base, report.base, candidates)]
    before: StepResult = report.base
    for step in report.steps:
        if step.active or step.name in SLIDER_STEPS:
            rows.append(_step_row(step.name, setting_words(step), step, before, candidates))
        before = step
    rows.append(_step_row(FINAL, "drawn from", before, before, candidates, active=True))
    return tuple(rows)


def _step_row(
    name: str,
    setting: str,
    step: StepResult,
    before: StepResult,
    candidates: Sequence[Candidate],
    active: bool | None = None,
) -> StepRow:
    cuts = step.n_kept < before.n_kept
    shown = before if cuts else step
    segments, start = [], 0.0
    for candidate in candidates:
        width = float(shown.probabilities[candidate.token_id])
        if width > 0:
            cut = not bool(step.kept[candidate.token_id])
            segments.append(Segment(start, width, cut, candidate.label, candidate.token_id))
            start += width
    shown_cut = sum(segment.width for segment in segments if segment.cut)
    lost = max(step.cut_mass - shown_cut, 0.0) if cuts else 0.0
    # What is left of the bar belongs to the tokens without a row: first those kept, then those cut.
    left = max(1.0 - start - lost, 0.0)
    segments += [
        Segment(begin, width, cut, "all other tokens", None)
        for begin, width, cut in ((start, left, False), (start + left, lost, True))
        if width > 1e-9
    ]
    return StepRow(
        name=name,
        setting=setting,
        active=step.active if active is None else active,
        n_kept=step.n_kept,
        cut_mass=step.cut_mass if name not in (BASE, FINAL) else 0.0,
        entropy=step.entropy,
        effective_choices=step.effective_choices,
        segments=tuple(segments),
    )


def _rest(report: SamplingReport, ids: Sequence[int]) -> Rest:
    final = report.steps[-1]
    shown = np.asarray(ids, dtype=np.int64)
    return Rest(
        n_tokens=report.d_vocab - len(shown),
        model=_mass_beside(report.base, shown),
        final=_mass_beside(final, shown),
        n_kept=final.n_kept - int(final.kept[shown].sum()),
    )


def _mass_beside(step: StepResult, shown: np.ndarray) -> float:
    """The probability of all tokens but those `shown`; exactly 0 where none of them is left."""
    if step.n_kept == int(step.kept[shown].sum()):
        return 0.0
    return max(1.0 - float(step.probabilities[shown].sum()), 0.0)


def _title(candidates: Sequence[Candidate], final: StepResult, d_vocab: int) -> str:
    top = max(candidates, key=lambda candidate: candidate.final)
    if final.n_kept == 1:
        return f"Only {quoted(top.text, LONGEST_TOKEN)} is left: it is chosen every time"
    left = f"all {d_vocab:,}" if final.n_kept == d_vocab else f"{final.n_kept:,} of {d_vocab:,}"
    return f"{quoted(top.text, LONGEST_TOKEN)} leads with {share(top.final)}; {left} tokens left"


def _words(rest: Rest, final: StepRow) -> str:
    if final.n_kept == 1:
        return f"Entropy 0 nats: nothing is left to chance. {rest_words(rest)}"
    return (
        f"Entropy {three_digits(final.entropy)} nats: as open as a fair choice among "
        f"about {three_digits(final.effective_choices)} tokens. {rest_words(rest)}"
    )


def rest_words(rest: Rest) -> str:
    """The tail in numbers.

    >>> rest_words(Rest(48902, 0.338, 0.121, 20)).replace(chr(160), " ")
    'And 48,902 more tokens: 33.8 % in the model, 12.1 % after the steps (20 of them left).'
    """
    left = "all" if rest.n_kept == rest.n_tokens else f"{rest.n_kept:,}" if rest.n_kept else "none"
    return (
        f"And {rest.n_tokens:,} more tokens: {share(rest.model)} in the model, {share(rest.final)} after the "
        f"steps ({left} of them left)."
    )
