"""Merge chains: replayed by hand, and every reason why a token has none."""

from __future__ import annotations

import gc
import json
import re
import threading
import time
import weakref
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from model_runtime.errors import PromptError
from model_runtime.tokens import merges
from model_runtime.tokens.merges import (
    MAX_PIECE,
    WORD,
    MergeStep,
    merge_chain,
    n_merges,
    nth_merge,
    word_merges,
)
from tests.tiny_models import tiny_tokenizer
from tests.unit.model_runtime.test_tokenizer import sentencepiece_like

# "t h" is learned first, so "the" is built of "th" and "e", and "he" never gets its turn in it.
RULES = [("t", "h"), ("h", "e"), ("th", "e"), ("Ġ", "the"), ("a", "a"), ("Ã", "©")]


def byte_level(rules: Any = RULES, extra: tuple[str, ...] = (), **options: Any) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with these merges; `extra` entries are in the table but come of no merge."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *dict.fromkeys(left + right for left, right in rules), *extra]
    backend = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, rules, **options))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")


def chain_of(tokenizer: Any, piece: str) -> merges.MergeChain:
    return merge_chain(tokenizer, tokenizer.convert_tokens_to_ids(piece))


def test_a_chain_by_hand() -> None:
    chain = chain_of(byte_level(), "Ġthe")
    assert (chain.token.text, chain.pieces, chain.reason) == (" the", (b" ", b"t", b"h", b"e"), "")
    assert chain.steps == (
        MergeStep(0, 1, b"t", b"h", (b" ", b"th", b"e")),
        MergeStep(2, 1, b"th", b"e", (b" ", b"the")),
        MergeStep(3, 0, b" ", b"the", (b" the",)),
    )
    assert chain.result == (b" the",)


def test_the_leftmost_of_equal_pairs_is_joined_first() -> None:
    (word,) = word_merges(byte_level(), "aaa")
    assert word.steps == (MergeStep(4, 0, b"a", b"a", (b"aa", b"a")),)


def test_a_character_of_two_bytes_is_built_of_them() -> None:
    chain = chain_of(byte_level(), "Ã©")
    assert (chain.token.text, chain.pieces, chain.result) == ("é", (b"\xc3", b"\xa9"), ("é".encode(),))


def test_why_a_token_has_no_merges() -> None:
    tokenizer = byte_level(extra=("hello",))
    tokenizer.add_tokens(["<tool>"])
    for piece, why in {
        "a": "single byte",
        "<|end|>": "special token",
        "<tool>": "by hand",
        "hello": r"merging them ends in 'he' \+ 'l' \+ 'l' \+ 'o'",
    }.items():
        chain = chain_of(tokenizer, piece)
        assert chain.steps == ()
        assert re.search(why, chain.reason), (piece, chain.reason)
    assert "special" in merge_chain(tokenizer, 10_000).reason  # no such entry


def test_a_tokenizer_that_takes_whole_words_says_so() -> None:
    tokenizer = byte_level(extra=("hello",), ignore_merges=True)
    assert "takes a word that is in its table whole" in chain_of(tokenizer, "hello").reason
    assert len(chain_of(tokenizer, "the").steps) == 2  # reached by merging all the same
    whole, parts = word_merges(tokenizer, "hello thea")
    assert (whole.result, whole.steps) == ((b"hello",), ())
    assert "whole" in whole.reason
    assert parts.result == (b" the", b"a")


def test_pieces_of_a_tokenizer_on_characters() -> None:
    tokenizer = sentencepiece_like()
    chain = chain_of(tokenizer, "▁ab")
    assert chain.pieces == (b" ", b"a", b"b")
    assert [(step.rank, step.left, step.right) for step in chain.steps] == [(0, b" ", b"a"), (2, b" a", b"b")]
    assert "single byte" in chain_of(tokenizer, "<0xC3>").reason
    assert "special" in chain_of(tokenizer, "<s>").reason


def test_a_tokenizer_of_another_kind() -> None:
    backend = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    chain = merge_chain(tokenizer, 0)
    assert (chain.steps, chain.reason) == (
        (),
        "This tokenizer is not built from merges: it is of the kind WordLevel.",
    )
    assert word_merges(tokenizer, "a")[0].reason == chain.reason
    assert n_merges(tokenizer) == 0
    with pytest.raises(IndexError):
        nth_merge(tokenizer, 0)


def test_marks_of_word_ends_are_refused_by_name() -> None:
    backend = Tokenizer(models.BPE({"a": 0, "b</w>": 1}, [], end_of_word_suffix="</w>"))
    assert "parts of words" in merge_chain(PreTrainedTokenizerFast(tokenizer_object=backend), 0).reason


def test_a_word_may_end_in_several_tokens() -> None:
    words = word_merges(byte_level(), "thea the")
    assert [word.result for word in words] == [(b"the", b"a"), (b" the",)]
    assert [(word.token.id, word.token.text) for word in words] == [(WORD, "thea"), (WORD, " the")]


def test_words_of_a_text_that_is_empty_long_or_half() -> None:
    tokenizer = byte_level()
    assert word_merges(tokenizer, "") == ()
    (long,) = word_merges(tokenizer, "a" * (MAX_PIECE + 1))
    assert (long.steps, "1,000" in long.reason) == ((), True)
    with pytest.raises(PromptError, match=r"U\+D83D"):
        word_merges(tokenizer, "\ud83d")


def test_merges_by_their_rank() -> None:
    tokenizer = byte_level()
    assert n_merges(tokenizer) == 6
    assert nth_merge(tokenizer, 5) == (b"\xc3", b"\xa9")
    with pytest.raises(IndexError):
        nth_merge(tokenizer, 6)


def test_a_table_lives_as_long_as_its_tokenizer() -> None:
    tokenizer = byte_level()
    merge_chain(tokenizer, 300)
    held = len(merges._TABLES)
    gone = weakref.ref(tokenizer)
    del tokenizer
    gc.collect()
    assert gone() is None
    assert len(merges._TABLES) < held


def test_threads_read_a_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    read = merges._read

    def slow(tokenizer: Any) -> Any:
        made.append(1)
        time.sleep(0.05)
        return read(tokenizer)

    monkeypatch.setattr(merges, "_read", slow)
    tokenizer = byte_level()
    expected = merge_chain(byte_level(), 258)
    found: list[merges.MergeChain] = []

    def work() -> None:
        for _ in range(20):
            tokenizer("the thea", add_special_tokens=False)
            found.append(merge_chain(tokenizer, 258))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1, 1]
    assert len(found) == 160
    assert set(found) == {expected}


def test_every_token_of_a_trained_tokenizer_is_reached() -> None:
    tokenizer = tiny_tokenizer()
    chains = [merge_chain(tokenizer, token_id) for token_id in range(len(tokenizer))]
    assert all(chain.result == (chain.token.bytes,) for chain in chains if not chain.token.special)
    assert sum(bool(chain.steps) for chain in chains) == n_merges(tokenizer) > 50


def test_bytes_that_the_table_lacks_are_left_out_before_anything_is_merged() -> None:
    described = json.loads(byte_level().backend_tokenizer.to_str())
    del described["model"]["vocab"]["\u0113"]  # stands for byte 13
    lacking = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(described)))
    chains = word_merges(lacking, "the\x13\x13 the")
    ids = lacking("the\x13\x13 the")["input_ids"]
    assert [piece for chain in chains for piece in chain.result] == [b"the", b" the"]
    assert [merge_chain(lacking, one).token.bytes for one in ids] == [b"the", b" the"]
