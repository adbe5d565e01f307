"""What a model folder's tokenizer reads is what its own file says, by the package that wrote the file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from model_runtime.errors import PromptError, UnsupportedModel
from model_runtime.loading.catalogue import BUNDLED
from model_runtime.loading.checkpoint import Checkpoint, read_checkpoint
from model_runtime.loading.tokenizer_file import AWKWARD, read_tokenizer
from model_runtime.loading.tokenizer_sizes import growth
from model_runtime.tokenizer import Tokens

TEXT = ["the quick brown fox jumps over the lazy dog", "in 2023 there were 650841823 stars; it's 12 34"] * 3
GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def byte_level(*before: Any) -> Tokenizer:
    """Byte-level BPE with other steps in front."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*before, pre_tokenizers.ByteLevel(False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=330, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def llama2_like() -> Tokenizer:
    """As Llama 2's: a space in front of every text, whatever it begins with."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "▁a", "▁▁"]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    merges = [("▁", "▁"), ("▁", "a")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens([AddedToken("<eat>", rstrip=True, normalized=False)])
    return tokenizer


def checkpoint(folder: Path, rows: int = 400, **config: Any) -> Checkpoint:
    return Checkpoint(folder, None, {"vocab_size": rows, **config}, 10**9, torch.float32)


def saved(folder: Path, tokenizer: Tokenizer, **settings: Any) -> Checkpoint:
    """A folder as the library reads it: with a config that names a model type, too."""
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model_type = settings.pop("model_type", "llama")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": 400}))
    return checkpoint(folder, model_type=model_type)


FILES = {
    "digits": lambda: byte_level(pre_tokenizers.Digits(individual_digits=True)),
    "gpt4": lambda: byte_level(pre_tokenizers.Split(Regex(GPT4), "isolated")),
    "llama2": llama2_like,
    "words": word_level,
}
CLASSES = (
    "GPT2Tokenizer",
    "Qwen2Tokenizer",
    "GPTNeoXTokenizer",
    "LlamaTokenizer",
    "PreTrainedTokenizerFast",
    None,
)


@pytest.mark.parametrize("declared", CLASSES)
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("model_type", ["llama", "qwen2"])
def test_the_file_is_obeyed_whatever_class_is_declared(
    tmp_path: Path, kind: str, declared: str | None, model_type: str
) -> None:
    made = saved(
        tmp_path, FILES[kind](), tokenizer_class=declared, model_type=model_type, eos_token="<|end|>"
    )
    read, own = read_tokenizer(made, "m"), Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in (*AWKWARD, " a", "the <eat>  cat", "in 2023"):
        assert read(text)["input_ids"] == own.encode(text).ids, text
        assert (
            read(text, add_special_tokens=False)["input_ids"]
            == own.encode(text, add_special_tokens=False).ids
        )


@pytest.mark.parametrize("stated", [True, False])
def test_what_is_put_around_a_text_is_the_files_post_processor(tmp_path: Path, stated: bool) -> None:
    made = saved(
        tmp_path, llama2_like(), bos_token="<s>", eos_token="</s>", add_bos_token=stated, add_eos_token=True
    )
    assert read_tokenizer(made, "m")("a")["input_ids"] == [1, 261]


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({}, ()),
        ({"add_bos_token": True, "add_eos_token": False}, ()),
        ({"add_bos_token": None}, ()),
        (
            {"add_bos_token": False},
            (
                "tokenizer.json adds the beginning-of-text token <s>, tokenizer_config.json says that none "
                "is added (add_bos_token): tokenizer.json is used.",
            ),
        ),
        (
            {"add_bos_token": True, "add_eos_token": True},
            (
                "tokenizer.json adds no end-of-text token, tokenizer_config.json says that one is added "
                "(add_eos_token): tokenizer.json is used.",
            ),
        ),
    ],
)
def test_where_the_two_files_differ_is_said(
    tmp_path: Path, stated: dict[str, bool | None], said: tuple[str, ...]
) -> None:
    made = saved(tmp_path, llama2_like(), bos_token="<s>", eos_token="</s>", **stated)
    assert Tokens(read_tokenizer(made, "m")).at_odds == said


def test_a_token_that_the_table_does_not_have_cannot_be_missed(tmp_path: Path) -> None:
    made = saved(tmp_path, byte_level(), add_bos_token=True, add_eos_token=False)
    assert Tokens(read_tokenizer(made, "m")).at_odds == ()


def test_nothing_is_added_to_a_table_and_special_tokens_keep_their_role(tmp_path: Path) -> None:
    settings = {
        "eos_token": {"content": "<|end|>"},
        "pad_token": "[PAD]",
        "model_max_length": 77,
        "chat_template": "x",
    }
    read = read_tokenizer(saved(tmp_path, byte_level(), **settings), "m")
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert len(read) == own.get_vocab_size()
    assert read("a [PAD]<|end|>")["input_ids"] == own.encode("a [PAD]<|end|>").ids
    assert (read.eos_token_id, read.pad_token, read.model_max_length, read.chat_template) == (
        0,
        None,
        77,
        "x",
    )


def test_a_longest_text_without_end_is_no_limit(tmp_path: Path) -> None:
    """Python's JSON reads "Infinity", which is no whole number."""
    made = saved(tmp_path, byte_level(), model_max_length=float("inf"))
    assert "Infinity" in (tmp_path / "tokenizer_config.json").read_text()
    assert read_tokenizer(made, "m")("a")["input_ids"] == byte_level().encode("a").ids


