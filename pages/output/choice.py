"""What the next-token page shows, gathered: the steps of the current run's choice and the pinned run's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from model_runtime.errors import PromptError
from model_runtime.model import Model
from model_runtime.records import SamplingReport, Token
from model_runtime.records.distributions import total_variation
from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import sampling_steps
from pages.shared.frame.sides import Side
from pages.shared.run.opened import PageRun
from pages.shared.run.runs import differences
from pages.shared.settings import url_state as state
from pages.shared.settings.table import MOST_PROMPT_CHARACTERS, TOP_CANDIDATE

PINNED_TOP = 3  # the pinned run's likeliest tokens always have a row


@dataclass(frozen=True, eq=False)
class Pinned:
    """The pinned run's choice, for the tokens of the current run's vocabulary."""

    run: PageRun
    words: str  # what sets it apart
    shares: dict[int, float]  # final probability by our token id; NaN: its vocabulary has no such token
    variation: float | None  # total variation distance; None: other vocabulary


@dataclass(frozen=True, eq=False)
class Choice:
    """One choice, ready to be drawn."""

    run: PageRun
    report: SamplingReport
    shown: tuple[int, ...]  # ids with a row of their own
    selected: int  # token id
    pinned: Pinned | None

    @property
    def token(self) -> Token:
        """The selected candidate."""
        return self.run.model.token(self.selected)

    @property
    def sampling(self) -> SamplingSettings:
        return self.run.settings.sampling

    def text(self, token_id: int) -> str:
        return self.run.model.token(token_id).text


def report_of(run: PageRun, sampling: SamplingSettings | None = None) -> SamplingReport:
    """All steps of the choice after the prompt of `run`, under its own settings or others."""
    return sampling_steps(run.logits, run.ids, (), sampling or run.settings.sampling)


def choice_of(sides: Sequence[Side]) -> Choice:
    """The current run's choice and, where one is pinned, the other's.

    Raises:
        GlassformerError: a run cannot be computed, or its distribution not be sampled.
    """
    run, *others = (side.run for side in sides)
    report = report_of(run)
    top = [int(token_id) for token_id in report.top(state.get("bars"))]
    candidate = state.get("candidate")
    selected = top[0] if candidate == TOP_CANDIDATE else min(candidate, report.d_vocab - 1)
    shown = (*top, selected, int(report.final.probabilities.argmax()))
    pinned = None
    if others:
        pinned = _pinned(others[0], run, report, shown)
        shown = tuple(pinned.shares)
    return Choice(run, report, shown, selected, pinned)


def _pinned(run: PageRun, current: PageRun, report: SamplingReport, shown: tuple[int, ...]) -> Pinned:
    other = report_of(run)
    words = ", ".join(differences(run.settings, current.settings)) or "equal to this run"
    probabilities = other.final.probabilities
    if run.settings.model == current.settings.model:
        ids = dict.fromkeys([*shown, *(int(token_id) for token_id in other.top(PINNED_TOP))])
        shares = {token_id: float(probabilities[token_id]) for token_id in ids}
        return Pinned(run, words, shares, total_variation(report.final.probabilities, probabilities))
    shares = {}
    for token_id in dict.fromkeys(shown):
        twin = same_token(run.model, current.model.token(token_id))
        shares[token_id] = math.nan if twin is None else float(probabilities[twin])
    return Pinned(run, words, shares, None)


def same_token(model: Model, token: Token) -> int | None:
    """The id of the token with the same bytes in another model's vocabulary, if it has one."""
    if not token.bytes or not token.text.strip():
        return None
    try:
        last = model.tokenize(token.bytes.decode("utf-8", errors="replace"))[-1]
    except PromptError:  # the other table has nothing of it
        return None
    return last.id if last.bytes == token.bytes else None


@dataclass(frozen=True)
class Appended:
    """The prompt with a token at its end."""

    prompt: str | None  # None: it cannot be appended
    note: str = ""  # why not, or what is different from what one might think


def appended(choice: Choice) -> Appended:
    """The current prompt with the selected candidate at its end, as text."""
    token, model = choice.token, choice.run.model
    before = choice.run.settings.prompt
    if not token.bytes and not token.special:
        return Appended(None, "This token has no text.")
    if "\ufffd" in token.bytes.decode("utf-8", errors="replace"):
        return Appended(None, "This token is a part of a character: its bytes alone are no text to append.")
    if token.unknown:
        return Appended(None, "This token stands for all that the table lacks: there is no text to append.")
    prompt = before + (token.text if token.special else model.text_stream(choice.run.ids).feed(token))
    if len(prompt) > MOST_PROMPT_CHARACTERS:
        return Appended(None, f"The prompt would be longer than {MOST_PROMPT_CHARACTERS:,} characters.")
    other = Appended(prompt, "As text, the prompt and this token are cut into other tokens than these.")
    try:
        if model.tokens.encode(prompt) != (*choice.run.ids, token.id):  # may be too long to be read
            return other
    except PromptError as error:
        return Appended(None, f"As text it cannot be read: {error.what}")
    return Appended(prompt)


def plain_sampling(**changes: Any) -> SamplingSettings:
    """The model's own distribution with a few settings changed."""
    return replace(SamplingSettings(), **changes)
