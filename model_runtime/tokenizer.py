"""Text to tokens: ids with the exact bytes that each stands for, and a tokenizer that threads can share."""

from __future__ import annotations

import json
import re
import threading
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from model_runtime.errors import PromptError
from model_runtime.records import Token

_MOST_TEXTS, _LONGEST_KEPT = 32, 20_000  # texts whose ids are kept, and characters of one
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


@lru_cache(maxsize=1)
def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes: character -> byte (Radford et al. 2019, encoder.py).

    Printable bytes stand for themselves; the others get characters from U+0100 on, in order.

    >>> byte_alphabet()["A"], byte_alphabet()["\\u0120"]
    (65, 32)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return alphabet | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


def _decoder_kinds(tokenizer: Any) -> set[str]:
    """Names of the steps that the fast tokenizer's decoder is made of."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return set()
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    return {decoder.get("type", "")} | {step.get("type", "") for step in decoder.get("decoders", ())}


def utf8(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        PromptError: it has half a character (a lone surrogate), which has no bytes.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise PromptError(f"The prompt has half of a character ({code}).", "Remove it.") from None


# A reader holds its tokenizer, so an id means that tokenizer for as long as its entry is here.
_READERS: WeakValueDictionary[int, Tokens] = WeakValueDictionary()


def tokens_of(tokenizer: Any) -> Tokens:
    """The reader of a loaded model's tokenizer, with its lock; a new one for a tokenizer of no model."""
    return _READERS.get(id(tokenizer)) or Tokens(tokenizer)


class Place(NamedTuple):
    """Where the tokenizer says that a token stands: characters [start, end) of the text as it came."""

    token_id: int
    added: bool  # put there by the tokenizer, not read in the text
    characters: tuple[int, int] | None  # None where a tokenizer keeps no offsets


class Tokens:
    """A model's tokenizer behind a lock: fast tokenizers can raise "Already borrowed" under threads.

    Attributes:
        added: what the tokenizer puts around a text by itself, in words; empty if nothing.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._encoded: dict[str, tuple[int, ...]] = {}  # a page asks for its prompt twenty times
        kinds = _decoder_kinds(tokenizer)
        self._byte_level = "ByteLevel" in kinds
        self._special_ids = frozenset(tokenizer.all_special_ids)
        self._added_texts: dict[int, str] = {
            int(token_id): token.content
            for token_id, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        }
        self._special_ids |= {
            int(token_id)
            for token_id, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
            if token.special
        }
        self._known: dict[int, Token] = {}  # at most one entry per id of the vocabulary
        _READERS.setdefault(id(tokenizer), self)
        before, after = self._find_added()
        self.added: tuple[str, ...] = (
            *(f"beginning-of-text token {self.token(one).text} added" for one in before),
            *(f"end-of-text token {self.token(one).text} added" for one in after),
        )

    def _find_added(self) -> tuple[list[int], list[int]]:
        """Ids that the tokenizer puts before and after a text."""
        with self._lock:
            full = list(self._tokenizer("a")["input_ids"])
            bare = list(self._tokenizer("a", add_special_tokens=False)["input_ids"])
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return full[:start], full[start + len(bare) :]
        return [], []

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, with what the tokenizer adds by itself.

        Raises:
            PromptError: the text is empty or blank, or has half a character (a lone surrogate).
        """
        if not text.strip():
            what = "empty" if not text else "blank: it has only spaces or line breaks"
            raise PromptError(f"The prompt is {what}.", "Type at least one word.")
        utf8(text)
        with self._lock:
            ids = self._encoded.pop(text, None)
            if ids is None:
                ids = tuple(int(token_id) for token_id in self._tokenizer(text)["input_ids"])
            if len(text) <= _LONGEST_KEPT:
                self._encoded[text] = ids  # the last used stand last
            if len(self._encoded) > _MOST_TEXTS:
                self._encoded.pop(next(iter(self._encoded)))
        return ids

    def encode_with_places(self, text: str) -> list[Place]:
        """Ids as `encode` gives them, each with its place in the text; blank texts are read too.

        Raises:
            PromptError: the text has half a character (a lone surrogate).
        """
        utf8(text)
        fast = bool(getattr(self._tokenizer, "is_fast", False))
        with self._lock:
            read = self._tokenizer(
                text, return_offsets_mapping=fast, return_special_tokens_mask=True, verbose=False
            )
        ids, added = read["input_ids"], read["special_tokens_mask"]
        offsets = read["offset_mapping"] if fast else [None] * len(ids)
        return [
            Place(
                int(token_id), bool(by_itself), None if offset is None else (int(offset[0]), int(offset[1]))
            )
            for token_id, by_itself, offset in zip(ids, added, offsets, strict=True)
        ]

    def token(self, token_id: int) -> Token:
        """The token with this id; ids beyond the vocabulary (padding rows of the head) have no text."""
        if token_id not in self._known:
            self._known[token_id] = self._read(token_id)
        return self._known[token_id]

    def _read(self, token_id: int) -> Token:
        with self._lock:
            piece = self._tokenizer.convert_ids_to_tokens(int(token_id))
        if piece is None:
            return Token(int(token_id), f"<unused {token_id}>", b"", special=True)
        if token_id in self._special_ids:
            return Token(int(token_id), str(piece), b"", special=True)
        data = self._bytes(int(token_id), str(piece))
        return Token(int(token_id), data.decode("utf-8", errors="replace"), data)

    def _bytes(self, token_id: int, piece: str) -> bytes:
        if token_id in self._added_texts:
            return self._added_texts[token_id].encode()
        if self._byte_level:
            alphabet = byte_alphabet()
            return b"".join(bytes([alphabet[c]]) if c in alphabet else c.encode() for c in piece)
        if match := _BYTE_TOKEN.fullmatch(piece):
            return bytes([int(match[1], 16)])
        return piece.replace("\u2581", " ").encode()  # SentencePiece writes spaces as U+2581
