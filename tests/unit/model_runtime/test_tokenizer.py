"""Text to tokens and back: exact bytes, special tokens, what is added."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from model_runtime.errors import PromptError
from model_runtime.token_table import byte_alphabet
from model_runtime.tokenizer import Tokens
from tests.tiny_models import tiny_tokenizer

AWKWARD = (
    "the quick brown fox",
    " leading and trailing ",
    "tabs\tand\nnew\r\nlines",
    "emoji 👩‍👩‍👧‍👦 and flags 🇺🇦",
    "עברית and العربية mixed",
    "zero\u200bwidth\u202e and control \x07\x1b",
    "</script><img src=x onerror=alert(1)>",
    "\U0001f600" * 3,
    "é ü ß 漢字",
    "\x00",
)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(tiny_tokenizer())


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """Llama 2's way: spaces as U+2581, bytes as <0x..>, a beginning token added."""
    vocabulary = {"<unk>": 0, "<s>": 1} | {f"<0x{byte:02X}>": byte + 2 for byte in range(256)}
    vocabulary |= {piece: 258 + n for n, piece in enumerate(["▁", "a", "b", "▁a", "▁ab", "ab"])}
    merges = [("▁", "a"), ("a", "b"), ("▁a", "b")]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


@pytest.mark.parametrize("text", AWKWARD)
def test_the_bytes_of_the_tokens_are_the_text(tokens: Tokens, text: str) -> None:
    read = [tokens.token(token_id) for token_id in tokens.encode(text)]
    assert b"".join(token.bytes for token in read) == text.encode()
    assert not any(token.special for token in read)


def test_parts_of_a_character_are_shown_as_replacement_characters(tokens: Tokens) -> None:
    read = [tokens.token(token_id) for token_id in tokens.encode("é")]
    assert [token.bytes for token in read] == [b"\xc3", b"\xa9"]
    assert {token.text for token in read} == {"\ufffd"}


def test_special_tokens_have_a_name_and_no_bytes(tokens: Tokens) -> None:
    token = tokens.token(0)
    assert (token.text, token.bytes, token.special) == ("<|endoftext|>", b"", True)
    beyond = tokens.token(10_000)
    assert beyond.special
    assert "10000" in beyond.text
    assert tokens.added == ()


def test_sentencepiece_pieces_and_the_added_beginning() -> None:
    tokens = Tokens(sentencepiece_like())
    ids = tokens.encode("ab é")
    read = [tokens.token(token_id) for token_id in ids]
    assert read[0].special
    assert b"".join(token.bytes for token in read) == " ab é".encode()  # Llama 2 puts a space before a text
    assert read[1].text == " ab"
    assert tokens.added == ("beginning-of-text token <s> added",)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$A </s>", ("end-of-text token </s> added",)),
        ("<s> $A </s>", ("beginning-of-text token <s> added", "end-of-text token </s> added")),
        ("$A", ()),
    ],
)
def test_what_is_added_at_the_end_is_named_too(template: str, expected: tuple[str, ...]) -> None:
    tokenizer = sentencepiece_like()
    tokenizer.add_special_tokens({"eos_token": "</s>"})
    special = [("<s>", 1), ("</s>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=special
    )
    assert Tokens(tokenizer).added == expected


def test_what_is_added_is_known_of_a_table_that_has_no_single_letter() -> None:
    """Words only, and none for what is unknown: the package refuses "a", and gives the two alone for ""."""
    backend = Tokenizer(models.WordLevel({"<s>": 0, "cat": 1}))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokens = Tokens(PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>"))
    assert tokens.added == ("beginning-of-text token <s> added",)
    assert tokens.encode("cat") == (0, 1)


def test_half_a_character_is_refused(tokens: Tokens) -> None:
    with pytest.raises(PromptError, match="U\\+D83D"):
        tokens.encode("half \ud83d of it")


@pytest.mark.parametrize("text", ["", " ", "\n\t  "])
def test_nothing_to_read_is_refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(PromptError, match=r"empty|blank"):
        tokens.encode(text)


def test_the_byte_alphabet_is_a_bijection() -> None:
    alphabet = byte_alphabet()
    assert sorted(alphabet.values()) == list(range(256))
    assert all(len(character) == 1 for character in alphabet)
    assert alphabet["Ċ"] == ord("\n")


def test_ids_of_the_last_texts_are_kept_and_no_more() -> None:
    tokenizer = tiny_tokenizer()
    reader = Tokens(tokenizer)
    first = reader.encode("the quick brown fox")
    assert first == tuple(tokenizer("the quick brown fox")["input_ids"])
    for number in range(100):
        reader.encode(f"text {number}")
    reader.encode("word " * 10_000)
    assert len(reader._encoded) <= 32
    assert all(len(text) <= 20_000 for text in reader._encoded)
    assert reader.encode("the quick brown fox") == first
