"""Tokens, and a text as tokenizers and plainer ways cut it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One token as the model reads it.

    `text` is what a person reads (undecodable bytes appear as U+FFFD); `bytes` are the exact bytes the
    token stands for, empty for a special token, whose name is in `text`.
    """

    id: int
    text: str
    bytes: bytes
    special: bool = False


@dataclass(frozen=True)
class Tokenized:
    """A text as one tokenizer cuts it.

    `spans` are the tokens' places, byte offsets [start, end) in `text.encode()`, in order and without gaps
    where the tokenizer keeps all of the text (byte-level ones do). What a tokenizer adds by itself, such as a
    beginning token, has an empty span at its place.
    """

    name: str  # for people
    n_vocab: int  # entries of the tokenizer's table
    text: str
    tokens: tuple[Token, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def nbytes(self) -> int:
        """Roughly, with Python's own overhead."""
        return len(self.text.encode()) + 400 * len(self.tokens)


@dataclass(frozen=True)
class Level:
    """A text at one level.

    `known` tells of each piece whether the table has it; `n_vocab` counts the table's entries. The table of
    words and that of characters have what the known text has (and would need one entry more, which stands
    for everything unknown); the table of bytes has all 256, so no byte is ever unknown.
    """

    name: str  # "words", "characters", "bytes"
    pieces: tuple[str, ...]  # bytes as two hexadecimal digits
    known: tuple[bool, ...]
    n_vocab: int

    @property
    def n_unknown(self) -> int:
        """Pieces that the table does not have, repeats counted."""
        return self.known.count(False)
