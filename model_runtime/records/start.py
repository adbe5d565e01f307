"""One block and one token: what attention brought in, from where, and what the model would guess there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.records.sized import Sized


@dataclass(frozen=True, eq=False)
class AttentionReading(Sized):
    """What attention of one block brought in for one token, from which tokens and by which heads.

    Attributes:
        key_lengths: length of what comes from each token, all heads together, float32 [key_pos]: of the sum
            over heads of pattern x v W_O (Kobayashi et al. 2020, arXiv:2004.10102), before the output's bias
            and any norm after attention. A token that is looked at much and says little has a short one.
        head_lengths: length of what each head adds (z W_O), float32 [head].
        head_reads: for each head, the token that it reads most, int64 [head], ...
        head_shares: ... and the share of its attention that goes there, float32 [head].
    """

    layer: int
    position: int
    key_lengths: np.ndarray
    head_lengths: np.ndarray
    head_reads: np.ndarray
    head_shares: np.ndarray

    @property
    def strongest_head(self) -> int:
        """The head that adds most; of equal ones the first."""
        return int(self.head_lengths.argmax())

    def largest(self, most: int) -> tuple[tuple[int, float], ...]:
        """(token position, length) of the `most` longest pieces, longest first; of equal ones the first."""
        order = np.argsort(-self.key_lengths[: self.position + 1], kind="stable")[:most]
        return tuple((int(key), float(self.key_lengths[key])) for key in order)


@dataclass(frozen=True)
class EarlyGuess(Sized):
    """The stream at one point, read out as if the model ended there.

    Attributes:
        point: "resid_pre", "resid_mid" or "resid_post".
        ids, probabilities: the likeliest next tokens, the likeliest first.
        probability, rank: of the token that was asked about; rank 1 is the likeliest.
    """

    point: str
    ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    probability: float
    rank: int


@dataclass(frozen=True)
class EarlyGuesses(Sized):
    """The guess before a block, between attention and MLP (not in parallel blocks), and after it.

    By the logit lens (nostalgebraist 2020): the model's own final norm, output table and soft cap, applied to
    the stream where they are not trained for it. After the last block it is the model's own guess.

    Attributes:
        token: the id that `probability` and `rank` of each guess are about.
        experts: (expert, weight) of those that the token asked; () in a dense layer.
    """

    layer: int
    position: int
    token: int
    guesses: tuple[EarlyGuess, ...]
    experts: tuple[tuple[int, float], ...]
