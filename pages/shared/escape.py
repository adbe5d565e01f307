"""Strangers' text inside our own: prompts and tokens in markdown, without becoming markup.

Streamlit's markdown knows more than CommonMark: emoji and icon names between colons, colours in square
brackets, formulas between dollar signs, bare addresses that turn into links.
"""

from __future__ import annotations

import re

from model_runtime.loading.catalogue import row_of
from model_runtime.records import Token
from model_runtime.records.counts import counted as counted
from viz.style import shorten, visible

_BLANKS = re.compile(r"[^\S\u00a0]+")  # all but the blank that holds a number and its unit together
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_WORD_JOINER = "\u2060"  # draws nothing; keeps ":name:" from being read as an icon after unescaping


def plain(text: str) -> str:
    """`text` for a place that reads markdown, to be shown as it stands on one line.

    >>> plain("<b> *x* $1$")
    '\\\\<b\\\\> \\\\*x\\\\* \\\\$1\\\\$'
    """
    escaped = _PUNCTUATION.sub(r"\\\1", _BLANKS.sub(" ", text).strip(" "))
    return re.sub(r"\\:(?=\S)", rf"\\:{_WORD_JOINER}", escaped)


def quoted(text: str, longest: int = 60) -> str:
    """`text` as inline code with every space and invisible character shown, shortened in the middle.

    >>> quoted(" the")
    '`·the`'
    """
    shown = shorten(visible(text), longest) or "⟨empty⟩"
    runs = [len(run) for run in re.findall("`+", shown)]
    fence = "`" * (max(runs, default=0) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def token_text(token: Token) -> str:
    r"""What a person reads of a token: its text, or its bytes where they are no whole characters.

    >>> token_text(Token(1, " the", b" the")), token_text(Token(2, "\ufffd", b"\xf0\x9f"))
    (' the', '⟨F0-9F⟩')
    """
    if "\ufffd" not in token.text or not token.bytes:
        return token.text
    return f"⟨{token.bytes.hex('-').upper()}⟩"


def nth(number: int) -> str:
    """A counting number as a place in a row.

    >>> nth(1), nth(3), nth(11), nth(22), nth(113)
    ('1st', '3rd', '11th', '22nd', '113th')
    """
    teen = number % 100 in (11, 12, 13)
    return f"{number:,}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def model_name(model: str) -> str:
    """The name of a model as the list of models has it; another model's own id.

    >>> model_name("smollm2-135m-instruct"), model_name("org/other")
    ('SmolLM2-135M-Instruct', 'org/other')
    """
    row = row_of(model)
    return model if row is None else row.name