def test_settings_for_batches_neither_cut_nor_fill_a_text(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    assert len(read_tokenizer(saved(tmp_path, tokenizer), "m")("zqx")["input_ids"]) == 3


@pytest.mark.parametrize("bundled", ["gpt2-mini", "mixtral-mini"])
def test_bundled_models_read_as_their_files(bundled: str) -> None:
    read = read_tokenizer(read_checkpoint(BUNDLED / bundled), bundled)
    own = Tokenizer.from_file(str(BUNDLED / bundled / "tokenizer.json"))
    assert [read(text)["input_ids"] for text in AWKWARD] == [own.encode(text).ids for text in AWKWARD]


def test_older_files_without_a_tokenizer_json_still_load(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tokenizer.model.save(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
    read = read_tokenizer(checkpoint(tmp_path), "m")
    assert read(" the quick 2023")["input_ids"] == tokenizer.encode(" the quick 2023").ids


def sentencepiece(folder: Path, **options: Any) -> SentencePieceProcessor:
    stream = io.BytesIO()
    settings = {"vocab_size": 330, "hard_vocab_limit": False, "minloglevel": 2, "byte_fallback": True}
    SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=stream, **{**settings, **options})
    (folder / "tokenizer.model").write_bytes(stream.getvalue())
    return SentencePieceProcessor(model_proto=stream.getvalue())


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("extra", [True, False])
def test_a_sentencepiece_file_reads_as_sentencepiece_reads(
    tmp_path: Path, kind: str, front: bool, extra: bool
) -> None:
    own = sentencepiece(
        tmp_path,
        model_type=kind,
        normalization_rule_name="identity",
        add_dummy_prefix=front,
        remove_extra_whitespaces=extra,
    )
    read = read_tokenizer(checkpoint(tmp_path, model_type="llama"), "m")
    for text in (*AWKWARD, " a", "  the  quick ", "<s>", "▁the", ""):
        assert read(text, add_special_tokens=False)["input_ids"] == own.encode(text), text
        assert read(text)["input_ids"] == [own.bos_id(), *own.encode(text)]


def test_a_sentencepiece_file_without_byte_fallback_has_unknown_pieces(tmp_path: Path) -> None:
    own = sentencepiece(
        tmp_path, model_type="bpe", normalization_rule_name="identity", byte_fallback=False, vocab_size=60
    )
    read = read_tokenizer(checkpoint(tmp_path), "m")
    assert read("the 漢字 fox")["input_ids"] == own.encode("the 漢字 fox")
    assert own.unk_id() in own.encode("漢")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [({}, []), ({"add_bos_token": True}, [1]), ({"tokenizer_class": "LlamaTokenizer"}, [1])],
)
def test_what_is_put_around_a_sentencepiece_text(
    tmp_path: Path, stated: dict[str, Any], expected: list[int]
) -> None:
    own = sentencepiece(tmp_path, model_type="bpe", normalization_rule_name="identity")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(stated))
    assert read_tokenizer(checkpoint(tmp_path), "m")("the")["input_ids"] == [*expected, *own.encode("the")]


