"""The eight sampling steps as arithmetic on one row of scores: float32 in, float32 out, -inf where cut.

(float64 from the step on whose result float32 cannot hold: see `_held`.)

Each function does what transformers' processor of the same name does (Temperature-, TopK-, TopP-, MinP-,
TypicalLogitsWarper, RepetitionPenaltyLogitsProcessor), operation by operation and in float32. That is on
purpose: a filter decides by comparing a rounded sum with a threshold, and another order of addition, or
float64, moves single tokens in or out at the boundary. Presence and frequency penalties, which transformers
lacks, follow the formula of OpenAI's API documentation.

All work is on the CPU whatever the model's device, so that one rule decides which tokens are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.errors import SamplingError
from model_runtime.sampling.settings import SamplingSettings

CUT = -float("inf")


@dataclass(frozen=True, eq=False)
class Seen:
    """The tokens that the penalties look at, each id once and inside the vocabulary.

    Repetition looks at everything in the context, the prompt included, as transformers does. Presence and
    frequency look at the generated tokens only, as their formula says.
    """

    context: torch.Tensor  # [n] int64
    generated: torch.Tensor  # [m] int64
    counts: torch.Tensor  # [m] float32: how often each was generated


def seen_tokens(context_ids: Sequence[int], generated_ids: Sequence[int], d_vocab: int) -> Seen:
    """Count what the penalties need. Ids beyond the head's vocabulary cannot be drawn and are left out."""
    context = {token_id for token_id in (*context_ids, *generated_ids) if 0 <= token_id < d_vocab}
    generated = np.array([i for i in generated_ids if 0 <= i < d_vocab], dtype=np.int64)
    ids, counts = np.unique(generated, return_counts=True)
    return Seen(
        torch.tensor(sorted(context), dtype=torch.int64),
        torch.tensor(ids, dtype=torch.int64),
        torch.tensor(counts, dtype=torch.float32),
    )


def repetition(scores: torch.Tensor, settings: SamplingSettings, seen: Seen) -> torch.Tensor:
    """Positive scores of tokens in the context divided by the penalty, negative ones multiplied by it.

    Source: Keskar et al. 2019, CTRL, section 4.1; the two cases are transformers' reading of it.
    """
    penalty = settings.repetition_penalty

    def change(scores: torch.Tensor) -> torch.Tensor:
        score = scores[seen.context]
        return scores.scatter(0, seen.context, torch.where(score < 0, score * penalty, score / penalty))

    return _held(change, scores)


def presence(scores: torch.Tensor, settings: SamplingSettings, seen: Seen) -> torch.Tensor:
    """mu[j] - float(c[j] > 0) * alpha_presence, c[j] = how often token j was generated (OpenAI API docs)."""
    return _lowered(scores, seen, lambda counts: torch.full_like(counts, settings.presence_penalty))


def frequency(scores: torch.Tensor, settings: SamplingSettings, seen: Seen) -> torch.Tensor:
    """mu[j] - c[j] * alpha_frequency, c[j] = how often token j was generated (OpenAI API docs)."""
    return _lowered(scores, seen, lambda counts: counts * settings.frequency_penalty)


