"""Files that lie about themselves are refused by their sizes, before the library reads or builds anything."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.checkpoint import LONGEST_HEADER, MOST_TENSORS
from model_runtime.loading.load import load_weights
from tests.tiny_checkpoints import save, tiny_gpt2
from tests.tiny_models import build_model, tiny_tokenizer

MIB = 1024**2


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return save(tmp_path / "tiny")


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the library reads a config or builds a model."""
    for owner, method in ((AutoConfig, "from_pretrained"), (AutoModelForCausalLM, "from_config")):
        monkeypatch.setattr(owner, method, lambda *arguments, **options: pytest.fail("the library was asked"))


def change(folder: Path, **changes: object) -> str:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def change_tensors(folder: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_hidden_layers": 1_000_000}, r"says 1,000,000 layers, and its weight files hold 2"),
        ({"num_hidden_layers": 1}, r"says 1 layers, and its weight files hold 2"),
        ({"num_hidden_layers": 0}, r"'num_hidden_layers'.* is 0; it has to be a whole number"),
        ({"num_hidden_layers": 2.0}, r"'num_hidden_layers'.* is 2\.0"),
        ({"n_layer": 10**9, "num_hidden_layers": 2}, r"says 1,000,000,000 layers"),
        ({"hidden_size": "wide"}, r"'hidden_size' of the config of tiny is 'wide'"),
        ({"hidden_size": True}, r"'hidden_size'.* is True"),
        ({"hidden_size": [16]}, r"'hidden_size'.* is \[16\]"),
        ({"vocab_size": -1}, r"'vocab_size'.* is -1"),
        ({"vocab_size": 10**30}, r"'vocab_size'.* is 10000"),
        ({"num_attention_heads": 0}, r"'num_attention_heads'.* is 0"),
        ({"num_attention_heads": 3, "head_dim": None}, r"divides 16 numbers among 3 heads"),
        ({"num_key_value_heads": 3}, r"2 heads share 3 key/value heads"),
        ({"max_position_embeddings": 10**9}, r"at most 16,777,216 tokens"),
        ({"rms_norm_eps": float("nan")}, r"'rms_norm_eps'.* is nan; it has to be a finite number"),
        ({"rms_norm_eps": -1e-6}, r"'rms_norm_eps'.* is -1e-06; it has to be a number above 0"),
        ({"rms_norm_eps": "1e-6"}, r"'rms_norm_eps'.* is '1e-6'"),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": float("inf"), "rope_theta": 1e4}},
            "'factor'.* is inf",
        ),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 0}}, r"'rope_theta'.* is 0"),
        ({"anything": [1.0, float("nan")]}, r"A number in a list of the config of tiny is nan"),
    ],
)
@pytest.mark.usefixtures("unbuilt")
def test_settings_that_no_model_can_have(llama: Path, settings: dict[str, object], words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        load_weights(change(llama, **settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"intermediate_size": 48}, r"asks for 48 × 16 numbers in .*gate_proj\.weight, .*has 32 × 16 there"),
        ({"vocab_size": 2**31 - 1}, r"asks for 2,147,483,647 × 16 numbers in model\.embed_tokens\.weight"),
        ({"num_attention_heads": 3}, "do not make a model of its family"),
        ({"head_dim": 2**30}, r"asks for .* numbers in model\.layers\.0\.self_attn"),
        ({"hidden_act": "banana"}, r"describes no model of the type 'llama'"),
        ({"tie_word_embeddings": "perhaps"}, r"tiny"),
    ],
)
def test_a_config_of_another_model_is_refused_before_weights_are_read(
    llama: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], words: str
) -> None:
    monkeypatch.setattr(
        AutoModelForCausalLM,
        "from_pretrained",
        lambda *arguments, **options: pytest.fail("weights were read"),
    )
    with pytest.raises(UnsupportedModel, match=words) as refusal:
        load_weights(change(llama, **settings))
    assert "ignore_mismatched_sizes" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_experts_per_tok": 64}, "chooses 64 experts for a token, and there are 4"),
        ({"num_experts_per_tok": 0}, r"'num_experts_per_tok'.* is 0"),
        ({"num_local_experts": 0}, r"'num_local_experts'.* is 0"),
        ({"num_local_experts": 10**6}, "says 1,000,000 experts, and its weight files hold 4"),
        ({"num_local_experts": 3}, "says 3 experts, and its weight files hold 4"),
    ],
)
def test_experts_that_are_not_there(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    build_model("mixtral").save_pretrained(tmp_path / "mixed")
    tiny_tokenizer().save_pretrained(tmp_path / "mixed")
    assert load_weights(str(tmp_path / "mixed")).hf_model.config.num_local_experts == 4
    with pytest.raises(UnsupportedModel, match=words):
        load_weights(change(tmp_path / "mixed", **settings))


def test_a_window_of_no_tokens_where_one_is_used(tmp_path: Path) -> None:
    build_model("mistral").save_pretrained(tmp_path / "narrow")
    tiny_tokenizer().save_pretrained(tmp_path / "narrow")
    with pytest.raises(UnsupportedModel, match=r"'sliding_window'.* is 0; it has to be at least 1 token"):
        load_weights(change(tmp_path / "narrow", sliding_window=0))


def test_tensors_that_the_family_does_not_read_are_named(llama: Path, tmp_path: Path) -> None:
    """Biases that a config switches off would be dropped without a word: other numbers, the same name."""
    folder = change_tensors(
        llama, lambda held: held.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(16)})
    )
    with pytest.raises(UnsupportedModel, match=r"does not use.*model\.layers\.0\.self_attn\.q_proj\.bias"):
        load_weights(folder)
    buffer = {"h.0.attn.bias": torch.ones(1, 1, 64, 64), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    load_weights(change_tensors(save(tmp_path / "gpt2", tiny_gpt2()), lambda held: held.update(buffer)))


def test_published_without_the_inner_model_s_name(tmp_path: Path) -> None:
    """GPT-2 is: "h.0.ln_1.weight" and not "transformer.h.0.ln_1.weight"."""
    folder = save(tmp_path / "gpt2", tiny_gpt2())

    def shorten(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)

    change_tensors(folder, shorten)
    weight = load_weights(str(folder)).hf_model.transformer.h[1].mlp.c_fc.weight
    assert torch.equal(weight, tiny_gpt2().transformer.h[1].mlp.c_fc.weight)
    with pytest.raises(UnsupportedModel, match=r"asks for 128 × 16 numbers in transformer\.wpe\.weight"):
        load_weights(change(folder, n_positions=128))


def write_header(file: Path, header: bytes, body: int = 0, length: int | None = None) -> None:
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header) if length is None else length) + header)
        stream.truncate(8 + (len(header) if length is None else length) + body)


