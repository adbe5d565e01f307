"""Text to tokens: ids with the exact bytes that each stands for, and a tokenizer that threads can share."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from model_runtime.errors import PromptError
from model_runtime.records import Coverage, Token
from model_runtime.token_table import SPACE, Table, byte_alphabet

_MOST_TEXTS, _LONGEST_KEPT = 32, 20_000  # texts whose ids are kept, and characters of one
_MOST_NAMED = 5  # characters that a message names
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


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


def is_panic(error: BaseException) -> bool:
    """Whether the code of `tokenizers`, written in Rust, gave up: its error is no Exception, so that it
    passes all handlers, and its class cannot be imported."""
    return type(error).__name__ == "PanicException"


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
    by_name: bool = False  # found in the text by its name, with the blanks around it that it takes


class Tokens:
    """A model's tokenizer behind a lock: fast tokenizers can raise "Already borrowed" under threads.

    Args:
        n_rows: of the model's table of embeddings. A tokenizer can have more entries, of tokens that were
            added without a row; a text that becomes one of them is refused here, before a model reads it.

    Attributes:
        added: what the tokenizer puts around a text by itself, in words; empty if nothing.
        at_odds: where the model's tokenizer_config.json says otherwise than its tokenizer.json, in sentences.
        joins_bytes: a text is the bytes of its tokens, one behind the other; else `text` asks the decoder.
    """

    def __init__(self, tokenizer: Any, n_rows: int | None = None) -> None:
        self._tokenizer = tokenizer
        self._n_rows = n_rows
        self._lock = threading.Lock()
        self._encoded: dict[str, tuple[int, ...]] = {}  # a page asks for its prompt twenty times
        self._table = Table(tokenizer)
        self.joins_bytes = self._table.joins_bytes
        self._by_name: dict[int, Any] = {
            int(token_id): token for token_id, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        }
        unknown = self.coverage.unknown
        self._unknown_id = None if unknown is None else tokenizer.convert_tokens_to_ids(unknown)
        self._special_ids = frozenset(tokenizer.all_special_ids)
        self._special_ids |= {token_id for token_id, token in self._by_name.items() if token.special}
        self._known: dict[int, Token] = {}  # at most one entry per id of the vocabulary
        _READERS.setdefault(id(tokenizer), self)
        before, after = self._find_added()
        self._n_added = len(before) + len(after)
        self.added: tuple[str, ...] = (
            *(f"beginning-of-text token {self.token(one).text} added" for one in before),
            *(f"end-of-text token {self.token(one).text} added" for one in after),
        )
        self.at_odds = self._at_odds(before, after)

    @property
    def coverage(self) -> Coverage:
        """What the table can write."""
        return self._table.coverage

    def _at_odds(self, before: list[int], after: list[int]) -> tuple[str, ...]:
        """What tokenizer_config.json states of what is around a text, and tokenizer.json does otherwise."""
        stated: dict[str, bool] = getattr(self._tokenizer, "stated_around", {})
        said = []
        for short, called, found in (("bos", "beginning-of-text", before), ("eos", "end-of-text", after)):
            asked = stated.get(f"add_{short}_token")
            there = getattr(self._tokenizer, f"{short}_token", None) is not None  # else there is none to add
            if asked is None or asked == bool(found) or (asked and not there):
                continue
            named = f" {''.join(self.token(one).text for one in found)}" if found else ""
            said.append(
                f"tokenizer.json adds {'the' if found else 'no'} {called} token{named}, "
                f"tokenizer_config.json says that {'one' if asked else 'none'} is added "
                f"(add_{short}_token): tokenizer.json is used."
            )
        return tuple(said)

    def _find_added(self) -> tuple[list[int], list[int]]:
        """Ids that the tokenizer puts before and after a text."""
        for text in ("a", ""):  # a table may have neither this letter nor a token for what is unknown
            try:
                read = self._read_text(text, return_special_tokens_mask=True)
            except PromptError:
                continue
            ids, by_itself = list(read["input_ids"]), list(read["special_tokens_mask"])
            own = [at for at, added in enumerate(by_itself) if not added] or [len(ids)]
            return ids[: own[0]], ids[own[-1] + 1 :]
        return [], []

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, with what the tokenizer adds by itself.

        Raises:
            PromptError: the text is empty or blank, has half a character (a lone surrogate), nothing but
                characters that the table lacks, or a token that the model has no row for.
        """
        if not text.strip():
            what = "empty" if not text else "blank: it has only spaces or line breaks"
            raise PromptError(f"The prompt is {what}.", "Type at least one word.")
        utf8(text)
        with self._lock:
            ids = self._encoded.pop(text, None)
        if ids is None:
            ids = tuple(int(token_id) for token_id in self._read_text(text)["input_ids"])
        with self._lock:
            if len(text) <= _LONGEST_KEPT:
                self._encoded[text] = ids  # the last used stand last
            if len(self._encoded) > _MOST_TEXTS:
                self._encoded.pop(next(iter(self._encoded)))
        if len(ids) <= self._n_added:
            raise PromptError(
                f"This model's table has no token for {names_of(text)}: nothing of the text is left to read.",
                "Type a word or a character that it has.",
            )
        self._check_rows(ids)
        return ids

    def encode_with_places(self, text: str) -> list[Place]:
        """Ids as `encode` gives them, each with its place in the text; blank texts are read too.

        Raises:
            PromptError: the text has half a character (a lone surrogate), or a token without a row.
        """
        utf8(text)
        fast = bool(getattr(self._tokenizer, "is_fast", False))
        read = self._read_text(
            text, return_offsets_mapping=fast, return_special_tokens_mask=True, verbose=False
        )
        ids, added = read["input_ids"], read["special_tokens_mask"]
        self._check_rows(ids)
        offsets = read["offset_mapping"] if fast else [None] * len(ids)
        return [
            self._place(text, int(token_id), bool(by_itself), offset)
            for token_id, by_itself, offset in zip(ids, added, offsets, strict=True)
        ]

    def _place(self, text: str, token_id: int, added: bool, offset: tuple[int, int] | None) -> Place:
        if offset is None:
            return Place(token_id, added, None)
        start, end = int(offset[0]), int(offset[1])
        named = self._by_name.get(token_id)
        if named is None or added or start == end:
            return Place(token_id, added, (start, end))
        # Offsets may be trimmed: a token that takes the blanks beside its name takes them all.
        while named.lstrip and start > 0 and text[start - 1].isspace():
            start -= 1
        while named.rstrip and end < len(text) and text[end].isspace():
            end += 1
        return Place(token_id, added, (start, end), by_name=True)

    def lacks(self, character: str) -> bool:
        """Whether the tokenizer leaves this character of a text out, all of it."""
        return self._table.lacks(character)

    def text(self, ids: Sequence[int]) -> str:
        """The text that tokens make together, as the tokenizer's own decoder writes it; no special tokens."""
        if self.joins_bytes:
            return b"".join(self.token(one).bytes for one in ids).decode("utf-8", errors="replace")
        with self._lock:
            return str(self._tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=True))

    def token(self, token_id: int) -> Token:
        """The token with this id; ids beyond the vocabulary (padding rows of the head) have no text."""
        if token_id not in self._known:
            self._known[token_id] = self._read(token_id)
        return self._known[token_id]

    def _read_text(self, text: str, **options: Any) -> Any:
        """What the tokenizer makes of a text."""
        try:
            with self._lock:
                return self._tokenizer(text, **options)
        except Exception as error:  # the package raises bare Exceptions
            raise PromptError(
                "The table of this model lacks something in the text, and has no token for what is unknown.",
                "Write it with other words or characters.",
            ) from error
        except BaseException as error:
            if not is_panic(error):
                raise
            raise PromptError(
                "The tokenizer of this model gives up on the text: its rule for cutting it takes too long.",
                "Write it with other or shorter words.",
            ) from error

    def _check_rows(self, ids: Sequence[int]) -> None:
        """Refuse an id without a row before it reaches the model: on a GPU it would end the process."""
        if self._n_rows is None or not ids or max(ids) < self._n_rows:
            return
        wrong = next(one for one in ids if one >= self._n_rows)
        name = self.token(wrong).text[:40]
        raise PromptError(
            f"The text has {name!r}, token {wrong:,}, but the model's table ends at {self._n_rows - 1:,}: "
            "that token was added to the tokenizer without a row for it.",
            "Leave it out.",
        )

    def _read(self, token_id: int) -> Token:
        with self._lock:
            piece = self._tokenizer.convert_ids_to_tokens(int(token_id))
        if piece is None:
            return Token(int(token_id), f"<unused {token_id}>", b"", special=True)
        if token_id == self._unknown_id:
            return Token(int(token_id), str(piece), b"", special=True, unknown=True)
        if token_id in self._special_ids:
            return Token(int(token_id), str(piece), b"", special=True)
        data = self._bytes(int(token_id), str(piece))
        marked = self._table.bare(str(piece)) != piece and token_id not in self._by_name
        text = str(piece) if marked else data.decode("utf-8", errors="replace")
        return Token(int(token_id), text, data)

    def _bytes(self, token_id: int, piece: str) -> bytes:
        if token_id in self._by_name:
            return str(self._by_name[token_id].content).encode()
        if self._table.byte_level:
            alphabet = byte_alphabet()
            return b"".join(bytes([alphabet[c]]) if c in alphabet else c.encode() for c in piece)
        if match := _BYTE_TOKEN.fullmatch(piece):
            return bytes([int(match[1], 16)])
        return self._table.bare(piece).replace(SPACE, " ").encode()


def names_of(text: str) -> str:
    """The characters of a text by their numbers, each once: "U+0013 and U+0014"."""
    codes = list(dict.fromkeys(f"U+{ord(character):04X}" for character in text if not character.isspace()))
    more = [f"{len(codes) - _MOST_NAMED:,} more"] if len(codes) > _MOST_NAMED else []
    *rest, last = [*codes[:_MOST_NAMED], *more]
    return f"{', '.join(rest)} and {last}" if rest else last