def _lowered(scores: torch.Tensor, seen: Seen, by: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Scores with something taken off those of the generated tokens; `by` makes it of their counts."""
    return _held(
        lambda held: held.scatter(0, seen.generated, held[seen.generated] - by(seen.counts.to(held.dtype))),
        scores,
    )


def _held(change: Callable[[torch.Tensor], torch.Tensor], scores: torch.Tensor) -> torch.Tensor:
    """`change` of the scores, made anew in float64 where float32 cannot hold what comes out.

    Neither a temperature nor a penalty cuts a token or makes two equal, and a later penalty looks at a
    score's sign and size: so a score beyond float32's end is neither cut nor moved nor stopped there. In
    float64 the ends cannot be reached (see `_COLDEST`).
    """
    changed = change(scores)
    if bool((changed.isfinite() == scores.isfinite()).all()):
        return changed
    return change(scores.double())


# A temperature below this gives the same choice as this one: the least two float32 numbers that differ are
# then 10^215 apart, and the largest, times the largest penalty, still fit into float64.
_COLDEST = 1e-260


def temperature(scores: torch.Tensor, settings: SamplingSettings, _: Seen) -> torch.Tensor:
    """scores / T. At T = 0 only the likeliest token stays; of equals the one with the lowest id (greedy)."""
    if settings.temperature == 0.0:
        only = torch.full_like(scores, CUT)
        top = int(torch.argmax(scores))
        only[top] = scores[top]
        return only
    return _held(lambda held: held / max(settings.temperature, _COLDEST), scores)


def top_k(scores: torch.Tensor, settings: SamplingSettings, _: Seen) -> torch.Tensor:
    """Keep the k likeliest tokens, and all that equal the last of them (Fan et al. 2018, section 5.1)."""
    k = min(settings.top_k, scores.numel())
    return scores.masked_fill(scores < torch.topk(scores, k).values[-1], CUT)


def top_p(scores: torch.Tensor, settings: SamplingSettings, _: Seen) -> torch.Tensor:
    """Keep the smallest set of likeliest tokens with at least top_p together (Holtzman et al. 2020).

    Counted from the least likely token up: those whose running sum is still at most 1 - top_p go. Of
    equals at the edge the highest ids stay, on every machine (transformers' sort leaves that open).
    """
    ascending, order = torch.sort(scores, stable=True)
    goes = ascending.softmax(-1).cumsum(-1) <= (1 - settings.top_p)
    goes[-1] = False
    return scores.masked_fill(goes.scatter(0, order, goes), CUT)


def min_p(scores: torch.Tensor, settings: SamplingSettings, _: Seen) -> torch.Tensor:
    """Keep tokens with at least min_p times the top token's probability (Nguyen et al. 2024)."""
    probabilities = scores.softmax(-1)
    return scores.masked_fill(probabilities < settings.min_p * probabilities.amax(-1), CUT)


def typical_p(scores: torch.Tensor, settings: SamplingSettings, _: Seen) -> torch.Tensor:
    """Keep the tokens whose surprise -ln p is closest to the entropy, up to typical_p of the probability.

    Source: Meister et al. 2023, Locally typical sampling, section 4. The likeliest token can be cut.
    """
    log_p = scores.log_softmax(-1)
    entropy = -(log_p * log_p.exp()).nansum(-1, keepdim=True)
    distance, order = torch.sort(torch.abs(-log_p - entropy), stable=True)
    running = scores[order].softmax(-1).cumsum(-1)
    last = (running < settings.typical_p).sum().clamp(max=scores.numel() - 1)
    goes = distance > distance[last]
    goes[0] = False
    return scores.masked_fill(goes.scatter(0, order, goes), CUT)


NOTHING_SEEN = seen_tokens((), (), 0)  # for steps that do not look

Step = Callable[[torch.Tensor, SamplingSettings, Seen], torch.Tensor]

STEPS: dict[str, Step] = {
    "repetition": repetition,
    "presence": presence,
    "frequency": frequency,
    "temperature": temperature,
    "top_k": top_k,
    "top_p": top_p,
    "min_p": min_p,
    "typical_p": typical_p,
}


def checked_scores(logits: np.ndarray) -> torch.Tensor:
    """One row of logits as float32 scores of our own.

    Raises:
        SamplingError: not one row, or a value is NaN or infinite.
    """
    if logits.ndim != 1 or logits.size == 0:
        raise SamplingError(f"Logits of shape {logits.shape} are not one row.", "Pass [d_vocab] numbers.")
    scores = torch.tensor(logits, dtype=torch.float32)
    bad = scores.numel() - int(np.count_nonzero(np.isfinite(scores.numpy())))
    if bad:
        raise SamplingError(
            f"{bad:,} of the model's {scores.numel():,} logits are not finite: there is no distribution.",
            "Try the model in float32, or undo the last intervention.",
        )
    return scores


def apply_step(name: str, scores: torch.Tensor, settings: SamplingSettings, seen: Seen) -> torch.Tensor:
    """Scores after one step.

    Raises:
        SamplingError: the step left no token, or a score that is not a number.
    """
    after = STEPS[name](scores, settings, seen)
    if not bool(torch.isfinite(after.max())):  # max passes NaN on
        raise SamplingError(
            f"The step {name} left nothing that can be drawn.", "Choose a milder setting for this step."
        )
    return after
