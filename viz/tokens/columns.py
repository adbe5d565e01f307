"""One text cut several ways, side by side: what the browser draws (`assets/js/token_columns.js`).

A long text is shown a stretch at a time, the same stretch in every column, so that the page stays light;
all counts are of the whole text.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from model_runtime.records import Level, Token, Tokenized
from viz.style import shorten, token_color, visible

MOST_PIECES = 400  # of one column in a stretch
LONGEST_PIECE = 200  # characters of one token; a blob of thousands must not push all others away
LONGEST_HEX = 24  # bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a column.

    `kind` is "" for an ordinary piece, "added" for what the tokenizer puts there by itself, "unknown" for
    what the table does not have, "lost" for what it has no token of any kind for.
    `part_of` names the characters that the piece has only some bytes of.
    """

    id: int | None
    shown: str
    start: int  # byte offset in the text
    end: int
    hex: str
    color: str
    agreed: bool = True  # every other column has a piece of exactly these bytes
    kind: str = ""
    part_of: str = ""


@dataclass(frozen=True)
class Column:
    """One way to cut the text.

    `n_pieces` counts what stands for some of the text, `n_added` what was added to it, `n_lost` stretches
    of it that nothing stands for.
    """

    key: str
    title: str
    n_vocab: int
    pieces: tuple[Piece, ...]
    n_added: int = 0
    unit: str = "token"

    @property
    def n_pieces(self) -> int:
        return len(self.pieces) - self.n_added - self.n_lost

    @property
    def n_lost(self) -> int:
        return sum(piece.kind == "lost" for piece in self.pieces)

    @property
    def positions(self) -> tuple[int | None, ...]:
        """Of each piece: which of the tokens that a model reads it is; None for what is lost."""
        ranks = accumulate((piece.kind != "lost" for piece in self.pieces), initial=0)
        return tuple(
            None if piece.kind == "lost" else rank for piece, rank in zip(self.pieces, ranks, strict=False)
        )

    @property
    def n_apart(self) -> int:
        """Pieces that not every other column has."""
        return sum(not piece.agreed for piece in self.pieces)

    @property
    def n_unknown(self) -> int:
        return sum(piece.kind == "unknown" for piece in self.pieces)


@dataclass(frozen=True)
class Columns:
    """All columns of one text, and the stretch that is shown: bytes [start, end)."""

    columns: tuple[Column, ...]
    n_characters: int
    n_bytes: int
    stretches: tuple[tuple[int, int], ...]
    shown: int  # which of them


def token_column(
    key: str, tokenized: Tokenized, agreed: Sequence[bool] | None = None, title: str = ""
) -> Column:
    """A tokenizer's column.

    Args:
        key: names the column towards the browser.
        agreed: for each token, whether all other columns have it too; None: there is no other.
    """
    data = tokenized.text.encode()
    same = agreed if agreed is not None else (True,) * len(tokenized.tokens)
    pieces = tuple(
        _token_piece(token, span, data, is_same)
        for token, span, is_same in zip(tokenized.tokens, tokenized.spans, same, strict=True)
    )
    added = sum(piece.kind == "added" for piece in pieces)
    return Column(key, title or tokenized.name, tokenized.n_vocab, pieces, added)


def _token_piece(token: Token, span: tuple[int, int], data: bytes, agreed: bool) -> Piece:
    start, end = span
    partial = "\ufffd" in token.text and bool(token.bytes)
    shown, in_hex = _written(token.text, token.bytes or data[start:end], partial)
    kind = "lost" if token.lost else "added" if token.special and start == end else ""
    if token.unknown and data[start:end] != token.text.encode():
        kind, shown = "unknown", _written(data[start:end].decode("utf-8", "replace"), b"", False)[0]
    return Piece(
        id=None if token.lost else token.id,
        shown=shown,
        start=start,
        end=end,
        hex=in_hex,
        color=token_color(max(token.id, 0)),
        agreed=agreed or token.lost,
        kind=kind,
        part_of=split_characters(data, start, end) if partial else "",
    )


@lru_cache(maxsize=16_384)
def _written(text: str, data: bytes, partial: bool) -> tuple[str, str]:
    """A token as it is shown, and its bytes. Kept: a long text repeats its tokens, and so does every key."""
    return f"⟨{hexed(data)}⟩" if partial else in_lines(text) or "⟨empty⟩", hexed(data, " ")


def level_column(level: Level, text: str, title: str, unit: str) -> Column:
    """A column of words, characters or bytes. The same piece has the same colour everywhere."""
    is_bytes = level.name == "bytes"
    pieces, at = [], 0
    data = text.encode()
    for name, known in zip(level.pieces, level.known, strict=True):
        own = bytes.fromhex(name) if is_bytes else name.encode()
        start = at if is_bytes else data.index(own, at)
        at = start + len(own)
        color = token_color(own[0] if is_bytes else zlib.crc32(own))
        kind = "" if known else "unknown"
        shown = name if is_bytes else in_lines(name)
        pieces.append(Piece(None, shown, start, at, hexed(own, " "), color, kind=kind))
    return Column(level.name, title, level.n_vocab, tuple(pieces), unit=unit)


