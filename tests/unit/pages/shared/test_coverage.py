"""What the pages say of a table that cannot write every text."""

from __future__ import annotations

import pytest

from model_runtime.records import LOST, Coverage, Token, Tokenized
from pages.shared.frame.coverage import coverage_words, loss_words


@pytest.mark.parametrize(
    ("coverage", "words"),
    [
        (
            Coverage((), None),
            "The table of M has every byte of which texts are made, so no text is ever unknown to it.",
        ),
        (
            Coverage((4, 0xF1), None),
            "The table of M lacks 2 of the 243 bytes of which texts are made (04 F1): what needs one is left "
            "out.",
        ),
        (
            Coverage((4,), "<unk>"),
            "The table of M lacks 1 of the 243 bytes of which texts are made (04): what needs one becomes "
            "`<unk>`, whatever it was.",
        ),
        (
            Coverage(None, "[UNK]"),
            "The table of M has no bytes to fall back on: what it lacks becomes `[UNK]`, whatever it was.",
        ),
        (Coverage(None, None), "The table of M has no bytes to fall back on: what it lacks is left out."),
    ],
)
def test_what_a_table_can_write(coverage: Coverage, words: str) -> None:
    assert coverage_words("M", coverage) == words


def tokenized(text: str, *pieces: tuple[int, bytes]) -> Tokenized:
    tokens, spans, at = [], [], 0
    for token_id, data in pieces:
        unknown = token_id == 0
        tokens.append(Token(token_id, "", b"" if unknown else data, unknown, unknown))
        spans.append((at, at + len(data)))
        at += len(data)
    return Tokenized("M", 9, text, tuple(tokens), tuple(spans))


def test_what_of_a_text_is_lost() -> None:
    assert loss_words(tokenized("ab", (1, b"a"), (2, b"b"))) == ""
    lost = tokenized("a\x13", (1, b"a"), (LOST, b"\x13"))
    assert loss_words(lost) == "**M never reads 1 byte of U+0013:** its table has no token for that."
    part = tokenized("\U000461b1", (LOST, b"\xf1"), (1, b"\x86\x86\xb1"))
    assert "1 byte of U+461B1" in loss_words(part)
    spaces = tokenized("a  ", (1, b"a"), (LOST, b"  "))
    assert loss_words(spaces) == "**M never reads 2 bytes of spaces:** its tokenizer leaves them out."
    unknown = tokenized("a b", (1, b"a"), (0, b" b"))
    assert loss_words(unknown) == "It reads 1 piece of the text as its token for what is unknown."
