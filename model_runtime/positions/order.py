"""Why order must be added: the same tokens in another order, read with and without mask and positions.

Attention is a weighted sum over a set: without a mask and without positions, shuffling its inputs shuffles
its outputs and does nothing else (it is permutation-equivariant: Lee et al. 2019, arXiv:1810.00825, 3.1).
Norms, MLPs and routers work on each token alone, so this holds for a whole transformer. A causal mask breaks
it: how much a token sees tells where it stands (Haviv et al. 2022, arXiv:2203.16634; Kazemnejad et al. 2023,
arXiv:2305.19466). Measured here by real forwards of the loaded model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from model_runtime.capture.context import Run
from model_runtime.errors import PromptError, SettingError
from model_runtime.interventions import Intervention, PositionsOff
from model_runtime.model import Model
from model_runtime.run import OpenRun
from model_runtime.steps import part

LONGEST = 128  # tokens of the prompt that are read, six times over
_POINTS = ("resid_pre", "attn_out", "z", "resid_post")
Measure = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], np.ndarray]


class Reading(NamedTuple):
    """A text, the edits that it is read under, and whether a mask hides later tokens."""

    ids: tuple[int, ...]
    edits: tuple[Intervention, ...]
    masked: bool


@dataclass(frozen=True, eq=False)
class OrderCase:
    """A text and its shuffle under one rule. A token is followed to its new place.

    A change is the distance of two vectors over their mean length: 0 is unmoved, 2 turned round.
    """

    masked: bool  # no token sees a later one
    positions: bool  # the model's own positions are on
    stream: np.ndarray  # float32 [layer + 1, token]: change of what enters layer l; last: of what leaves
    attention: np.ndarray  # float32 [layer, token]: change of what attention adds
    heads: np.ndarray  # float32 [layer, head]: largest absolute difference of any number of z
    logits_before: np.ndarray  # float32 [d_vocab], for the token after the last
    logits_after: np.ndarray

    @property
    def nbytes(self) -> int:
        arrays = (self.stream, self.attention, self.heads, self.logits_before, self.logits_after)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, eq=False)
class OrderExperiment:
    """One prompt and one shuffle of it, under three rules."""

    ids: tuple[int, ...]
    order: tuple[int, ...]  # at each place of the shuffled text, the place where its token stood
    n_fixed: int  # tokens at the beginning that stay: what the tokenizer adds
    open: OrderCase  # no mask, no positions
    masked: OrderCase  # causal mask, no positions
    model: OrderCase  # mask and positions: the model as it is
    epsilon: float  # spacing of numbers at 1 in the model's dtype

    @property
    def tolerance(self) -> float:
        """Below this change two values count as one: they agree in half the digits of the dtype.

        A sum whose terms come in another order is rounded otherwise, and a deep model passes that on.
        """
        return self.epsilon**0.5

    @property
    def nbytes(self) -> int:
        return self.open.nbytes + self.masked.nbytes + self.model.nbytes


def attend(
    q: np.ndarray,  # [query_pos, d_head]
    k: np.ndarray,  # [key_pos, d_head]
    v: np.ndarray,  # [key_pos, d_head]
    causal: bool,
) -> np.ndarray:  # [query_pos, d_head]
    """softmax(q k^T / sqrt(d_head)) v: one head in three lines (Vaswani et al. 2017, 3.2.1).

    Nothing in it knows where a key stands: a sum has no order. The mask alone looks at places.

    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.normal(size=(3, 5, 4))
    >>> order = [2, 0, 3, 1, 4]
    >>> bool(np.allclose(attend(q[order], k[order], v[order], False), attend(q, k, v, False)[order]))
    True
    >>> masked = attend(q, k, v, True)
    >>> same = np.isclose(attend(q[order], k[order], v[order], True), masked[order]).all(axis=1)
    >>> same.tolist()  # only the last token, which sees all the others in any order
    [False, False, False, False, True]
    """
    scores = q @ k.T / np.sqrt(q.shape[-1])  # [query_pos, key_pos]
    if causal:  # a key that comes later counts nothing: exp(-inf) is 0
        scores = np.where(np.tril(np.ones_like(scores)) > 0, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))  # the largest taken off: no overflow
    out: np.ndarray = weights / weights.sum(axis=-1, keepdims=True) @ v  # each row a mean of the values
    return out


def shuffled_order(ids: Sequence[int], seed: int, n_fixed: int = 0) -> tuple[int, ...]:
    """A random order of the tokens between the first `n_fixed` and the last one, which stay.

    The last token stays so that the question asked of the model, what comes after it, stays the same.

    Returns:
        at each place of the new text, the place where its token stood; another text than `ids`.

    Raises:
        PromptError: there is no other text: fewer than two tokens may move, or all are the same.
        SettingError: a negative seed.

    >>> sorted(shuffled_order((5, 6, 7, 8), seed=1))
    [0, 1, 2, 3]
    >>> shuffled_order((5, 6, 7, 8), seed=1)[-1]
    3
    """
    if seed < 0:
        raise SettingError(f"The seed of a shuffle is {seed}.", "Give a whole number of 0 or more.")
    movable = list(range(n_fixed, len(ids) - 1))
    if len({ids[place] for place in movable}) < 2:
        raise PromptError(
            "This prompt has no other order: fewer than two different tokens stand before its last one.",
            "Type a few more words.",
        )
    rng = np.random.default_rng(seed)
    for _ in range(64):  # a draw may leave the text as it was, where tokens are equal
        moved = rng.permutation(movable).tolist()
        if [ids[place] for place in moved] != [ids[place] for place in movable]:
            break
    else:  # nearly all tokens are equal: swapping two different ones always gives another text
        one = next(place for place in movable if ids[place] != ids[movable[0]])
        moved = [one if p == movable[0] else movable[0] if p == one else p for p in movable]
    return (*range(n_fixed), *moved, len(ids) - 1)


def order_experiment(run: OpenRun, seed: int = 1) -> OrderExperiment:
    """Read a prompt and a shuffle of it under three rules: six readings. Long prompts: the first `LONGEST`.

    The run's edits hold under all rules; `PositionsOff` is left out, since it is what is compared.

    Raises:
        PromptError: as `shuffled_order`.
        InterventionError: an edit of a token that is not read.

    Example:
        experiment = order_experiment(open_run(model, "the cat sat on the mat"))
        experiment.open.stream.max() < experiment.tolerance        # True: without mask and positions
    """
    ids, n_fixed = run.ids[:LONGEST], 0
    if isinstance(run.prompt, str):  # what the tokenizer adds in front is no part of the text's order
        places = run.model.tokens.encode_with_places(run.prompt)
        n_fixed = next((i for i, place in enumerate(places) if not place.added), 0)
    order = shuffled_order(ids, seed, n_fixed)
    shuffled = tuple(ids[place] for place in order)
    others = tuple(edit for edit in run.interventions if not isinstance(edit, PositionsOff))
    off, on = (*others, PositionsOff()), others
    rules = [(off, False), (off, True), (on, True)]
    readings = [Reading(text, edits, masked) for edits, masked in rules for text in (ids, shuffled)]
    free, free_after, bound, bound_after, whole, whole_after = _read(run.model, readings)
    return OrderExperiment(
        ids=ids,
        order=order,
        n_fixed=n_fixed,
        open=_case(free, free_after, order, masked=False, positions=False),
        masked=_case(bound, bound_after, order, masked=True, positions=False),
        model=_case(whole, whole_after, order, masked=True, positions=True),
        epsilon=torch.finfo(getattr(torch, run.spec.dtype)).eps,
    )


def _case(before: Run, after: Run, order: tuple[int, ...], *, masked: bool, positions: bool) -> OrderCase:
    """One rule: what was kept of the text and of its shuffle."""
    places = torch.tensor(np.argsort(order))  # where each token of the first text stands in the second
    layers = range(len(before.adapter.blocks))

    def each(measured: Measure, points: Iterable[tuple[str, int]]) -> np.ndarray:
        return np.stack([measured(before.kept[at], after.kept[at], places) for at in points])

    return OrderCase(
        masked=masked,
        positions=positions,
        stream=each(_change, [("resid_pre", 0), *(("resid_post", layer) for layer in layers)]),
        attention=each(_change, [("attn_out", layer) for layer in layers]),
        heads=each(_largest, [("z", layer) for layer in layers]),
        logits_before=before.kept["logits", None][-1].float().numpy(),
        logits_after=after.kept["logits", None][-1].float().numpy(),
    )


def _read(model: Model, readings: Sequence[Reading]) -> list[Run]:
    """What forwards of these readings keep.

    In float32 one forward reads them all. In shorter formats the rounding of a larger product would show:
    there each has a forward of its own, with the numbers that a trace has.
    """
    layers = range(model.spec.n_layers)
    plans = [model.planner.plan(one.edits, len(one.ids)) for one in readings]
    runs = [Run(model.adapter, plan, points=_POINTS, layers=layers) for plan in plans]
    size = len(runs) if model.spec.dtype == "float32" else 1
    for start in range(0, len(runs), size):
        these = readings[start : start + size]
        with part(start, len(runs), size=size):
            model.forward_together(
                [one.ids for one in these],
                runs[start : start + size],
                looks_ahead=[not one.masked for one in these],
            )
    return runs


def _change(before: torch.Tensor, after: torch.Tensor, places: torch.Tensor) -> np.ndarray:
    """|after - before| over the mean of both lengths for each token, float32 [token]; [pos, d] both."""
    old, new = before.double(), after.double()[places]
    distance, length = (new - old).norm(dim=-1), (old.norm(dim=-1) + new.norm(dim=-1)) / 2
    return torch.where(distance == 0, 0.0, distance / length).float().numpy()  # NaN stays NaN


def _largest(before: torch.Tensor, after: torch.Tensor, places: torch.Tensor) -> np.ndarray:
    """Largest absolute difference of each head, float32 [head]; [head, pos, d_head] both."""
    return (after.float()[:, places] - before.float()).abs().amax(dim=(1, 2)).numpy()