def columns_record(
    columns: Sequence[Column], text: str, *, at_byte: int | None = None, stretch: int | None = None
) -> Columns:
    """Put columns of one text side by side.

    Args:
        at_byte: show the stretch that holds this byte of the text (None: the last one).
        stretch: show this one, whatever `at_byte` says; clamped.
    """
    n_bytes = len(text.encode())
    parts = stretches([[piece.start for piece in column.pieces] for column in columns], n_bytes)
    shown = len(parts) - 1
    if stretch is not None:
        shown = min(max(stretch, 0), shown)
    elif at_byte is not None:
        shown = max(bisect_left([start for start, _ in parts], at_byte + 1) - 1, 0)
    return Columns(tuple(columns), len(text), n_bytes, parts, shown)


def stretches(
    starts: Sequence[Sequence[int]], n_bytes: int, most: int = MOST_PIECES
) -> tuple[tuple[int, int], ...]:
    """Cut a text into stretches in each of which no column has more than `most` pieces beginning.

    Args:
        starts: for each column the byte offsets at which its pieces begin, rising.

    >>> stretches([[0, 2, 4, 6], [0, 3]], 8, most=2)
    ((0, 4), (4, 8))
    """
    parts: list[tuple[int, int]] = []
    start = 0
    while True:
        ends = []
        for column in starts:
            after = bisect_left(column, start) + most
            ends.append(column[after] if after < len(column) else n_bytes)
        end = max(min(ends, default=n_bytes), start + 1)  # pieces of no bytes all begin at one place
        if end >= n_bytes:
            return (*parts, (start, n_bytes))
        parts.append((start, end))
        start = end


def shown_pieces(column: Column, record: Columns) -> range:
    """Positions of the column's pieces that begin in the stretch on show."""
    start, end = record.stretches[record.shown]
    begins = [piece.start for piece in column.pieces]
    last = record.shown == len(record.stretches) - 1
    return range(bisect_left(begins, start), len(begins) if last else bisect_left(begins, end))


def hexed(data: bytes, between: str = "-") -> str:
    """Bytes in hexadecimal, the middle of many left out.

    >>> hexed(b"\\xf0\\x9f")
    'F0-9F'
    """
    if len(data) <= LONGEST_HEX:
        return data.hex(between).upper()
    half = LONGEST_HEX // 2
    return f"{data[:half].hex(between).upper()} … {data[-half:].hex(between).upper()}"


def in_lines(text: str) -> str:
    r"""`text` with nothing hidden; each line break is seen, and breaks the line.

    >>> in_lines(" a\n\nb")
    '·a↵\n↵\nb'
    """
    return "↵\n".join(visible(line) for line in shorten(text, LONGEST_PIECE).split("\n"))


def split_characters(data: bytes, start: int, end: int) -> str:
    """The characters of a text that the bytes [start, end) cut through.

    >>> split_characters("aé".encode(), 1, 2)
    'é'
    """
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return visible(data[start:end].decode("utf-8", "replace"))


def message(record: Columns) -> list[dict[str, object]]:
    """What travels to the browser for the stretch on show, column by column, as plain lists."""
    return [_column_message(column, record) for column in record.columns]


def _column_message(column: Column, record: Columns) -> dict[str, object]:
    positions = shown_pieces(column, record)
    pieces = column.pieces[positions.start : positions.stop]
    n = max(column.n_pieces, 1)
    return {
        "key": column.key,
        "title": column.title,
        "unit": column.unit,
        "vocabulary": column.n_vocab,
        "count": column.n_pieces,
        "added": column.n_added,
        "apart": column.n_apart,
        "unknown": column.n_unknown,
        "lost": column.n_lost,
        # Only where pieces and tokens are not numbered alike.
        "numbers": column.positions[positions.start : positions.stop] if column.n_lost else None,
        "characters_each": record.n_characters / n,
        "bytes_each": record.n_bytes / n,
        "first": positions.start,
        "ids": None if all(piece.id is None for piece in column.pieces) else [piece.id for piece in pieces],
        "shown": [piece.shown for piece in pieces],
        "spans": [[piece.start, piece.end] for piece in pieces],
        "hex": [piece.hex for piece in pieces],
        "colors": [piece.color for piece in pieces],
        "apart_at": [at for at, piece in enumerate(pieces) if not piece.agreed],
        "kinds": {at: piece.kind for at, piece in enumerate(pieces) if piece.kind},
        "part_of": {at: piece.part_of for at, piece in enumerate(pieces) if piece.part_of},
    }
