"""Long texts in a link, made shorter: a request line holds 64 KB, and a letter that is not Latin takes nine
characters in an address or more.

A text that would take many is written as a mark, then its UTF-8 compressed, in letters (RFC 4648, section 5).
Texts of other links stay as they are, and all are read.
"""

from __future__ import annotations

import base64
import zlib
from urllib.parse import quote_plus

MARK = "~z~"
LONGEST = 12_000  # characters in an address; above, a text is compressed
_MOST_BYTES = 64 * 1024  # of a text


def shortened(text: str) -> str:
    """`text` as it stands in a link.

    >>> shortened("hello"), shortened("日" * 4_000)[:3], len(shortened("日" * 4_000)) < 100
    ('hello', '~z~', True)
    """
    if len(quote_plus(text)) <= LONGEST and not text.startswith(MARK):
        return text
    return MARK + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def lengthened(text: str) -> str:
    """The text that stands in a link as `text`; what is no text of ours is taken as it is.

    >>> lengthened(shortened("日" * 4_000)) == "日" * 4_000, lengthened("~z~?")
    (True, '~z~?')
    """
    if not text.startswith(MARK):
        return text
    letters = text[len(MARK) :]
    try:
        packed = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(packed, _MOST_BYTES)
        return found.decode() if unpacker.eof else text
    except (ValueError, zlib.error):
        return text
