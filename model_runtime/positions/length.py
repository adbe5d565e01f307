"""Beyond the trained length: loss and entropy by position, measured on one long text.

`Model.trace` refuses more tokens than the model's context. This reads on, where the positions allow it: a
rotation has an angle for every position, trained or not, a learned table has no row beyond its last. What a
rotating model does out there is what is measured (Press et al. 2022, arXiv:2108.12409, figure 1; Chen et al.
2023, arXiv:2306.15595, section 2.2). `RopeScaling` as an intervention shows what interpolation saves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import DynamicCache

from model_runtime.capture.context import Run
from model_runtime.errors import PromptError, SettingError
from model_runtime.interventions import Intervention, as_interventions
from model_runtime.loading.device import free_memory
from model_runtime.model import Model
from model_runtime.run import Turn
from model_runtime.steps import step

HELDOUT = Path(__file__).resolve().parents[2] / "assets" / "heldout"
TEXTS = ("plays", "scripture", "python")
CHUNK = 256  # tokens of one forward
MOST_TIMES = 4  # contexts that are read at most
MOST_TOKENS = 16_384

Progress = Callable[[int, int, float], None]  # tokens read, of all, seconds so far


@dataclass(frozen=True, eq=False)
class LengthReading:
    """How surprised a model is along a text, by the position of the token that is predicted.

    Both are NaN at position 0, which nothing comes before.
    """

    ids: tuple[int, ...]
    loss: np.ndarray  # float32 [pos], nats: -ln of the probability of the token that really came
    entropy: np.ndarray  # float32 [pos], nats: how open the model was, -sum p ln p
    n_ctx: int  # tokens that the model was made for
    interventions: tuple[Intervention, ...]
    seconds: float

    @property
    def nbytes(self) -> int:
        return self.loss.nbytes + self.entropy.nbytes + 40 * len(self.ids)


def long_text(name: str) -> str:
    """One of the bundled texts that are long enough: `TEXTS`.

    Raises:
        SettingError: there is no such text, or its file is missing.
    """
    file = HELDOUT / f"{name}.txt"
    if name not in TEXTS or not file.is_file():
        raise SettingError(f"There is no text {name!r}.", f"Texts are {', '.join(TEXTS)}.")
    return file.read_text(encoding="utf-8")


def furthest(model: Model) -> int:
    """How many tokens `loss_by_position` reads of a text at most."""
    n_ctx = model.spec.n_ctx
    if _ends_at_context(model):
        return n_ctx
    return max(n_ctx, min(MOST_TIMES * n_ctx, MOST_TOKENS))


def why_it_ends(model: Model) -> str:
    """Why this model cannot read beyond its context, in words; "" where it can.

    For a learned table the sentence ends in the real error of looking up one row too many.
    """
    spec = model.spec
    if not _ends_at_context(model):
        return ""
    role = model.adapter.model_roles["pos_embed"]
    if not isinstance(role, nn.Embedding):
        return (
            f"{spec.name} chooses its rotation by the length of the text, so keys read earlier would have to "
            f"be read again; beyond {spec.n_ctx:,} tokens this is not measured."
        )
    try:
        nn.functional.embedding(torch.tensor([len(role.weight)]), role.weight.detach().cpu())
    except IndexError as error:
        return (
            f"{spec.name} has a learned table of positions with {spec.n_ctx:,} rows. Row {spec.n_ctx:,} does "
            f"not exist; asked for it, PyTorch raises {type(error).__name__}: {error}."
        )
    raise AssertionError("a row beyond the table was found")


def _ends_at_context(model: Model) -> bool:
    """Whether positions end, or the rotation changes with the length of the text."""
    kind = str((model.adapter.rope_parameters(0) or {}).get("rope_type", ""))
    return model.spec.positions == "learned" or "dynamic" in kind or kind == "longrope"


def loss_by_position(
    model: Model,
    ids: Sequence[int],
    chunk: int = CHUNK,
    interventions: Intervention | Iterable[Intervention] = (),
    *,
    progress: Progress | None = None,
    turn: Turn = nullcontext,
) -> LengthReading:
    """Read a text in chunks with a cache, beyond the context where the positions allow it.

    A chunk sees itself and everything before it, as one forward of the whole text would; the numbers differ
    from that by rounding (about 1e-5).

    Args:
        chunk: tokens of one forward; larger is faster and needs more memory.
        progress: called after each chunk, in this thread. What it raises ends the reading.
        turn: entered around each chunk, so that others get theirs in between.

    Raises:
        PromptError: fewer than two tokens, ids that do not exist, or more than `furthest(model)`: both
            numbers are named, and why. A cache that would not fit into memory.
        SettingError: no chunk.
        InterventionError: an edit of something that does not exist here.
    """
    if chunk < 1:
        raise SettingError(f"The chunk is {chunk} tokens.", "Give 1 or more.")
    tokens = _checked(model, ids)
    edits = as_interventions(interventions)
    start = time.perf_counter()
    loss, entropy = read_in_chunks(model, tokens, edits, chunk, progress, turn)
    return LengthReading(tokens, loss, entropy, model.spec.n_ctx, edits, time.perf_counter() - start)


def read_in_chunks(
    model: Model,
    tokens: tuple[int, ...],
    edits: tuple[Intervention, ...],
    chunk: int,
    progress: Progress | None,
    turn: Turn,
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and entropy at every position, float32 [pos]: one forward a chunk, after the keys of all before.

    A cache makes the chunks one text: its keys keep the positions (angles) that they were read at.
    """
    plan = model.planner.plan(edits, None)  # what the edits change, in every forward
    cache = DynamicCache(config=model.hf_model.config)
    loss, entropy = np.full((2, len(tokens) + 1), np.nan, dtype=np.float32)  # nothing comes before the first
    start = time.perf_counter()
    for first in range(0, len(tokens), chunk):
        part = tokens[first : first + chunk]
        predicted = slice(first + 1, first + 1 + len(part))
        with turn():  # others get theirs in between
            run = Run(model.adapter, plan, offset=first)
            logits, cache = model.forward(part, run, tuple(range(len(part))), cache)  # [chunk, d_vocab]
        loss[predicted], entropy[predicted] = loss_and_entropy(logits, tokens[predicted])
        step(first + len(part), len(tokens))
        if progress is not None:
            progress(first + len(part), len(tokens), time.perf_counter() - start)
    return loss[:-1], entropy[:-1]  # what the last token's logits predict never came


