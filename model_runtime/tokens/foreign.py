"""The wrong tokenizer: what a model reads when it is given the numbers that another tokenizer made.

A token id is a row of the model's own table. Another tokenizer's ids are rows too, of other words; ids beyond
the table do not exist and are refused. Both readings are real forward passes of the loaded model.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from model_runtime.errors import PromptError
from model_runtime.finite import finite
from model_runtime.model import Model
from model_runtime.records import Token, Tokenized
from model_runtime.records.distributions import log_softmax
from model_runtime.run import Turn

MAX_TOKENS = 256  # tokens that are read of each text
N_NEXT = 5  # likeliest next tokens kept
_LOGIT_BYTES = 64 * 1024**2  # of logits held at a time, float32

Next = tuple[tuple[int, float], ...]  # (id, probability), the likeliest first


@dataclass(frozen=True, eq=False)
class ForeignReading:
    """One text read by a model twice: from its own tokenizer's ids and from another's.

    A surprise is -ln of the probability that the model gave a token before it came, in nats, float32 [pos];
    NaN at the first token, which nothing comes before, and where an id is outside the model's table. Such ids
    are left out of the foreign reading, as the model refuses them.
    """

    name: str  # of the other tokenizer
    ids: tuple[int, ...]  # the other tokenizer's, `n_max` at most
    read: tuple[Token | None, ...]  # what the model's own table has at these ids; None: beyond the table
    foreign_surprise: np.ndarray
    n_outside: int  # of `ids`
    error: str  # the model's own words when it is given all of `ids`; "" if it takes them
    own_ids: tuple[int, ...]  # the model's own, with what its tokenizer adds, `n_max` at most
    own_surprise: np.ndarray
    next_own: Next
    next_foreign: Next  # () where all ids are outside
    n_max: int  # tokens that are read of each
    n_foreign: int  # tokens of the whole text in the other tokenizer
    n_own: int  # tokens of the whole text in the model's

    @property
    def is_cut(self) -> bool:
        """Whether the text was longer than what is read."""
        return max(self.n_foreign, self.n_own) > self.n_max

    @property
    def nbytes(self) -> int:
        """Roughly, with Python's own overhead."""
        return self.own_surprise.nbytes + self.foreign_surprise.nbytes + 300 * len(self.ids + self.own_ids)


def read_foreign(model: Model, tokenized: Tokenized, turn: Turn = nullcontext) -> ForeignReading:
    """Read `tokenized.text` from the model's own ids and from those of `tokenized`. Two forward passes.

    At most `MAX_TOKENS` tokens of each are read, fewer where the model's context is shorter. Nothing is put
    in front of the other tokenizer's ids.

    Args:
        turn: entered around each pass.

    Raises:
        PromptError: the text is blank.
    """
    own = model.tokens.encode(tokenized.text)
    foreign = tuple(token.id for token in tokenized.tokens)
    n_max = min(MAX_TOKENS, model.spec.n_ctx)
    own_ids, ids = own[:n_max], foreign[:n_max]
    inside = np.array([0 <= token_id < model.spec.d_vocab for token_id in ids], dtype=bool)
    kept = tuple(token_id for token_id, there in zip(ids, inside, strict=True) if there)
    with turn():
        own_surprise, next_own = surprises_and_next(model, own_ids)
    surprise = np.full(len(ids), np.nan, dtype=np.float32)
    next_foreign: Next = ()
    if kept:
        with turn():
            surprise[inside], next_foreign = surprises_and_next(model, kept)
    return ForeignReading(
        name=tokenized.name,
        ids=ids,
        read=tuple(model.token(i) if there else None for i, there in zip(ids, inside, strict=True)),
        foreign_surprise=surprise,
        n_outside=len(ids) - len(kept),
        error=refusal_of(model, ids),
        own_ids=own_ids,
        own_surprise=own_surprise,
        next_own=next_own,
        next_foreign=next_foreign,
        n_max=n_max,
        n_foreign=len(foreign),
        n_own=len(own),
    )


def refusal_of(model: Model, ids: tuple[int, ...]) -> str:
    """What the model says to these ids; "" if it would read them."""
    try:
        model.prompt_ids(ids)
    except PromptError as error:
        return str(error)
    return ""


def surprises_and_next(model: Model, ids: tuple[int, ...]) -> tuple[np.ndarray, Next]:
    """Surprise of each token, and the likeliest next ones. Logits of a large vocabulary come in parts."""
    surprise = np.full(len(ids), np.nan, dtype=np.float32)
    n_rows = max(1, _LOGIT_BYTES // (4 * model.spec.d_vocab))
    likeliest: Next = ()
    for start in range(0, len(ids), n_rows):
        rows = range(start, min(start + n_rows, len(ids)))
        logits = model.trace(ids, points=(), layers=(), logits_at=rows).get("logits")
        finite(logits, f"the logits that {model.spec.name} has for this text")
        for row, scores in zip(rows, logits, strict=True):
            if row + 1 < len(ids):
                surprise[row + 1] = -log_softmax(scores)[ids[row + 1]]
            else:
                likeliest = likeliest_next(scores)
    return surprise, likeliest


def likeliest_next(scores: np.ndarray) -> Next:
    probabilities = np.exp(log_softmax(scores))
    best = np.argsort(-probabilities, kind="stable")[:N_NEXT]
    return tuple((int(i), float(probabilities[i])) for i in best)
