"""Byte-pair encoding, trained on a text one merge at a time: made to be read, fast enough to play with.

The pages show `count_pairs`, `merge_pair` and `merge_word` as they stand here. The algorithm is that of
Sennrich et al. 2016 (arXiv:1508.07909, algorithm 1) on bytes (Radford et al. 2019, section 2.2): count which
two neighbours stand together most often, join them everywhere, repeat. Of equally frequent pairs the one met
first in the text is taken, as in tiktoken's educational code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any, Literal

import numpy as np

from model_runtime.errors import PromptError, SettingError
from model_runtime.tokenizer import utf8

Pair = tuple[bytes, bytes]
Cut = Literal["words", "text"]

MAX_CHARACTERS = 20_000  # longest text that is trained on, in characters
MAX_MERGES = 500
N_BYTES = 256  # the vocabulary before the first merge
N_TOP = 12  # most frequent pairs kept of each step


def count_pairs(words: list[list[bytes]]) -> Counter[Pair]:
    """How often each two neighbours stand together in a word, in the order in which they are first met."""
    return Counter(chain.from_iterable(map(pairwise, words)))


def merge_pair(words: list[list[bytes]], pair: Pair) -> list[list[bytes]]:
    """The words with the pair joined wherever it stands."""
    return [merge_word(word, pair) if pair[0] in word else word for word in words]


def merge_word(pieces: list[bytes], pair: Pair) -> list[bytes]:
    """One word with the pair joined, from left to right: "aaa" becomes "aa", "a"."""
    left, right = pair
    merged: list[bytes] = []
    at = 0
    while at < len(pieces):
        if pieces[at] == left and pieces[at + 1 : at + 2] == [right]:
            merged.append(left + right)
            at += 2
        else:
            merged.append(pieces[at])
            at += 1
    return merged


@dataclass(frozen=True)
class TrainStep:
    """One merge of a training."""

    pair: Pair
    count: int  # how often the two stood together; "aaa" has the pair a, a twice and room to join it once
    merged: bytes
    top: tuple[tuple[Pair, int], ...]  # the most frequent pairs before this merge, `N_TOP` at most
    n_pieces: int  # of the whole text, after this merge
    n_vocab: int  # entries after it; one more, unless another pair made the same bytes before


@dataclass(frozen=True, eq=False)
class BpeTraining:
    """A training on one text. It ends early when nothing is left to join."""

    text: str
    cut: Cut
    pieces: tuple[bytes, ...]  # at the start: single bytes
    steps: tuple[TrainStep, ...]
    top: tuple[tuple[Pair, int], ...]  # the most frequent pairs after the last step
    joined_at: np.ndarray  # uint16 [n_bytes - 1]: the step, from 1, that removed the border after each byte

    @property
    def nbytes(self) -> int:
        """Roughly, with Python's own overhead."""
        return self.joined_at.nbytes + 10 * len(self.pieces) + 2_000 * (len(self.steps) + 1)


def train_bpe(text: str, n_merges: int, cut: Cut = "words") -> BpeTraining:
    """Learn up to `n_merges` merges from a text, the most frequent pair each time.

    Args:
        text: what to learn from; may be empty.
        n_merges: 0 to `MAX_MERGES`.
        cut: "words" joins nothing across the words of GPT-2's splitting rule; "text" takes the text as one.

    Raises:
        PromptError: more than `MAX_CHARACTERS` characters, or half a character (a lone surrogate).
        SettingError: another number of merges, or another cut.
    """
    words = _checked_start(text, n_merges, cut)
    start = tuple(piece for word in words for piece in word)
    joined_at = np.full(max(len(start) - 1, 0), _NEVER, dtype=np.uint16)
    vocabulary: set[bytes] = set()
    steps: list[TrainStep] = []
    while True:
        top = tuple(count_pairs(words).most_common(N_TOP))
        if not top or len(steps) == n_merges:
            return BpeTraining(text, cut, start, tuple(steps), top, joined_at)
        pair, count = top[0]
        words = merge_pair(words, pair)
        vocabulary.add(pair[0] + pair[1])
        n_pieces = _note_borders(words, joined_at, len(steps) + 1)
        steps.append(TrainStep(pair, count, pair[0] + pair[1], top, n_pieces, N_BYTES + len(vocabulary)))


def pieces_after(training: BpeTraining, step: int) -> tuple[bytes, ...]:
    """The whole text in pieces after the first `step` merges; joined they are the text.

    Args:
        step: 0 gives single bytes; numbers outside the training give its first or last state.
    """
    data = training.text.encode()
    step = min(max(step, 0), len(training.steps))
    borders = [0, *(np.flatnonzero(training.joined_at > step) + 1).tolist(), len(data)]
    return tuple(data[start:end] for start, end in pairwise(borders) if end > start)


_NEVER = np.iinfo(np.uint16).max


def _note_borders(words: list[list[bytes]], joined_at: np.ndarray, step: int) -> int:
    """Write `step` at the borders that were there before it and are no more; how many pieces are left."""
    n_pieces = sum(map(len, words))
    widths = np.fromiter(map(len, chain.from_iterable(words)), dtype=np.int64, count=n_pieces)
    gone = joined_at == _NEVER
    gone[widths.cumsum()[:-1] - 1] = False
    joined_at[gone] = step
    return n_pieces


def _checked_start(text: str, n_merges: int, cut: str) -> list[list[bytes]]:
    """The words that nothing is joined across, each in single bytes."""
    data = utf8(text)
    if len(text) > MAX_CHARACTERS:
        raise PromptError(
            f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are trained on.",
            f"Shorten it by {len(text) - MAX_CHARACTERS:,} characters or more.",
        )
    if not 0 <= n_merges <= MAX_MERGES:
        raise SettingError(f"{n_merges:,} merges were asked for.", f"Ask for 0 to {MAX_MERGES:,}.")
    if cut not in ("words", "text"):
        raise SettingError(f"There is no cut {cut!r}.", 'Use "words" or "text".')
    words = [word.encode() for word in _word_pattern().findall(text)] if cut == "words" else [data]
    return [[word[at : at + 1] for at in range(len(word))] for word in words]


@cache
def _word_pattern() -> Any:
    """GPT-2's rule: a word with the space before it, a number, marks, or spaces."""
    import regex
    from tiktoken_ext.openai_public import r50k_pat_str

    return regex.compile(r50k_pat_str)
