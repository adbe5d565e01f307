"""Tokenizers in GGUF files against llama.cpp, which reads the same files, and against sentencepiece.

The byte-level vocabulary was merged without cutting the texts at all: its merges cross every border that a
rule can draw, so that a border drawn elsewhere gives other tokens.
"""

from __future__ import annotations

import functools
import io
import json
import random
from pathlib import Path
from typing import Any
from unicodedata import category

import gguf
import pytest
import regex
import sentencepiece
import tokenizers
from tokenizers import Tokenizer

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.gguf_rules import RULES
from model_runtime.loading.gguf_tokenizer import gguf_tokenizer
from tests.gguf_files import build, write_gguf
from tests.llama_cpp import LlamaCpp

PIECES = (
    *(
        "the quick brown fox",
        "Hello",
        "HELLO",
        "iPhone",
        "don't",
        "DON'T",
        "it's",
        "I'LL",
        "we've",
        "'s",
        "'",
    ),
    *("1", "12", "345", "6789", "3.14", "1,000,000", "٣٤٥", "Ⅳ", "½", "²", "0x1F"),
    *(" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\n  ", "\u00a0", "\u3000", "\u200b"),
    *(
        "!",
        "...",
        "?!",
        " - ",
        "()",
        "[x]",
        "{}",
        "<b>",
        "</a>",
        "//",
        "a/b",
        "#",
        "@",
        "$5",
        "€",
        "_x_",
        "~",
        "`",
    ),
    *(
        "café",
        "cafe\u0301",
        "naïve",
        "Straße",
        "ﬁ",
        "Ǆ",
        "ʰ",
        "Việt",
        " Việt",
        "привет",
        "ПРИВЕТ",
        "שלום",
        "مرحبا",
    ),
    *(
        "हिन्दी",
        "ไทย",
        "中文",
        "日本語",
        "한국어",
        "🙂",
        "👩‍👩‍👧",
        "🇩🇪",
        "e\u0301\u0327",
        "\ufffd",
        "\x13",
        "\x00",
    ),
    *("def f(x):\n    return x", "x = y+1;", "C++", "a.b.c", "user@mail.org", "2023-11-30", "12:30"),
)


def _texts() -> list[str]:
    """300 awkward texts, the same in every run: every piece alone, then mixtures of them."""
    dice = random.Random(12)
    texts = [*PIECES]
    while len(texts) < 300:
        texts.append("".join(dice.choice(PIECES) for _ in range(dice.randint(2, 9))))
    # llama.cpp takes texts as C strings in places: a zero byte ends them.
    return [text for text in dict.fromkeys(texts) if "\x00" not in text and text]


TEXTS = _texts()


@functools.cache
def _uncut() -> Tokenizer:
    """A byte-level vocabulary of 900 tokens whose merges cross all borders."""
    tokenizer = Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<|endoftext|>", "<|begin|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for text in TEXTS for _ in range(2)], trainer)
    content = json.loads(tokenizer.to_str())
    # A word that no merges lead to: found only by rules that look up whole words.
    content["model"]["vocab"]["ĠViá»ĩtzx"] = len(content["model"]["vocab"])
    return Tokenizer.from_str(json.dumps(content))


@functools.cache
def _model(size: int) -> Any:
    return build("Llama", vocab_size=size, num_hidden_layers=1)


def _same_as_llama_cpp(file: Path, texts: list[str]) -> None:
    ours = gguf_tokenizer(file)
    with LlamaCpp(file) as reference:
        wrong = [
            (text, ours(text)["input_ids"], wanted)
            for text in texts
            if ours(text)["input_ids"] != (wanted := reference.tokens(text))
        ]
    assert wrong == []


def _one_case(text: str) -> bool:
    """Whether llama.cpp's patterns for "gpt-4o" and "tekken" mean the same as the models' own.

    It writes capitals as [^a-z], small letters as [^A-Z], and leaves combining marks out of words.
    """
    return not any(category(one)[0] == "M" or (one > "\x7f" and one.isalpha()) for one in text)


@pytest.mark.parametrize("rule", RULES)
def test_byte_level_rules(rule: str, tmp_path: Path) -> None:
    tokenizer = _uncut()
    texts = [*TEXTS, " Việtzx", "a Việtzx b", "x<|endoftext|> y", "<|begin|>z"]
    if rule in ("gpt-4o", "tekken"):
        texts = [text for text in texts if _one_case(text)]
        assert len(texts) > 100
    file = write_gguf(
        tmp_path / "m.gguf", _model(tokenizer.get_vocab_size()), tokenizer=tokenizer, pre=rule, bos=1
    )
    _same_as_llama_cpp(file, texts)


# tiktoken's own for o200k_base (tiktoken_ext/openai_public.py), and Mistral's for Tekken
# (mistral_common, tekken.json, "pattern").
O200K = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(("rule", "pattern"), [("gpt-4o", O200K), ("tekken", TEKKEN)])
def test_rules_that_llama_cpp_shortens_are_the_models_own(rule: str, pattern: str) -> None:
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(RULES[rule].patterns[0]), "isolated")
    for text in TEXTS:
        assert [piece for piece, _ in split.pre_tokenize_str(text)] == regex.findall(pattern, text)


@functools.cache
def _sentencepiece(prefix: bool) -> bytes:
    """A SentencePiece model (BPE, bytes for what it does not know) as its package trains it."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in TEXTS if text.strip()] * 3),
        model_writer=written,
        vocab_size=700,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        hard_vocab_limit=False,
        character_coverage=0.98,
        user_defined_symbols=["<think>"],
        minloglevel=2,
    )
    return written.getvalue()


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece(prefix: bool, tmp_path: Path) -> None:
    wanted = sentencepiece.SentencePieceProcessor(model_proto=_sentencepiece(prefix))
    size = wanted.get_piece_size()

    def fields(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_token_list([wanted.id_to_piece(one) for one in range(size)])
        writer.add_token_scores([wanted.get_score(one) for one in range(size)])
        writer.add_token_types([_kind(wanted, one) for one in range(size)])
        writer.add_add_space_prefix(prefix)

    file = write_gguf(tmp_path / "m.gguf", _model(size), tokenizer=fields)
    # After a token that stands for itself, sentencepiece puts no space; llama.cpp and the file's users do.
    texts = [text for text in TEXTS if "<" not in text]
    ours = gguf_tokenizer(file)
    assert [ours(text)["input_ids"][1:] for text in texts] == [wanted.encode(text) for text in texts]
    _same_as_llama_cpp(file, [*TEXTS, " hello", "  hello", "a</s> b", "<think>x", "<s>"])


def _kind(processor: Any, token_id: int) -> int:
    if processor.is_unknown(token_id):
        return 2
    if processor.is_control(token_id):
        return 3
    if processor.is_byte(token_id):
        return 6
    return 4 if processor.id_to_piece(token_id) == "<think>" else 1


@pytest.mark.parametrize("rule", [None, "default", "kimi-k2", "a rule of tomorrow"])
def test_missing_and_unknown_rules_are_refused(rule: str | None, tmp_path: Path) -> None:
    tokenizer = _uncut()
    file = write_gguf(tmp_path / "m.gguf", _model(tokenizer.get_vocab_size()), tokenizer=tokenizer, pre=rule)
    with pytest.raises(UnsupportedModel, match="safetensors") as refused:
        gguf_tokenizer(file)
    assert "tokenizer.json" not in str(refused.value)  # one beside a GGUF file is not read
