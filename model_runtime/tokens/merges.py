"""How a token came to be: the merges of a loaded model's tokenizer, replayed on the token's own bytes.

Byte-pair encoding starts from single pieces and joins two neighbours at a time, always the pair that was
learned first (Sennrich et al. 2016, arXiv:1508.07909; on bytes: Radford et al. 2019, section 2.2). The ranks
are read from the tokenizer itself. Nothing is kept on the model.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from model_runtime.records import Token
from model_runtime.token_table import byte_alphabet
from model_runtime.tokenizer import tokens_of, utf8

Pair = tuple[bytes, bytes]
MAX_PIECE = 1_000  # longest word that is replayed, in starting pieces
WORD = -1  # id of the `token` of a word's chain, which is no entry of the vocabulary


@dataclass(frozen=True)
class MergeStep:
    """One merge. `rank` is its place in the tokenizer's list: 0 was learned first."""

    rank: int
    at: int  # index of the left piece, before the merge
    left: bytes
    right: bytes
    pieces: tuple[bytes, ...]  # after the merge


@dataclass(frozen=True)
class MergeChain:
    """The merges that make `token` of `pieces`, in the order in which they are done.

    Without merges `reason` says why: a special token, a starting piece, another kind of tokenizer, or a token
    that merging its own bytes does not give.
    """

    token: Token
    pieces: tuple[bytes, ...]  # at the start: single bytes, or single characters
    steps: tuple[MergeStep, ...]
    reason: str = ""

    @property
    def result(self) -> tuple[bytes, ...]:
        """The pieces at the end: one, unless this is the chain of a word of several tokens."""
        return self.steps[-1].pieces if self.steps else self.pieces


def merge_chain(tokenizer: Any, token_id: int) -> MergeChain:
    """The chain of one token.

    Args:
        tokenizer: `model.tokenizer` of a loaded model.
        token_id: of its vocabulary; others give a chain with a reason.
    """
    token = tokens_of(tokenizer).token(token_id)
    table = _table_of(tokenizer)
    if token.special:
        return MergeChain(token, (), (), "It is a special token: added to the table by hand, not learned.")
    if isinstance(table, str):
        return MergeChain(token, (token.bytes,), (), table)
    pieces = table.start(token.bytes)
    if len(pieces) < 2:
        return MergeChain(token, pieces, (), _why_one_piece(token))
    chain = MergeChain(token, pieces, replay(pieces, table.ranks))
    if chain.result == (token.bytes,):
        return chain
    if token_id in table.added:
        why = "It was added to the table by hand, not learned."
        return MergeChain(token, (token.bytes,), (), why)
    return MergeChain(token, pieces, (), _why_not_reached(table, chain.result))


def word_merges(tokenizer: Any, text: str) -> tuple[MergeChain, ...]:
    """The chains of a text's words, which may end in several tokens: "tokenization" in "token", "ization".

    A word here is what the tokenizer splits off before it merges. `token` has the word and the id `WORD`.
    Words longer than `MAX_PIECE` starting pieces are left with a reason and no steps.

    Raises:
        PromptError: the text has half a character (a lone surrogate).
    """
    utf8(text)
    table = _table_of(tokenizer)
    if isinstance(table, str):
        return (MergeChain(_word(text.encode()), (text.encode(),), (), table),)
    return tuple(_word_chain(table, word) for word in _words(tokenizer, table, text))


def nth_merge(tokenizer: Any, rank: int) -> Pair:
    """The pair that was learned as number `rank`, counted from 0.

    Raises:
        IndexError: there are fewer merges.
    """
    table = _table_of(tokenizer)
    if isinstance(table, str):
        raise IndexError(table)
    return table.merges[rank]


def n_merges(tokenizer: Any) -> int:
    """How many merges a tokenizer has learned; 0 where it is not built from merges."""
    table = _table_of(tokenizer)
    return 0 if isinstance(table, str) else len(table.merges)


