"""Our tokens, merges and training against tiktoken's and Hugging Face's own."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex
import tiktoken
import torch
from tiktoken._educational import SimpleBytePairEncoding, bpe_encode, bpe_train
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from model_runtime import Model, load_model
from model_runtime.token_table import byte_alphabet
from model_runtime.tokens.bpe import merge_pair, pieces_after, train_bpe
from model_runtime.tokens.encodings import TOKENIZERS, _encoding, tokenize_with, tokenize_with_model
from model_runtime.tokens.foreign import read_foreign
from model_runtime.tokens.merges import merge_chain, nth_merge, word_merges

LONG = (Path(__file__).resolve().parents[2] / "LICENSE").read_text(encoding="utf-8")[:6_000]
TEXTS = (
    "a fluffy blue creature roamed the verdant forest",
    "We are learning systems for LLMs. cat superman spiderman 1234567 + 89 = 1234656",
    "Die Katze saß auf der Matte; 猫坐在垫子上。 बिल्ली चटाई पर बैठी थी। جلست القطة على السجادة.",
    "def f(x):\n\treturn  x ** 2  # a comment\r\n\r\n",
    "emoji 👩‍👩‍👧 </script> e\u0301 \u202e <|endoftext|> it's they'LL",
)


@pytest.fixture(scope="module")
def default_model() -> Model:
    return load_model()


# tiktoken


@pytest.mark.parametrize("key", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_follow_from_the_ranks_by_tiktokens_educational_code(key: str, text: str) -> None:
    encoding = _encoding(key)
    slow = SimpleBytePairEncoding.from_tiktoken(encoding)
    assert [token.id for token in tokenize_with(key, text).tokens] == slow.encode(text, visualise=None)


def test_gpt2_is_the_same_through_hugging_faces_library() -> None:
    """The same ranks as a `tokenizers` byte-level BPE: other code, the same ids."""
    encoding = _encoding("gpt2")
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    written = {
        rank: "".join(letters[byte] for byte in data) for data, rank in encoding._mergeable_ranks.items()
    }
    merges = []
    for data, rank in sorted(encoding._mergeable_ranks.items(), key=lambda entry: entry[1]):
        if len(data) > 1:
            merges.append(tuple(written[part] for part in _split(encoding, data, rank)))
    backend = Tokenizer(models.BPE({piece: rank for rank, piece in written.items()}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in TEXTS:
        assert backend.encode(text).ids == [token.id for token in tokenize_with("gpt2", text).tokens]


def _split(encoding: tiktoken.Encoding, data: bytes, rank: int) -> tuple[int, int]:
    """The two tokens that a token was merged from: what its bytes give under the ranks below it."""
    ranks = _Below(encoding._mergeable_ranks, rank)
    left, right = bpe_encode(ranks, data, visualise=None)  # type: ignore[arg-type]
    return left, right


class _Below:
    """Ranks below a limit, without a copy of the table."""

    def __init__(self, ranks: dict[bytes, int], limit: int) -> None:
        self.ranks, self.limit = ranks, limit

    def get(self, piece: bytes) -> int | None:
        rank = self.ranks.get(piece)
        return rank if rank is not None and rank < self.limit else None

    def __getitem__(self, piece: bytes) -> int:
        return self.ranks[piece]


# Merges


def test_chains_of_the_default_model_end_as_its_tokenizer_does(default_model: Model) -> None:
    tokenizer = default_model.tokenizer
    own = tokenizer.backend_tokenizer.model
    sample = random.Random(0).sample(range(len(tokenizer)), 600)
    reached = 0
    for token_id in sample:
        chain = merge_chain(tokenizer, token_id)
        if chain.token.special:
            assert chain.reason
            continue
        pieces = [piece.value for piece in own.tokenize(tokenizer.convert_ids_to_tokens(token_id))]
        assert [_read(piece) for piece in pieces] == list(chain.result)
        assert all(nth_merge(tokenizer, step.rank) == (step.left, step.right) for step in chain.steps)
        assert bool(chain.steps) == (len(chain.token.bytes) > 1)
        reached += chain.result == (chain.token.bytes,)
    assert reached > 590


def _read(piece: str) -> bytes:
    return bytes(byte_alphabet()[letter] for letter in piece)


def test_words_of_the_default_model_end_in_its_tokens(default_model: Model) -> None:
    for text in TEXTS[:4]:
        ends = [piece for word in word_merges(default_model.tokenizer, text) for piece in word.result]
        assert ends == [token.bytes for token in default_model.tokenize(text)]


def test_a_tokenizer_on_characters_is_replayed_too() -> None:
    """Llama 2's kind: pieces of characters, spaces as U+2581, bytes for what the table lacks."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    backend.train_from_iterator([LONG], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    n_built = 0
    for token_id in range(257, len(tokenizer)):
        chain = merge_chain(tokenizer, token_id)
        written = tokenizer.convert_ids_to_tokens(token_id)
        pieces = [piece.value for piece in backend.model.tokenize(written)]
        assert [piece.replace("\u2581", " ").encode() for piece in pieces] == list(chain.result)
        n_built += bool(chain.steps)
    assert n_built > 100
    for word in word_merges(tokenizer, LONG):
        pieces = [p.value for p in backend.model.tokenize(word.token.text.replace(" ", "\u2581"))]
        assert [piece.replace("\u2581", " ").encode() for piece in pieces] == list(word.result)


