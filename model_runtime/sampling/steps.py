"""From logits to a choice: eight steps over the whole vocabulary, each with what it kept, cut and left.

    report = sampling_steps(logits, context_ids, generated_ids, SamplingSettings(temperature=0.8, top_p=0.9))
    report.final.n_kept              # how many tokens can still be drawn
    report.cut_by(token_id)          # the step that cut it, or None
    draw(report.final.probabilities, request_generator(seed))

Decisions are taken in float32 exactly as transformers takes them (see `sampling_arithmetic`); the
probabilities, sums and entropies shown are then computed in float64 from the scores that are left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from model_runtime.records.sampling import SamplingReport, StepResult, rank
from model_runtime.sampling.arithmetic import NOTHING_SEEN, apply_step, checked_scores, seen_tokens
from model_runtime.sampling.settings import SamplingSettings


@dataclass(frozen=True, eq=False)
class FinalDistribution:
    """What `SamplingReport.final` holds, without the steps on the way: for the generation loop."""

    probabilities: np.ndarray  # [d_vocab] float64
    entropy: float  # nats
    n_kept: int
    model_probabilities: np.ndarray  # [d_vocab] float64, before any step
    model_entropy: float  # nats
    logits: np.ndarray  # [d_vocab] float32

    def rank(self, token_id: int) -> int:
        """Place of a token before any step; the likeliest is 1."""
        return rank(self.logits, token_id)


def sampling_steps(
    logits: np.ndarray,
    context_ids: Sequence[int],
    generated_ids: Sequence[int],
    settings: SamplingSettings,
) -> SamplingReport:
    """Run all eight steps in `settings.order` and keep what each did.

    Args:
        logits: [d_vocab] of one position.
        context_ids: the tokens before the one to be chosen. The repetition penalty reads them, and the
            generated ones whether they are listed here or not.
        generated_ids: those that were generated: the presence and frequency penalties count them.

    Raises:
        SamplingError: NaN or infinite logits, or a step that leaves nothing.
    """
    scores = checked_scores(logits)
    seen = seen_tokens(context_ids, generated_ids, scores.numel())
    base = before = _result("base", True, None, scores.numpy(), None)
    steps = []
    for name in settings.order:
        active = settings.is_active(name)
        after = apply_step(name, torch.tensor(before.scores), settings, seen).numpy() if active else None
        before = _result(name, active, settings.value(name), after, before)
        steps.append(before)
    return SamplingReport(base, tuple(steps))


def final_distribution(
    logits: np.ndarray,
    context_ids: Sequence[int],
    generated_ids: Sequence[int],
    settings: SamplingSettings,
) -> FinalDistribution:
    """The last distribution of `sampling_steps`, to the bit, at a fraction of the work. Raises the same."""
    base_scores = scores = checked_scores(logits)
    active = [name for name in settings.order if settings.is_active(name)]
    if active:
        penalised = not {"repetition", "presence", "frequency"}.isdisjoint(active)
        seen = seen_tokens(context_ids, generated_ids, scores.numel()) if penalised else NOTHING_SEEN
        for name in active:
            scores = apply_step(name, scores, settings, seen)
    model_probabilities, model_entropy = _softmax(base_scores.numpy())
    probabilities, entropy = _softmax(scores.numpy()) if active else (model_probabilities, model_entropy)
    n_kept = int(np.count_nonzero(scores.numpy() > -np.inf))
    return FinalDistribution(
        probabilities, entropy, n_kept, model_probabilities, model_entropy, base_scores.numpy()
    )


def request_generator(seed: int) -> np.random.Generator:
    """The random numbers of one request. Same seed, same numbers, whoever else is drawing (PCG64)."""
    return np.random.Generator(np.random.PCG64(seed))


def draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """Draw one token: lay the probabilities side by side in order of token id, throw one uniform number.

    Token j is drawn when the number falls in [p_0 + ... + p_{j-1}, p_0 + ... + p_j). In order of id, not of
    probability, because then rounding in the last digit (another number of threads, say) hardly ever
    changes the token drawn; the order of near-equal probabilities in the tail would. One number a token.

    >>> draw(np.array([0.0, 1.0, 0.0]), request_generator(7))
    1
    """
    return int(_tokens_at(probabilities, np.array([rng.random()]))[0])


def draws(report: SamplingReport, n: int, seed: int) -> np.ndarray:
    """How often each token comes up in n independent draws from the final distribution. [d_vocab] int64

    Every draw uses the next uniform number of `request_generator(seed)`; the first is the token that a
    generation with this seed would choose here first.
    """
    uniforms = request_generator(seed).random(n)
    return np.bincount(_tokens_at(report.final.probabilities, uniforms), minlength=report.d_vocab)


def _tokens_at(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """The token ids on which numbers in [0, 1) fall; never one of probability 0."""
    possible = np.flatnonzero(probabilities)
    edges = np.cumsum(probabilities[possible])
    places = np.searchsorted(edges, uniforms * edges[-1], side="right")
    # uniform * total can round up to the total, which lies behind the last edge.
    return possible[np.minimum(places, possible.size - 1)]


def _softmax(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """float64 softmax of float32 scores and its entropy in nats, ln Z - sum p (s - max): no log of tiny p."""
    left = np.flatnonzero(scores > -np.inf)
    some_cut = left.size < scores.size
    gaps = (scores[left] if some_cut else scores).astype(np.float64) - float(scores.max())
    weights = np.exp(gaps)
    total = weights.sum()
    probabilities = weights / total
    # Not `probabilities @ gaps`: numpy's BLAS would wake threads of its own, which keep the cores busy long
    # enough to triple the time of the model's next step on two cores.
    entropy = math.log(total) - float((probabilities * gaps).sum())
    if some_cut:
        everywhere = np.zeros(scores.size)
        everywhere[left] = probabilities
        probabilities = everywhere
    return probabilities, max(entropy, 0.0)


def _result(
    name: str, active: bool, value: float | None, scores: np.ndarray | None, before: StepResult | None
) -> StepResult:
    """The record of one step; without new scores it shares the arrays of the step before."""
    if scores is None:
        assert before is not None
        return replace(before, name=name, active=active, value=value, cut_mass=0.0)
    probabilities, entropy = _softmax(scores)
    kept = scores > -np.inf
    cut_mass = 0.0 if before is None else float(before.probabilities[before.kept & ~kept].sum())
    for array in (scores, probabilities, kept):
        array.flags.writeable = False
    n_kept = int(np.count_nonzero(kept))
    return StepResult(name, active, value, scores, probabilities, kept, n_kept, cut_mass, entropy)
