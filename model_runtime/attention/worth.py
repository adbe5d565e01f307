"""What each head is worth here: the probability of one next token with every head switched off in turn.

What a head reads is not what it does: its pattern says where it looks, this says what the guess loses without
it (ablation to 0, as in Michel et al. 2019, arXiv:1905.10650, and Voita et al. 2019, arXiv:1905.09418).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch

from model_runtime.capture.context import Run
from model_runtime.errors import SettingError
from model_runtime.interventions import Intervention, ScaleHead
from model_runtime.records import HeadWorth
from model_runtime.records.distributions import log_softmax
from model_runtime.run import OpenRun, Turn
from model_runtime.steps import part

MOST_TOKENS = 1024  # of all copies of the prompt in one forward: what they need in memory is bounded


def head_worth(
    run: OpenRun,
    token: int | None = None,
    layers: tuple[int, ...] | None = None,
    turn: Turn = nullcontext,
) -> HeadWorth:
    """Switch every head off, for all tokens of the prompt, and see how likely one next token still is.

    Equal to a run of its own for each (`ScaleHead(layer, head)` after the run's edits) to the rounding of
    the model's dtype. It takes less: the layers before a head's own are as they were, so each sweep starts
    from what its layer gets, and the heads of a layer are rows of one batch.

    Args:
        token: id of the next token; None takes the likeliest.
        layers: the layers whose heads are switched off; None takes all.
        turn: entered around each forward.

    Raises:
        SettingError: a token or a layer that the model does not have.
    """
    spec, trace = run.spec, run.trace
    before = log_softmax(trace.next_token_logits())
    chosen = int(before.argmax()) if token is None else token
    layers = tuple(range(spec.n_layers)) if layers is None else layers
    _check("token", (chosen,), spec.d_vocab)
    _check("layer", layers, spec.n_layers)
    after = np.full((len(layers), spec.n_heads), np.nan)
    batches = list(_batches(run, layers))
    costs = np.cumsum([0, *((spec.n_layers - layers[row]) * len(heads) for row, heads in batches)])
    for number, (row, heads) in enumerate(batches):
        done, of = int(costs[number]), int(costs[-1])
        with turn(), part(done, of, int(costs[number + 1]) - done):
            logits = _without_each(run, layers[row], heads)
        with np.errstate(invalid="ignore"):  # without this head something may overflow: NaN
            after[row, heads] = log_softmax(logits.float().numpy())[:, chosen]
    return HeadWorth(layers, chosen, float(before[chosen]), after)


def _check(what: str, given: Sequence[int], limit: int) -> None:
    if wrong := [one for one in given if not 0 <= one < limit]:
        raise SettingError(f"There is no {what} {wrong[0]}.", f"There are {limit:,}, counted from 0.")


def _batches(run: OpenRun, layers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """(row of `layers`, heads) of each forward."""
    n_heads = run.spec.n_heads
    size = max(MOST_TOKENS // len(run.ids), 1) if all(map(_for_all_tokens, run.interventions)) else 1
    for row in range(len(layers)):
        for first in range(0, n_heads, size):
            yield row, list(range(first, min(first + size, n_heads)))


def _for_all_tokens(edit: Intervention) -> bool:
    """Whether an edit does the same to every token: positions are counted in a batch of one."""
    return getattr(edit, "positions", None) is None and not hasattr(edit, "position")


def _without_each(run: OpenRun, layer: int, heads: list[int]) -> torch.Tensor:
    """Logits of the next token without each of these heads of a layer, [head, d_vocab]."""
    model, trace = run.model, run.trace
    plan = model.planner.plan(run.interventions, len(run.ids))
    rows = torch.arange(len(heads))

    def off(value: torch.Tensor, offset: int) -> torch.Tensor:  # [head, pos, head, d_head]
        edited = value.clone()
        edited[rows, :, heads] = value[rows, :, heads] * ScaleHead.factor
        return edited

    plan.add("received", "output", layer, off)
    observed = Run(model.adapter, plan)
    if layer:
        observed.starting(layer, trace.kept["resid_post", layer - 1])
    return model.next_logits(run.ids, observed, len(heads))
