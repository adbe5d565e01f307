"""The likeliest continuation of a prompt, without chance: to set texts under edits side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_runtime.run import OpenRun
from model_runtime.sampling.generation import GeneratedToken, generate
from model_runtime.sampling.settings import SamplingSettings

_TOKEN_BYTES = 500  # of a record in memory, about


@dataclass(frozen=True)
class GreedyText:
    """The tokens of a continuation in which the likeliest token is always taken."""

    tokens: tuple[GeneratedToken, ...]

    @property
    def nbytes(self) -> int:
        return _TOKEN_BYTES * len(self.tokens)


def greedy_text(run: OpenRun, n_tokens: int) -> GreedyText:
    """Continue the prompt by at most `n_tokens` tokens, always the likeliest, under the run's edits.

    Raises:
        PromptError, InterventionError: as `generation.generate`.
    """
    sampling = SamplingSettings(temperature=0, max_new_tokens=n_tokens)
    return GreedyText(tuple(generate(run.model, run.prompt, sampling, run.interventions)))


def parting(one: Sequence[GeneratedToken], other: Sequence[GeneratedToken]) -> int | None:
    """Index of the first token in which two continuations differ; None where they are equal."""
    for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine.token.id != theirs.token.id:
            return index
    return None if len(one) == len(other) else min(len(one), len(other))
