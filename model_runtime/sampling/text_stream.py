"""Text as it is generated: pieces that join to the exact text, though characters can span several tokens."""

from __future__ import annotations

import codecs


class TextStream:
    """Turns token bytes into text, each character as soon as its last byte is there.

    >>> stream = TextStream()
    >>> [stream.feed(piece) for piece in (b"caf", b"\\xc3", b"\\xa9", b" \\xf0\\x9f")], stream.close()
    (['caf', '', 'é', ' '], '�')
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """The text that is complete with these bytes; bytes that can never be a character give U+FFFD."""
        return self._decoder.decode(data)

    def close(self) -> str:
        """What is left of a character whose other bytes never came: U+FFFD, or nothing."""
        return self._decoder.decode(b"", final=True)