@pytest.mark.parametrize("text", TEXTS)
def test_places_agree_with_hugging_faces_offsets(default_model: Model, text: str) -> None:
    """Where a token begins and ends between characters, the library says the same place."""
    read = tokenize_with_model(default_model, text)
    encoding = default_model.tokenizer(text, return_offsets_mapping=True)
    assert [token.id for token in read.tokens] == encoding["input_ids"]
    byte_at = np.cumsum([0, *(len(character.encode()) for character in text)])
    for (start, end), (first, last) in zip(read.spans, encoding["offset_mapping"], strict=True):
        assert end <= byte_at[last]  # theirs are rounded to characters, and spaces in front left out
        assert start <= byte_at[first] or start in range(byte_at[first], byte_at[last])
        assert end > byte_at[last - 1]


# Training


@pytest.mark.parametrize("text", [*TEXTS, LONG, "aaaa aaaaa aaa", "abababab"])
def test_training_is_tiktokens_educational_training(text: str) -> None:
    """The same merges in the same order, ties included: both take the pair met first in the text."""
    training = train_bpe(text, 40, "words")
    ranks = bpe_train(text, 256 + len(training.steps), r50k_pat_str, visualise=None)
    theirs = sorted(ranks, key=ranks.__getitem__)[256:]
    assert [step.merged for step in training.steps] == theirs
    encoded = [piece for word in regex.findall(r50k_pat_str, text) for piece in _encode(ranks, word)]
    assert list(pieces_after(training, len(training.steps))) == encoded


def _encode(ranks: dict[bytes, int], word: str) -> list[bytes]:
    pieces = {rank: data for data, rank in ranks.items()}
    return [pieces[rank] for rank in bpe_encode(ranks, word.encode(), visualise=None)]


@pytest.mark.parametrize("text", [TEXTS[0] * 3, TEXTS[1], LONG])
def test_training_is_hugging_faces_up_to_ties(text: str) -> None:
    """Every merge that `tokenizers` takes is a most frequent pair of its moment, counted by our code; where
    only one pair is most frequent, ours is the same one."""
    words = [word.encode() for word in regex.findall(r50k_pat_str, text)]
    state = [[word[at : at + 1] for at in range(len(word))] for word in words]
    for left, right in _trained_by_hugging_face(text, 60):
        counts = Counter(pair for word in state for pair in pairwise(word))
        assert counts[left, right] == max(counts.values())
        state = merge_pair(state, (left, right))


def _trained_by_hugging_face(text: str, n_merges: int) -> list[tuple[bytes, bytes]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(_read(left), _read(right)) for left, right in merges]


def test_without_ties_all_three_trainings_are_one() -> None:
    # counts 7, 6, 5, ... of pairs that share no letter
    text = " ".join(pair for n, pair in enumerate(("ab", "cd", "ef", "gh", "ij")) for _ in range(9 - n))
    ours = [step.pair for step in train_bpe(text.replace(" ", "\n"), 5, "words").steps]
    theirs = _trained_by_hugging_face(text.replace(" ", "\n"), 5)
    assert ours == theirs == [(b"a", b"b"), (b"c", b"d"), (b"e", b"f"), (b"g", b"h"), (b"i", b"j")]


# The wrong tokenizer


def test_surprise_of_the_default_model_is_torchs_cross_entropy(default_model: Model) -> None:
    reading = read_foreign(default_model, tokenize_with("gpt2", TEXTS[0]))
    assert reading.n_outside == 0
    for ids, surprise in (
        (reading.own_ids, reading.own_surprise),
        (reading.ids, reading.foreign_surprise),
    ):
        with torch.no_grad():
            logits = default_model.hf_model(torch.tensor([ids])).logits[0, :-1].double()
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
        np.testing.assert_allclose(surprise[1:], expected.numpy(), rtol=2e-5)
    assert np.nanmean(reading.foreign_surprise) > np.nanmean(reading.own_surprise) + 3
