"""Where tokens stand in a text, to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from model_runtime.records import Token
from model_runtime.tokenizer import Place, utf8

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
    if token.special and place.characters is not None:
        start, end = place.characters  # a special token's name, typed as text; nothing where it was added
        return text[start:end].encode()
    return token.bytes


def _by_offsets(text: str, data: bytes, widths: Sequence[bytes], places: Sequence[Place]) -> Spans:
    """Spans by the tokenizer's character offsets; tokens that share a character split it where they can.

    What stands between two tokens' offsets goes to the first one (an accent that was composed with its
    letter), but spaces go to the second.
    """
    byte_at = list(accumulate((len(character.encode()) for character in text), initial=0))
    borders = [0]  # token i stands from borders[i] to borders[i + 1]
    for width, place in zip(widths, places, strict=True):
        at = borders[-1]
        if place.added or place.characters is None:
            borders.append(at)
            continue
        first, end = (byte_at[character] for character in place.characters)
        if len(borders) > 1 and not places[len(borders) - 2].added:
            at = borders[-1] = at + len(data[at:first].rstrip())
        as_written = data.startswith(width, at) and at + len(width) <= end
        borders.append(at + len(width) if as_written else max(at, end))
    return tuple(pairwise(borders))
