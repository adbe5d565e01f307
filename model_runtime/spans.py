"""Where tokens stand in a text, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from model_runtime.records import Token
from model_runtime.tokens import Place, utf8

Spans = tuple[tuple[int, int], ...]


def byte_spans(text: str, tokens: Sequence[Token], places: Sequence[Place]) -> Spans:
    """The tokens' places, byte offsets [start, end) in `text.encode()`, in order.

    Where the tokens' bytes join to the text, the spans follow from them exactly; a space that the tokenizer
    puts in front of a text (SentencePiece's) is not counted. A tokenizer that rewrites the text (Unicode
    normalisation, unknown characters) is taken at its word instead: its own character offsets.
    """
    data = utf8(text)
    widths = [_width(text, token, place) for token, place in zip(tokens, places, strict=True)]
    joined = b"".join(widths)
    if joined == data:
        return tuple(pairwise(accumulate(map(len, widths), initial=0)))
    if joined == b" " + data:
        borders = accumulate(map(len, widths), initial=-1)
        return tuple((max(start, 0), max(end, 0)) for start, end in pairwise(borders))
    return _by_offsets(text, data, widths, places)


def _width(text: str, token: Token, place: Place) -> bytes:
    """The bytes of the text that a token stands for, as far as the token itself tells."""
    if token.special and not place.added and place.characters is not None:
        start, end = place.characters  # a special token's name, typed as text
        return text[start:end].encode()
    return token.bytes


def _by_offsets(text: str, data: bytes, widths: Sequence[bytes], places: Sequence[Place]) -> Spans:
    """Spans by the tokenizer's character offsets; tokens that share a character split it where they can."""
    byte_at = list(accumulate((len(character.encode()) for character in text), initial=0))
    spans, at = [], 0
    for width, place in zip(widths, places, strict=True):
        end = at
        if not place.added:
            limit = len(data) if place.characters is None else byte_at[place.characters[1]]
            as_written = at + len(width)
            exact = data.startswith(width, at) and as_written <= limit
            end = as_written if exact else max(at, limit if place.characters is not None else at)
        spans.append((at, end))
        at = end
    return tuple(spans)
