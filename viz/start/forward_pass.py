"""From prompt to next token: the whole forward pass of one prompt in one picture.

Reading order of the picture: tokens -> embedding -> every block, with what attention and the MLP add to
the residual stream of one token -> final norm -> the likeliest next tokens. How long a vector is (its
Euclidean norm) is the only measure of size used; the drawing itself is in `forward_pass_panels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records.distributions import softmax

MOST_TOKEN_ROWS = 14
N_CANDIDATES = 10
N_EMBEDDING_CELLS = 10


@dataclass(frozen=True)
class TokenRow:
    """One row of the token column: the text, its id, and the first numbers of its embedding."""

    position: int
    text: str
    id: int
    embedding: tuple[float, ...]  # the first N_EMBEDDING_CELLS of d_model numbers


@dataclass(frozen=True)
class Block:
    """What one block did to the stream of the selected token. Lengths are Euclidean norms.

    >>> block = Block(layer=3, before=60.0, attention=30.0, mlp=10.0, after=80.0)
    >>> block.attention_share, block.mlp_share
    (0.3, 0.1)
    """

    layer: int
    before: float  # length of the stream as it enters
    attention: float  # length of the vector that attention adds
    mlp: float  # length of the vector that the MLP (or the experts) adds
    after: float  # length of the stream as it leaves: vectors add head to tail, so lengths do not add up

    @property
    def attention_share(self) -> float:
        """Attention's part of the lengths that this block sums (before + attention + mlp), 0 to 1."""
        return _share(self.attention, self.before + self.attention + self.mlp)

    @property
    def mlp_share(self) -> float:
        """The MLP's part of the lengths that this block sums, 0 to 1."""
        return _share(self.mlp, self.before + self.attention + self.mlp)


@dataclass(frozen=True)
class Candidate:
    """One possible next token. `rank` 1 is the likeliest of the whole vocabulary."""

    id: int
    text: str
    probability: float
    rank: int


@dataclass(frozen=True)
class ForwardPass:
    """All that the picture says, in plain values."""

    n_tokens: int
    rows: tuple[TokenRow | None, ...]  # None where tokens are left out
    selected: TokenRow
    selected_layer: int | None
    d_model: int
    d_vocab: int
    norm: str  # "RMSNorm" or "LayerNorm"
    mlp_name: str  # "MLP" or "experts"
    blocks: tuple[Block, ...]
    final_length: float | None  # after the final norm; None where a family has none
    candidates: tuple[Candidate, ...]  # likeliest first
    rest_probability: float  # of all other tokens of the vocabulary together
    followed_by: Candidate | None  # what the prompt has next, when an earlier token is selected

    @property
    def n_left_out(self) -> int:
        """How many tokens of the prompt have no row."""
        return self.n_tokens - sum(row is not None for row in self.rows)

    @property
    def stream_lengths(self) -> tuple[float, ...]:
        """Length of the stream before the first block and after each block: n_layers + 1 numbers."""
        return (self.blocks[0].before, *(block.after for block in self.blocks)) if self.blocks else ()


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def shown_positions(n_tokens: int, selected: int, most: int = MOST_TOKEN_ROWS) -> tuple[int | None, ...]:
    """Which tokens get a row: the first, the last three and those around the selected one; None is a gap.

    >>> shown_positions(4, 1)
    (0, 1, 2, 3)
    >>> shown_positions(100, 50, most=9)
    (0, None, 49, 50, 51, None, 97, 98, 99)
    """
    if n_tokens <= most:
        return tuple(range(n_tokens))
    keep = {0, n_tokens - 3, n_tokens - 2, n_tokens - 1, selected}
    reach = 1
    while len(_with_gaps({*keep, *_around(selected, reach, n_tokens)})) <= most:
        keep |= _around(selected, reach, n_tokens)
        reach += 1
    return _with_gaps(keep)


def _around(position: int, reach: int, n_tokens: int) -> set[int]:
    return {p for p in range(position - reach, position + reach + 1) if 0 <= p < n_tokens}


def _with_gaps(positions: set[int]) -> tuple[int | None, ...]:
    rows: list[int | None] = []
    for position in sorted(positions):
        if rows and position != rows[-1] + 1:  # type: ignore[operator]  # the last row is never a gap
            rows.append(None)
        rows.append(position)
    return tuple(rows)


def forward_pass_record(
    *,
    token_texts: Sequence[str],
    token_ids: Sequence[int],
    selected: int,
    selected_layer: int | None,
    embedding: np.ndarray,  # [pos, d_model]: the rows of the embedding table
    attention_lengths: np.ndarray,  # [layer] of the selected token
    mlp_lengths: np.ndarray,  # [layer]
    stream_lengths: np.ndarray,  # [layer + 1]: entering the first block, then after each block
    final_length: float | None,
    logits: np.ndarray,  # [d_vocab] at the selected position
    text_of: Callable[[int], str],  # token id -> what a person reads
    norm: str,
    mlp_name: str = "MLP",
) -> ForwardPass:
    """Values of one trace -> what will be drawn.

    Raises:
        ValueError: the arrays disagree about the number of tokens or layers.
    """
    n_layers = len(attention_lengths)
    if len(token_ids) != len(token_texts) or len(embedding) != len(token_ids):
        raise ValueError(f"{len(token_texts)} texts, {len(token_ids)} ids, {len(embedding)} embeddings")
    if len(mlp_lengths) != n_layers or len(stream_lengths) != n_layers + 1:
        raise ValueError(
            f"{n_layers} attention, {len(mlp_lengths)} MLP, {len(stream_lengths)} stream lengths"
        )

    def row(position: int) -> TokenRow:
        numbers = tuple(float(x) for x in embedding[position, :N_EMBEDDING_CELLS])
        return TokenRow(position, token_texts[position], int(token_ids[position]), numbers)

    probabilities = softmax(logits)
    likeliest = _likeliest(probabilities, N_CANDIDATES)
    is_last = selected == len(token_ids) - 1
    return ForwardPass(
        n_tokens=len(token_ids),
        rows=tuple(None if p is None else row(p) for p in shown_positions(len(token_ids), selected)),
        selected=row(selected),
        selected_layer=selected_layer,
        d_model=int(embedding.shape[1]),
        d_vocab=int(logits.shape[0]),
        norm=norm,
        mlp_name=mlp_name,
        blocks=tuple(
            Block(
                layer=layer,
                before=float(stream_lengths[layer]),
                attention=float(attention_lengths[layer]),
                mlp=float(mlp_lengths[layer]),
                after=float(stream_lengths[layer + 1]),
            )
            for layer in range(n_layers)
        ),
        final_length=final_length,
        candidates=tuple(_candidate(i, probabilities, text_of) for i in likeliest),
        rest_probability=max(0.0, 1.0 - float(probabilities[likeliest].sum())),
        followed_by=None if is_last else _candidate(int(token_ids[selected + 1]), probabilities, text_of),
    )


def _likeliest(probabilities: np.ndarray, n: int) -> list[int]:
    """Ids of the n largest, largest first; equal ones by id, so that a picture never flickers."""
    return [int(i) for i in np.argsort(-probabilities, kind="stable")[:n]]


def _candidate(token_id: int, probabilities: np.ndarray, text_of: Callable[[int], str]) -> Candidate:
    p = float(probabilities[token_id])
    return Candidate(token_id, text_of(token_id), p, rank=int((probabilities > p).sum()) + 1)
