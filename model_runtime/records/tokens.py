"""Tokens, and a text as tokenizers and plainer ways cut it."""

from __future__ import annotations

from dataclasses import dataclass

LOST = -1  # id of a piece of text that no token stands for


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
    unknown: bool = False  # the table's one token for everything that it lacks

    @property
    def lost(self) -> bool:
        """Whether this is no token at all but a piece of text that the table cannot write."""
        return self.id == LOST


@dataclass(frozen=True)
class Coverage:
    """What a tokenizer's table can write.

    A table of all bytes that UTF-8 uses writes every text. Where bytes are missing, and in a table of
    characters or words, what the table lacks becomes its `unknown` token; without one it is lost.
    """

    missing_bytes: tuple[int, ...] | None  # that have no token; None: the table is not made of bytes
    unknown: str | None  # name of the token for what it lacks, None where there is none

    @property
    def complete(self) -> bool:
        """Whether the table can write every text there is."""
        return self.missing_bytes == ()


@dataclass(frozen=True)
class Tokenized:
    """A text as one tokenizer cuts it.

    `spans` are the tokens' places, byte offsets [start, end) in `text.encode()`, in order and without gaps.
    What a tokenizer adds by itself, such as a beginning token, has an empty span at its place. What its table
    cannot write stands among the tokens with the id `LOST`: the model never reads it.
    """

    name: str  # for people
    n_vocab: int  # entries of the tokenizer's table
    text: str
    tokens: tuple[Token, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def read(self) -> tuple[Token, ...]:
        """The tokens that a model reads: without what is lost."""
        return tuple(token for token in self.tokens if not token.lost)

    @property
    def lost(self) -> tuple[Token, ...]:
        """The pieces of the text that no token stands for."""
        return tuple(token for token in self.tokens if token.lost)

    @property
    def n_taking(self) -> int:
        """Tokens that stand for some of the text, so not those that the tokenizer adds."""
        return sum(
            start < end for token, (start, end) in zip(self.tokens, self.spans, strict=True) if not token.lost
        )

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
