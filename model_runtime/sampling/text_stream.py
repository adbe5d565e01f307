"""Text as it is generated: pieces that join to the exact text, though characters can span several tokens."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from model_runtime.records import Token

_BEFORE = 8  # tokens before a text that its first word is joined to


class DecodedStream:
    """The same where only the tokenizer's own decoder knows what stands between two tokens.

    >>> stream = DecodedStream(lambda ids: " ".join("abc"[one] for one in ids), before=(0,))
    >>> [stream.feed(Token(one, "abc"[one], b"")) for one in (1, 2)], stream.close()
    ([' b', ' c'], '')
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int]) -> None:
        """
        Args:
            decode: the text that tokens make together.
            before: ids of what the text continues.
        """
        self._decode = decode
        self._ids = list(before[-_BEFORE:])
        self._given = decode(self._ids)

    def feed(self, token: Token) -> str:
        """What the text has more with this token; nothing yet where the decoder writes earlier words anew."""
        self._ids.append(token.id)
        return self._rest(self._decode(self._ids))

    def close(self) -> str:
        """What was not given out yet."""
        return ""

    def _rest(self, whole: str) -> str:
        if not whole.startswith(self._given):
            return ""
        more, self._given = whole[len(self._given) :], whole
        return more


class TextStream:
    """Turns token bytes into text, each character as soon as its last byte is there.

    >>> stream = TextStream()
    >>> pieces = (b"caf", b"\\xc3", b"\\xa9", b" \\xf0\\x9f")
    >>> [stream.feed(Token(0, "", piece)) for piece in pieces], stream.close()
    (['caf', '', 'é', ' '], '�')
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: Token) -> str:
        """The text that is complete with this token; bytes that can never be a character give U+FFFD."""
        return self._decoder.decode(token.bytes)

    def close(self) -> str:
        """What is left of a character whose other bytes never came: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)
