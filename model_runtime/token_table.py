"""What a tokenizer's table can write and what it cannot, and how its pieces join to a text."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from model_runtime.records import Coverage

# Bytes that no text holds in UTF-8 (RFC 3629, section 1): to lack them loses nothing.
NEVER = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))
SPACE = "\u2581"  # SentencePiece writes spaces so
# Decoder steps that put the bytes of the pieces one behind the other and nothing between them.
_JOINING = {"", "Sequence", "ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"}


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


class Table:
    """The parts of a fast tokenizer that decide what its entries stand for.

    Attributes:
        byte_level: the pieces are written in `byte_alphabet`.
        coverage: what the table can write.
        joins_bytes: a text is the bytes of its tokens, one behind the other; else only the tokenizer's own
            decoder knows what stands between two of them.
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        decoder = getattr(backend, "decoder", None)
        self._model: Any = getattr(backend, "model", None)
        kinds = _kinds(decoder)
        self.byte_level = "ByteLevel" in kinds
        self.prefix = str(getattr(self._model, "continuing_subword_prefix", None) or "")
        self.suffix = str(getattr(self._model, "end_of_word_suffix", None) or "")
        kind = type(self._model).__name__
        words = kind in ("WordLevel", "WordPiece") and not self.byte_level
        self.joins_bytes = backend is None or not (
            words or self.prefix or self.suffix or not kinds <= _JOINING
        )
        self.drops = kind == "BPE" and self._unknown(tokenizer) is None
        self.coverage = Coverage(self._missing_bytes(kind), self._unknown(tokenizer))

    def lacks(self, character: str) -> bool:
        """Whether a table that drops what it lacks has no piece for a character, and no bytes for it."""
        if not self.drops or self.byte_level:
            return False
        written = SPACE if character == " " and self._model.token_to_id(SPACE) is not None else character
        if self._model.token_to_id(written) is not None:
            return False
        missing = self.coverage.missing_bytes
        return missing is None or any(byte in missing for byte in character.encode())

    def bare(self, piece: str) -> str:
        """A piece without the marks that only say how it joins to its neighbours."""
        if self.prefix and piece.startswith(self.prefix):
            piece = piece.removeprefix(self.prefix)
        return piece.removesuffix(self.suffix) if self.suffix else piece

    def _unknown(self, tokenizer: Any) -> str | None:
        """The token for all that the table lacks, where the table has one."""
        if self._model is None:
            return None
        # A table of the kind Unigram does not tell; the settings beside it do.
        name = getattr(self._model, "unk_token", getattr(tokenizer, "unk_token", None))
        return str(name) if name is not None and self._model.token_to_id(str(name)) is not None else None

    def _missing_bytes(self, kind: str) -> tuple[int, ...] | None:
        """Bytes of texts without a piece of their own; None where the pieces are not made of bytes."""
        if self.byte_level:
            has = self._model.token_to_id
            lacks = {byte for letter, byte in byte_alphabet().items() if has(letter) is None}
            return tuple(sorted(lacks - NEVER))
        falls_back = getattr(self._model, "byte_fallback", None)
        if falls_back is None and kind == "Unigram":
            falls_back = b'"byte_fallback":true' in bytes(self._model.__getstate__()[-200:])
        if not falls_back:
            return None
        pieces = ((byte, self._model.token_to_id(f"<0x{byte:02X}>")) for byte in range(256))
        return tuple(byte for byte, found in pieces if found is None and byte not in NEVER)


def _kinds(decoder: Any) -> set[str]:
    """Names of the steps that a decoder is made of."""
    described: dict[str, Any] = json.loads(decoder.__getstate__()) if decoder is not None else {}
    steps = [described, *(step for step in described.get("decoders", ()) if isinstance(step, dict))]
    return {str(step.get("type", "")) for step in steps}
