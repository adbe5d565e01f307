"""Linked columns: what is marked, what is shown of a long text, and what travels to the browser."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from model_runtime.records import Token, Tokenized
from model_runtime.tokens.encodings import agreement, tokenize_with
from model_runtime.tokens.levels import levels
from viz.style import token_color
from viz.tokens.columns import (
    MOST_PIECES,
    Column,
    Piece,
    columns_record,
    level_column,
    message,
    shown_pieces,
    split_characters,
    stretches,
    token_column,
)


def cut(text: str, *pieces: str | Token, name: str = "test") -> Tokenized:
    """A tokenization by hand; a string is a token whose id is its length."""
    tokens = tuple(Token(len(p), p, p.encode()) if isinstance(p, str) else p for p in pieces)
    spans, at = [], 0
    for token in tokens:
        spans.append((at, at + len(token.bytes)))
        at += len(token.bytes)
    return Tokenized(name, 1000, text, tokens, tuple(spans))


def test_a_piece_is_its_text_its_place_its_bytes_and_its_color() -> None:
    begin = Token(0, "<s>", b"", special=True)
    column = token_column("model", cut("a b\n", begin, "a", " b\n"), (True, True, False))
    assert column.pieces == (
        Piece(0, "<s>", 0, 0, "", token_color(0), kind="added"),
        Piece(1, "a", 0, 1, "61", token_color(1)),
        Piece(3, "·b↵\n", 1, 4, "20 62 0A", token_color(3), agreed=False),
    )
    assert (column.n_pieces, column.n_added, column.n_apart) == (2, 1, 1)


def test_bytes_of_a_part_of_a_character_are_shown_as_bytes_with_the_character_named() -> None:
    half, rest = Token(5, "\ufffd", b"\xf0\x9f"), Token(6, "\ufffd", b"\x99\x82")
    column = token_column("x", cut("🙂", half, rest))
    assert [(piece.shown, piece.part_of) for piece in column.pieces] == [("⟨F0-9F⟩", "🙂"), ("⟨99-82⟩", "🙂")]


def test_the_characters_that_some_bytes_cut_through() -> None:
    data = "aé🙂".encode()  # 61, C3 A9, F0 9F 99 82
    assert [split_characters(data, *span) for span in ((0, 1), (1, 2), (2, 4), (4, 5))] == [
        "a",
        "é",
        "é🙂",
        "🙂",
    ]


def test_nothing_hidden_and_nothing_reordered() -> None:
    column = token_column("x", cut("\u202eab\u200b", "\u202eab\u200b"))
    assert column.pieces[0].shown == "⟨U+202E⟩ab⟨U+200B⟩"


def test_words_are_found_again_in_the_text_and_unknown_ones_marked() -> None:
    text = "the cat, the dog"
    words, characters, data = levels(text, "the dog")
    column = level_column(words, text, "Words", "word")
    assert [(p.shown, p.start, p.end, p.kind) for p in column.pieces] == [
        ("the", 0, 3, ""),
        ("cat", 4, 7, "unknown"),
        (",", 7, 8, "unknown"),
        ("the", 9, 12, ""),
        ("dog", 13, 16, ""),
    ]
    assert column.pieces[0].color == column.pieces[3].color
    assert column.n_unknown == 2
    letters = level_column(characters, text, "Characters", "character")
    assert "".join(p.shown for p in letters.pieces if p.kind == "unknown") == "ca,"
    last = level_column(data, text, "Bytes", "byte").pieces[-1]
    assert (last.shown, last.start, last.end) == ("67", 15, 16)


def test_a_short_text_is_one_stretch() -> None:
    record = columns_record([token_column("x", cut("ab", "a", "b"))], "ab")
    assert record.stretches == ((0, 2),)
    assert list(shown_pieces(record.columns[0], record)) == [0, 1]


def test_no_text_at_all_is_an_empty_column() -> None:
    record = columns_record([token_column("x", cut(""))], "")
    assert record.stretches == ((0, 0),)
    assert message(record)[0]["shown"] == []


@given(st.lists(st.lists(st.integers(0, 60), max_size=80), min_size=1, max_size=4), st.integers(1, 9))
@speed(max_examples=200, deadline=None)
def test_stretches_follow_one_another_and_none_holds_too_many(starts: list[list[int]], most: int) -> None:
    n_bytes = 61
    columns = [sorted(set(column)) for column in starts]
    parts = stretches(columns, n_bytes, most)
    assert parts[0][0] == 0
    assert parts[-1][1] == n_bytes
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    for start, end in parts:
        assert all(sum(start <= at < end for at in column) <= most for column in columns)


def test_a_long_text_shows_the_stretch_of_the_place_asked_for_and_counts_all() -> None:
    text = "a" * 1000
    column = token_column("x", cut(text, *text))
    record = columns_record([column], text, at_byte=450)
    assert (record.stretches[record.shown], len(record.stretches)) == ((400, 800), 3)
    sent = message(record)[0]
    assert (sent["first"], sent["count"], len(sent["shown"])) == (400, 1000, MOST_PIECES)  # type: ignore[arg-type]
    assert columns_record([column], text, at_byte=399).shown == 0
    assert columns_record([column], text, at_byte=400).shown == 1
    assert columns_record([column], text).shown == 2
    assert columns_record([column], text, at_byte=0, stretch=99).shown == 2


def test_every_piece_is_in_exactly_one_stretch() -> None:
    text = "Grüße 👩‍👩‍👧 " * 300
    cuts = [tokenize_with(key, text) for key in ("gpt2", "o200k")]
    columns = [token_column(one.name, one, same) for one, same in zip(cuts, agreement(cuts), strict=True)]
    whole = columns_record(columns, text)
    for column in columns:
        seen = [
            position
            for stretch in range(len(whole.stretches))
            for position in shown_pieces(column, columns_record(columns, text, stretch=stretch))
        ]
        assert seen == list(range(len(column.pieces)))


def test_what_differs_between_two_real_tokenizers_travels_as_marks() -> None:
    text = "the verdant forest"
    cuts = [tokenize_with(key, text) for key in ("gpt2", "cl100k")]
    columns = [token_column(one.name, one, same) for one, same in zip(cuts, agreement(cuts), strict=True)]
    first, second = message(columns_record(columns, text))
    assert (first["shown"], first["apart_at"]) == (["the", "·ver", "d", "ant", "·forest"], [1, 2])
    assert (second["shown"], second["apart_at"]) == (["the", "·verd", "ant", "·forest"], [1])
    assert first["ids"] != second["ids"]


def test_one_column_alone_has_no_marks() -> None:
    assert isinstance(column := token_column("x", cut("ab", "ab")), Column)
    assert column.n_apart == 0
