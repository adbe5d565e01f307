"""Where tokens stand in a text, to the byte, and what of the text no token stands for."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate, pairwise

from model_runtime.records import LOST, Coverage, Token
from model_runtime.tokenizer import Place, utf8

Spans = tuple[tuple[int, int], ...]


def byte_spans(text: str, tokens: Sequence[Token], places: Sequence[Place]) -> Spans:
    """The tokens' places, byte offsets [start, end) in `text.encode()`, in order; see `cut`."""
    return cut(text, tokens, places)[0]


def cut(
    text: str, tokens: Sequence[Token], places: Sequence[Place], dropped: Collection[int] = ()
) -> tuple[Spans, Spans]:
    """The tokens' places, and those of what is lost, both as byte offsets [start, end), each in order.

    Where the tokens' bytes, with those that the table drops, join to the text, the spans follow from them
    exactly; a space that the tokenizer puts in front of a text (SentencePiece's) is not counted. A tokenizer
    that rewrites the text (Unicode normalisation, unknown characters) is taken at its word instead: its own
    character offsets.

    Args:
        dropped: bytes of the text, by their offset, that the table has no token for and leaves out.
    """
    data = utf8(text)
    widths = [_width(text, token, place) for token, place in zip(tokens, places, strict=True)]
    for given in (widths, _without_space_in_front(widths)):
        if (found := _walk(data, given, dropped)) is not None:
            return found
    return _by_offsets(data, widths, places, _byte_at(text))


def dropped_bytes(text: str, coverage: Coverage, lacks: Callable[[str], bool]) -> frozenset[int]:
    """Offsets of the bytes of a text that a table which drops what it lacks has no token for.

    Args:
        lacks: whether the table leaves out a whole character.
    """
    if coverage.complete or coverage.unknown is not None:
        return frozenset()
    if coverage.missing_bytes:
        alone = {at for at, byte in enumerate(text.encode()) if byte in coverage.missing_bytes}
    else:
        alone = set()
    starts = _byte_at(text)
    for character, (start, end) in zip(text, pairwise(starts), strict=True):
        if lacks(character):
            alone.update(range(start, end))
    return frozenset(alone)


def with_lost(
    text: str, tokens: Sequence[Token], spans: Spans, lost: Spans
) -> tuple[tuple[Token, ...], Spans]:
    """The tokens with what is lost among them, each at its place, as tokens with the id `LOST`."""
    if not lost:
        return tuple(tokens), spans
    data = text.encode()
    pieces = [
        (Token(LOST, data[start:end].decode("utf-8", errors="replace"), data[start:end]), (start, end))
        for start, end in lost
    ]
    both = [*zip(tokens, spans, strict=True), *pieces]
    both.sort(key=lambda one: one[1])  # stable: what is added by the tokenizer keeps its place
    return tuple(token for token, _ in both), tuple(span for _, span in both)


def _byte_at(text: str) -> list[int]:
    """Byte offset of each character, and of the end."""
    return list(accumulate((len(character.encode()) for character in text), initial=0))


def _width(text: str, token: Token, place: Place) -> bytes:
    """The bytes of the text that a token stands for, as far as the token itself tells."""
    if (token.special or place.by_name) and place.characters is not None:
        start, end = place.characters  # a token's name, typed as text; nothing where it was added
        return text[start:end].encode()
    return token.bytes


def _without_space_in_front(widths: Sequence[bytes]) -> list[bytes]:
    """The same widths where the first one that is not empty loses the space it begins with."""
    first = next((at for at, width in enumerate(widths) if width), None)
    if first is None or not widths[first].startswith(b" "):
        return list(widths)
    return [*widths[:first], widths[first][1:], *widths[first + 1 :]]


def _walk(data: bytes, widths: Sequence[bytes], dropped: Collection[int]) -> tuple[Spans, Spans] | None:
    """Spans by the tokens' own bytes, passing over those that are dropped; None where they do not fit."""
    spans, lost, at = [], [], 0
    for width in widths:
        start = at
        for nth, byte in enumerate(width):
            while at < len(data) and at in dropped:
                lost.append(at)
                at += 1
            if nth == 0:
                start = at
            if at >= len(data) or data[at] != byte:
                return None
            at += 1
        spans.append((start, at))
    lost += range(at, len(data))
    return (tuple(spans), _runs(lost)) if set(lost) <= set(dropped) else None


def _runs(offsets: Sequence[int]) -> Spans:
    """Rising numbers as stretches [start, end).

    >>> _runs([1, 2, 3, 7])
    ((1, 4), (7, 8))
    """
    starts = [at for nth, at in enumerate(offsets) if nth == 0 or offsets[nth - 1] != at - 1]
    ends = [at + 1 for nth, at in enumerate(offsets) if nth + 1 == len(offsets) or offsets[nth + 1] != at + 1]
    return tuple(zip(starts, ends, strict=True))


def _by_offsets(
    data: bytes, widths: Sequence[bytes], places: Sequence[Place], byte_at: Sequence[int]
) -> tuple[Spans, Spans]:
    """Spans by the tokenizer's character offsets; tokens that share a character split it where they can.

    What stands between two tokens' offsets goes to the first one where it is a mark (an accent that was
    composed with its letter) and to the second where it is a space. Anything else there is lost.
    """
    spans: list[tuple[int, int]] = []
    lost: list[int] = []
    at, taken = 0, False  # up to here the text is given out; whether any of it went to a token
    for width, place in zip(widths, places, strict=True):
        if place.added or place.characters is None:
            spans.append((at, at))
            continue
        first, end = (byte_at[character] for character in place.characters)
        marks, gone = _between(data[at:first])
        if taken and marks:
            spans[-1] = (spans[-1][0], spans[-1][1] + marks)
        at += marks
        lost += range(at, at + gone)
        at += gone
        as_written = bool(width) and data.startswith(width, at) and at + len(width) <= end
        to = at + len(width) if as_written else max(at, end)
        spans.append((at, to))
        at, taken = to, True
    marks, _ = _between(data[at:])
    if taken and marks:
        spans[-1] = (spans[-1][0], spans[-1][1] + marks)
        at += marks
    return tuple(spans), _runs([*lost, *range(at, len(data))])


def _between(gap: bytes) -> tuple[int, int]:
    """Of the bytes between two tokens: how many belong to the first, and how many after those are lost."""
    text = gap.decode("utf-8", errors="replace")
    bare = text.rstrip()
    marks = next(
        (n for n, one in enumerate(bare) if not unicodedata.category(one).startswith("M")), len(bare)
    )
    return len(bare[:marks].encode()), len(bare[marks:].encode())
