"""Which expert matters most: every expert switched off in turn, and how far the next token moves."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from model_runtime.interventions import ScaleExpert
from model_runtime.moe.routing import Routing, routing
from model_runtime.records.distributions import kl, log_softmax
from model_runtime.run import OpenRun, Turn
from model_runtime.steps import part


@dataclass(frozen=True, eq=False)
class ExpertEffects:
    """What the next-token distribution loses without each expert. The first axis runs over sparse `layers`.

    divergence: KL(as it is || without the expert) in nats (Kullback and Leibler 1951), float64
        [layer, expert]; NaN where no token was sent to the expert: nothing can change; infinite where the
        logits with or without it are no numbers.
    """

    layers: tuple[int, ...]
    divergence: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.divergence.nbytes


def n_forwards(routing: Routing) -> int:
    """How many forward passes `expert_effects` takes: one an expert that works on this prompt."""
    return int((routing.tokens_per_expert() > 0).sum())


def expert_effects(run: OpenRun, renormalise: bool = False, turn: Turn = nullcontext) -> ExpertEffects:
    """Switch each expert off, for all tokens of the prompt, and compare the next token's distribution.

    Args:
        renormalise: the other asked experts' weights are scaled up to make up for it.
        turn: entered around each forward pass.

    Raises:
        PointUnavailable: the model is dense.
    """
    found, whole = routing(run), run.traced(points=()).next_token_logits()
    divergence = np.full((len(found.layers), found.n_experts), np.nan)
    asked = np.argwhere(found.tokens_per_expert() > 0).tolist()
    for number, (row, expert) in enumerate(asked):
        off = ScaleExpert(found.layers[row], expert, 0.0, renormalise)
        with turn(), part(number, len(asked)):
            trace = run.model.trace(run.prompt, points=(), interventions=(*run.interventions, off))
        logits = trace.next_token_logits()
        known = np.isfinite(logits).all() and np.isfinite(whole).all()
        divergence[row, expert] = kl(log_softmax(whole), log_softmax(logits)) if known else np.inf
    return ExpertEffects(found.layers, divergence)