def _checked(model: Model, ids: Sequence[int]) -> tuple[int, ...]:
    tokens = model.checked_ids(ids)
    if len(tokens) < 2:
        raise PromptError("A loss needs two tokens: one to read, one to predict.", "Give a longer text.")
    most = furthest(model)
    if len(tokens) > most:
        why = why_it_ends(model) or f"At most {MOST_TIMES} contexts or {MOST_TOKENS:,} tokens are read."
        raise PromptError(f"The text has {len(tokens):,} tokens. {why}", f"Give at most {most:,}.")
    spec = model.spec
    per_token = 2 * spec.n_layers * spec.n_kv_heads * spec.d_head * getattr(torch, spec.dtype).itemsize
    if len(tokens) * per_token > free_memory(model.device) // 2:
        raise PromptError(
            f"The keys and values of {len(tokens):,} tokens take {len(tokens) * per_token / 1e9:.1f} GB.",
            "Give a shorter text.",
        )
    return tokens


def loss_and_entropy(logits: torch.Tensor, targets: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """-ln of the probability of what came, and -sum p ln p: nats, float32 [row], from logits [row, d_vocab].

    The last row of a text has no target: its loss is NaN.
    """
    loss = np.full(len(logits), np.nan, dtype=np.float32)
    entropy = np.empty(len(logits), dtype=np.float32)
    for first in range(0, len(logits), 64):  # some rows at a time: probabilities take much memory
        rows = slice(first, first + 64)
        log_p = logits[rows].float().log_softmax(dim=-1)  # [row, d_vocab]
        # 0 times -inf is 0: a token that cannot come adds nothing.
        entropy[rows] = -(log_p.exp() * log_p.clamp_min(-1e4)).sum(dim=-1).numpy()
        wanted = torch.tensor(targets[rows], dtype=torch.long)  # [row], or one less at the end
        loss[first : first + len(wanted)] = -log_p[torch.arange(len(wanted)), wanted].numpy()
    return loss, entropy
