"""Three ways to cut a text without learning anything: into words, characters, bytes.

Words need a table that never ends: every word that was not met before is unknown ("out of vocabulary").
Characters and bytes need a small table and make long sequences. Pieces of words (`encodings`) lie between
(Sennrich et al. 2016, arXiv:1508.07909, section 1).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from model_runtime.errors import PromptError
from model_runtime.records import Level
from model_runtime.tokenizer import utf8

MAX_CHARACTERS = 20_000  # longest text, in characters


def levels(text: str, known_text: str) -> tuple[Level, Level, Level]:
    """The text in words, characters and bytes, with tables learned from `known_text`.

    A character is a Unicode code point: a letter with its accent may be two, an emoji several.

    Raises:
        PromptError: one of the texts has more than `MAX_CHARACTERS` characters or half a character.
    """
    for one in (text, known_text):
        utf8(one)
        if len(one) > MAX_CHARACTERS:
            raise PromptError(
                f"The text has {len(one):,} characters; at most {MAX_CHARACTERS:,} are cut here.",
                f"Shorten it by {len(one) - MAX_CHARACTERS:,} characters or more.",
            )
    data = tuple(f"{byte:02X}" for byte in text.encode())
    return (
        learned_level("words", words(text), words(known_text)),
        learned_level("characters", tuple(text), tuple(known_text)),
        Level("bytes", data, (True,) * len(data), 256),
    )


def words(text: str) -> tuple[str, ...]:
    """Words and punctuation marks, by Unicode's default word boundaries (UAX #29); spaces are left out.

    Upper and lower case differ. Where a script writes no spaces, such as Chinese or Thai, the rule falls
    back to single characters: words need a dictionary there.

    >>> words("We can't stop, 1,234 times.")
    ('We', "can't", 'stop', ',', '1,234', 'times', '.')
    """
    return tuple(piece.strip() for piece in boundaries().split(text) if piece.strip())


def learned_level(name: str, pieces: tuple[str, ...], learned: tuple[str, ...]) -> Level:
    """Pieces of a text, and which of them a table of what was learned has: the rest is unknown."""
    table = set(learned)
    return Level(name, pieces, tuple(piece in table for piece in pieces), len(table))


@cache
def boundaries() -> Any:
    """Where words begin and end (UAX #29): the regex package knows Unicode's rule, Python's own does not."""
    import regex

    return regex.compile(r"(?V1w)\b")
