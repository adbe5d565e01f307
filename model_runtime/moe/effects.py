"""Which expert matters most: every expert switched off in turn, and how far the next token moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from model_runtime.interventions import Intervention, ScaleExpert
from model_runtime.model import Model, Prompt
from model_runtime.moe.routing import Routing
from model_runtime.records.distributions import kl, log_softmax


@dataclass(frozen=True, eq=False)
class ExpertEffects:
    """What the next-token distribution loses without each expert. The first axis runs over sparse `layers`.

    divergence: KL(as it is || without the expert) in nats (Kullback and Leibler 1951), float64
        [layer, expert]; NaN where no token was sent to the expert: nothing can change.
    """

    layers: tuple[int, ...]
    divergence: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.divergence.nbytes


def n_forwards(routing: Routing) -> int:
    """How many forward passes `expert_effects` takes: one an expert that works on this prompt."""
    return int((routing.tokens_per_expert() > 0).sum())


def expert_effects(
    model: Model,
    prompt: Prompt,
    routing: Routing,
    edits: Iterable[Intervention] = (),
    renormalise: bool = False,
) -> ExpertEffects:
    """Switch each expert off, for all tokens of the prompt, and compare the next token's distribution.

    Args:
        routing: of this prompt under the same `edits`.
        renormalise: the other asked experts' weights are scaled up to make up for it.

    Raises:
        PromptError, InterventionError: as `Model.trace`.
    """
    edits = tuple(edits)
    whole = log_softmax(model.trace(prompt, points=(), interventions=edits).next_token_logits())
    divergence = np.full((len(routing.layers), routing.n_experts), np.nan)
    for row, expert in np.argwhere(routing.tokens_per_expert() > 0).tolist():
        off = ScaleExpert(routing.layers[row], expert, 0.0, renormalise)
        logits = model.trace(prompt, points=(), interventions=(*edits, off)).next_token_logits()
        divergence[row, expert] = kl(whole, log_softmax(logits))
    return ExpertEffects(routing.layers, divergence)