class _Table:
    """The merges of one tokenizer, on bytes."""

    def __init__(self, model: dict[str, Any], added: frozenset[int], on_bytes: bool) -> None:
        self.on_bytes = on_bytes
        self.added = added
        self.takes_whole_words = bool(model.get("ignore_merges"))
        written = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        self.merges: tuple[Pair, ...] = tuple(
            (self.piece(left), self.piece(right)) for left, right in written
        )
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        known = frozenset(map(self.piece, model["vocab"]))
        self.vocabulary = known if self.takes_whole_words else frozenset()
        # Bytes that the table has no piece for are left out before anything is merged.
        left_out = on_bytes and model.get("unk_token") is None
        self.lost = frozenset(bytes([byte]) for byte in range(256)) - known if left_out else frozenset()

    def piece(self, written: str) -> bytes:
        """The bytes of a piece as the tokenizer's file writes it."""
        if not self.on_bytes:
            return written.replace("\u2581", " ").encode()
        alphabet = byte_alphabet()
        return b"".join(bytes([alphabet[c]]) if c in alphabet else c.encode() for c in written)

    def start(self, data: bytes) -> tuple[bytes, ...]:
        """The pieces that merging starts from: bytes, or in a tokenizer on characters those; none lost."""
        if self.on_bytes:
            return tuple(one for at in range(len(data)) if (one := data[at : at + 1]) not in self.lost)
        try:
            return tuple(character.encode() for character in data.decode())
        except UnicodeDecodeError:  # a byte that stands for itself
            return (data,)


def replay(pieces: tuple[bytes, ...], ranks: Mapping[Pair, int]) -> tuple[MergeStep, ...]:
    """Join the neighbours learned first, the leftmost of equals, until nothing can be joined.

    This is how a byte-pair encoder cuts a word (Sennrich et al. 2016, algorithm 1, applied): not the longest
    piece first and not from the left, but in the order in which the merges were learned.

    Args:
        pieces: single bytes of one word.
        ranks: pair -> the place in which it was learned.
    """
    steps: list[MergeStep] = []
    never = len(ranks)  # later than any
    while len(pieces) > 1:
        found = [ranks.get(pair, never) for pair in pairwise(pieces)]  # one a pair of neighbours
        rank = min(found)
        if rank == never:
            break
        at = found.index(rank)
        left, right = pieces[at], pieces[at + 1]
        pieces = (*pieces[:at], left + right, *pieces[at + 2 :])
        steps.append(MergeStep(rank, at, left, right, pieces))
    return tuple(steps)


_TABLES: weakref.WeakKeyDictionary[Any, _Table | str] = weakref.WeakKeyDictionary()  # as long as a model is
_READING = threading.Lock()


def _table_of(tokenizer: Any) -> _Table | str:
    """The merges of a tokenizer, read once; or a sentence that says why it has none."""
    with _READING:
        if tokenizer not in _TABLES:
            _TABLES[tokenizer] = _read(tokenizer)
        return _TABLES[tokenizer]


def _read(tokenizer: Any) -> _Table | str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return "This tokenizer does not show its merges."
    described = json.loads(backend.to_str())
    model = described["model"]
    if model.get("type") != "BPE":
        return f"This tokenizer is not built from merges: it is of the kind {model.get('type')}."
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return "This tokenizer marks the parts of words in a way that is not replayed here."
    added = frozenset(int(token["id"]) for token in described.get("added_tokens") or ())
    return _Table(model, added, on_bytes='"ByteLevel"' in json.dumps(described.get("decoder")))


def _why_one_piece(token: Token) -> str:
    if len(token.bytes) == 1:
        return "It is a single byte: what merging starts from."
    return "It is a single character: what merging starts from in this tokenizer."


def _why_not_reached(table: _Table, pieces: tuple[bytes, ...]) -> str:
    ends = " + ".join(repr(piece.decode(errors="replace")) for piece in pieces)
    if table.takes_whole_words:
        return (
            "This tokenizer takes a word that is in its table whole, without merging. "
            f"Merging its bytes would end in {ends}."
        )
    return f"Its own bytes are not encoded as this token: merging them ends in {ends}."


def _word(data: bytes) -> Token:
    return Token(WORD, data.decode(errors="replace"), data)


def _words(tokenizer: Any, table: _Table, text: str) -> list[bytes]:
    """What the tokenizer splits a text into before it merges; names of special tokens are not read."""
    backend = tokenizer.backend_tokenizer
    written = backend.normalizer.normalize_str(text) if backend.normalizer else text
    if backend.pre_tokenizer is None:
        return [table.piece(written)]
    return [table.piece(word) for word, _ in backend.pre_tokenizer.pre_tokenize_str(written)]


def _word_chain(table: _Table, word: bytes) -> MergeChain:
    pieces = table.start(word)
    if len(pieces) > MAX_PIECE:
        return MergeChain(_word(word), (word,), (), f"It has more than {MAX_PIECE:,} pieces to start from.")
    if word in table.vocabulary:
        why = "This tokenizer takes a word that is in its table whole, without merging."
        return MergeChain(_word(word), (word,), (), why)
    return MergeChain(_word(word), pieces, replay(pieces, table.ranks))