def entry(shape: object, begin: int, end: int, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.usefixtures("unbuilt")
def test_a_header_of_99_mb_is_not_read(llama: Path) -> None:
    write_header(llama / "model.safetensors", b"{", length=99_000_000)
    tracemalloc.start()
    with pytest.raises(UnsupportedModel, match=r"takes 99,000,000 bytes; at most 5,000,000"):
        load_weights(str(llama))
    assert tracemalloc.get_traced_memory()[1] < 5 * MIB
    tracemalloc.stop()


@pytest.mark.usefixtures("unbuilt")
def test_the_longest_header_stays_under_200_mb(llama: Path) -> None:
    """`{}` is what grows most when it is read: 64 bytes and a place in a list for 3."""
    header = b'{"__metadata__":[' + b"{}," * ((LONGEST_HEADER - 40) // 3) + b"{}]}"
    write_header(llama / "model.safetensors", header)
    tracemalloc.start()
    with pytest.raises(UnsupportedModel, match="hold no weights"):
        load_weights(str(llama))
    assert tracemalloc.get_traced_memory()[1] < 200 * MIB
    tracemalloc.stop()


@pytest.mark.usefixtures("unbuilt")
def test_more_tensors_than_any_model_has(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TENSORS > 40_000  # Qwen3-235B-A22B: 94 layers of 128 experts, three matrices each
    monkeypatch.setattr("model_runtime.loading.checkpoint.MOST_TENSORS", 10)
    with pytest.raises(UnsupportedModel, match="more than 10 tensors"):
        load_weights(str(llama))


@pytest.mark.parametrize(
    "entries",
    [
        {"a": entry([2**40], 0, 8)},  # announces a terabyte
        {"a": entry([10**40], 0, 8)},
        {"a": entry([-2], 0, 8)},
        {"a": entry([2.0], 0, 8)},
        {"a": entry([True, 2], 0, 8)},
        {"a": entry("2", 0, 8)},
        {"a": entry([2], 0, 8, "F31")},
        {"a": entry([2], 0, 8, ["F32"])},
        {"a": entry([2], 0, 8), "b": entry([2], 0, 8)},  # two in one place
        {"a": entry([1], 0, 4), "b": entry([0], 4, 4)},  # and four bytes that nobody has
        {"a": entry([1], 4, 8)},
        {"a": entry([2], 8, 0)},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": []}},
        {"a": [1]},
        {"a": entry([1] * 100, 0, 4), "b": entry([1], 4, 8)},
    ],
)
@pytest.mark.usefixtures("unbuilt")
def test_a_header_that_does_not_add_up(llama: Path, entries: dict[str, object]) -> None:
    write_header(llama / "model.safetensors", json.dumps(entries).encode(), body=8)
    with pytest.raises(UnsupportedModel, match="damaged or not complete"):
        load_weights(str(llama))


@pytest.mark.parametrize(
    ("file", "size"), [("config.json", 2_000_000), ("model.safetensors.index.json", 9_000_000)]
)
@pytest.mark.usefixtures("unbuilt")
def test_long_text_files_are_not_read(llama: Path, file: str, size: int) -> None:
    (llama / "model.safetensors").rename(llama / "model-00001-of-00001.safetensors")
    (llama / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'
    )
    with (llama / file).open("r+b") as stream:
        stream.truncate(size)
    with pytest.raises(UnsupportedModel, match=f"{file} takes {size:,} bytes"):
        load_weights(str(llama))


@pytest.mark.usefixtures("unbuilt")
def test_layers_that_only_a_name_has(llama: Path) -> None:
    """A header may name any number of layers; so many are not built."""
    names = {f"model.layers.{index}.a": entry([1], 4 * index, 4 * index + 4) for index in range(600)}
    write_header(llama / "model.safetensors", json.dumps(names).encode(), body=2400)
    with pytest.raises(UnsupportedModel, match=r"has 600 layers; at most 512"):
        load_weights(change(llama, num_hidden_layers=600))