@pytest.mark.parametrize(
    "options",
    [
        {"normalization_rule_name": "nmt_nfkc"},
        {"treat_whitespace_as_suffix": True},
        {"user_defined_symbols": ["<sep>"]},
    ],
)
def test_settings_of_sentencepiece_that_are_not_read_exactly_are_refused(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    sentencepiece(tmp_path, model_type="bpe", **{"normalization_rule_name": "identity", **options})
    with pytest.raises(UnsupportedModel, match=r"settings of SentencePiece .* tokenizer\.json"):
        read_tokenizer(checkpoint(tmp_path), "m")


# Files that lie about their size


def written(folder: Path, **changes: Any) -> Checkpoint:
    described = json.loads(byte_level().to_str()) | changes
    (folder / "tokenizer.json").write_text(json.dumps(described))
    return checkpoint(folder)


def replace_step(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


DOUBLED = {"type": "Sequence", "normalizers": [replace_step("a", "aa")] * 40}
BYTES_OF_BYTES = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    ]
    * 20,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": DOUBLED},
        {"normalizer": replace_step("a", "a" * 5_000)},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": ""}, "content": "a" * 5_000}},
        {"normalizer": {"type": "Prepend", "prepend": "a" * 100_000}},
        {"pre_tokenizer": BYTES_OF_BYTES},
        {"decoder": {"type": "Sequence", "decoders": [replace_step("a", "aa")] * 40}},
    ],
)
def test_steps_that_multiply_a_text_are_refused_before_they_run(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedModel, match="fills the memory"):
        read_tokenizer(written(tmp_path, **changes), "m")


def test_ids_that_differ_from_the_files_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a newer library might: it reads a text otherwise than the pipeline that it was given."""
    read = PreTrainedTokenizerFast.__call__

    def otherwise(self: Any, text: str, **options: Any) -> Any:
        return read(self, text.replace("\u2019", "'"), **options)

    monkeypatch.setattr(PreTrainedTokenizerFast, "__call__", otherwise)
    with pytest.raises(UnsupportedModel, match="other numbers here than its own file says"):
        read_tokenizer(saved(tmp_path, byte_level()), "m")


def endless(letter: str) -> Any:
    """A rule that tries every way of cutting a row of a letter: the package gives up in the middle."""
    return pre_tokenizers.Split(Regex(f"({letter}+)+$"), "isolated")


def test_a_rule_on_which_the_package_gives_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="has no tokenizer that can be read"):
        read_tokenizer(saved(tmp_path, byte_level(endless("a"))), "m")


def test_a_text_on_which_the_package_gives_up_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(read_tokenizer(saved(tmp_path, byte_level(endless("z"))), "m"))
    assert tokens.encode("zz")
    for read in (tokens.encode, tokens.encode_with_places):
        with pytest.raises(PromptError, match="gives up on the text"):
            read("z" * 60 + "!")


def test_growth_of_the_steps_that_published_files_have() -> None:
    bundled = json.loads((BUNDLED / "gpt2-mini" / "tokenizer.json").read_text())
    assert growth(bundled["pre_tokenizer"]) == 4
    assert growth(json.loads(llama2_like().to_str())["normalizer"]) == 2
    compatible = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, replace_step(" ", "▁")]}
    assert len("".join(["\ufdfa"])) * growth(compatible) >= len(normalizers.NFKC().normalize_str("\ufdfa"))


@pytest.mark.parametrize("wrong", [2**63 - 1, 2**31, -1, 1.5, "x"])
def test_ids_that_no_table_has_are_refused(tmp_path: Path, wrong: Any) -> None:
    model = {"type": "BPE", "vocab": {"a": wrong}, "merges": []}
    with pytest.raises(UnsupportedModel, match="which no table has"):
        read_tokenizer(written(tmp_path, model=model), "m")


def test_a_table_far_larger_than_the_models_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = ",".join(f'"{number}":{number}' for number in range(250_000))
    (tmp_path / "tokenizer.json").write_text(
        '{"model":{"type":"BPE","vocab":{' + vocabulary + '},"merges":[]}}'
    )
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("it was read"))
    with pytest.raises(UnsupportedModel, match=r"about 250,001 entries"):
        read_tokenizer(checkpoint(tmp_path), "m")
    with (tmp_path / "tokenizer.json").open("ab") as stream:
        stream.truncate(10_000_000)  # a hole in the file: nothing is written
    with pytest.raises(UnsupportedModel, match=r"has 10 MiB; .* at most 4 MiB"):
        read_tokenizer(checkpoint(tmp_path), "m")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"model":' + "[" * 100_000, '{"model":{"type":"Nothing"}}', '{"model":{"type":"BPE"}}'],
)
def test_a_damaged_file_is_told_without_the_librarys_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json (of m )?(is|holds|does)") as caught:
        read_tokenizer(checkpoint(tmp_path), "m")
    assert not any(word in str(caught.value) for word in ("variant", "column", "ModelWrapper", "Exception"))


def test_no_tokenizer_at_all(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(UnsupportedModel, match=r"m has no tokenizer that can be read\. Put"):
        read_tokenizer(checkpoint(tmp_path), "m")
