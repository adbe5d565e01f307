"""Loading from folders: what is loaded is what lies there; what is unsafe or broken is refused in words."""

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from model_runtime import load_model
from model_runtime.errors import ModelNotFound, ModelTooLarge, SettingError, UnsupportedModel
from model_runtime.limits import GIB
from model_runtime.loading import checkpoint, hub
from model_runtime.loading import load as loading
from model_runtime.loading.load import load_weights, model_bytes
from tests.tiny_checkpoints import copy_of, save, save_mxfp4, tiny_llama


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return copy_of(original, tmp_path / "tiny")


def change_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


class Trap:
    """Unpickling this makes a file: proof that somebody opened the pickle."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_folder_gives_the_saved_weights(original: Path) -> None:
    loaded = load_weights(str(original))
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.equal(loaded.hf_model(ids).logits, tiny_llama()(ids).logits)
    assert (loaded.model_id, loaded.name) == (str(original), "tiny")
    assert not loaded.hf_model.training
    assert not any(weight.requires_grad for weight in loaded.hf_model.parameters())


def test_load_model_wraps_it(original: Path) -> None:
    spec = load_model(original).spec  # a path is a name too
    assert (spec.family, spec.n_layers, spec.dtype, spec.device) == ("llama", 2, "float32", "cpu")
    assert (spec.model_id, spec.name) == (str(original), "tiny")


def test_half_precision_files_become_float32_on_the_cpu_unless_asked(tmp_path: Path) -> None:
    folder = str(save(tmp_path / "half", dtype=torch.bfloat16))
    assert load_weights(folder).hf_model.dtype == torch.float32
    assert load_weights(folder, dtype="bfloat16").hf_model.dtype == torch.bfloat16
    assert load_weights(folder, dtype="fp16").hf_model.dtype == torch.float16


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float) -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[75, 3:5] = value
    with pytest.raises(UnsupportedModel, match=r"2 of 4,096 in model\.embed_tokens\.weight, read as float32"):
        load_model(save(tmp_path / "broken", model))


def test_weights_too_large_for_the_chosen_format_say_which_holds_them(tmp_path: Path) -> None:
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 70_000.0  # fp16 ends at 65,504
    folder = save(tmp_path / "large", model)
    assert load_model(folder).trace("a").next_token_logits().shape == (256,)
    with pytest.raises(UnsupportedModel, match=r"1 of 4,096 in lm_head\.weight, read as float16.*float32"):
        load_model(folder, dtype="float16")


def test_environment_sets_the_dtype(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_DTYPE", "bfloat16")
    assert load_weights(str(original)).hf_model.dtype == torch.bfloat16
    assert load_weights(str(original), dtype="float32").hf_model.dtype == torch.float32


def test_loading_leaves_the_default_dtype_alone(original: Path) -> None:
    load_weights(str(original), dtype="bfloat16")
    assert torch.get_default_dtype() == torch.float32


def test_unknown_dtype_is_refused_before_the_model_is_looked_for() -> None:
    with pytest.raises(SettingError, match="float8"):
        load_weights("no-such-model", dtype="float8")


def test_model_bytes_counts_shared_weights_once(original: Path) -> None:
    hf_model = load_weights(str(original)).hf_model
    weights = sum(weight.nbytes for weight in hf_model.parameters())
    rotary = 2 * 4 * 4  # inverse frequencies, twice: d_head / 2 numbers of four bytes
    assert model_bytes(hf_model) == weights + rotary
    hf_model.lm_head.weight = hf_model.model.embed_tokens.weight
    assert model_bytes(hf_model) == weights + rotary - 256 * 16 * 4


def test_sharded_weights_load(tmp_path: Path) -> None:
    folder = save(tmp_path / "sharded", max_shard_size="20KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert torch.equal(load_weights(str(folder)).hf_model.lm_head.weight, tiny_llama().lm_head.weight)
    shards[-1].unlink()
    with pytest.raises(ModelNotFound, match=shards[-1].name):
        load_weights(str(folder))


def test_shards_outside_the_folder_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "sharded", max_shard_size="20KB")
    index = folder / "model.safetensors.index.json"
    words = json.loads(index.read_text())
    words["weight_map"] = dict.fromkeys(words["weight_map"], "../elsewhere.safetensors")
    index.write_text(json.dumps(words))
    with pytest.raises(UnsupportedModel, match="elsewhere"):
        load_weights(str(folder))


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelNotFound, match=r"not a model folder.*config\.json"):
        load_weights(str(tmp_path))
    with pytest.raises(ModelNotFound, match="no folder"):
        load_weights(str(tmp_path / "missing"))


def test_config_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="no weights"):
        load_weights(str(folder))


def test_weights_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        load_weights(str(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt", "model.pkl"])
def test_pickled_weights_are_refused_and_never_opened(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    with pytest.raises(UnsupportedModel, match=f"{name}.*run code.*safetensors"):
        load_weights(str(folder))
    assert not (tmp_path / "opened").exists()


def test_pickles_beside_safetensors_are_never_opened(folder: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    load_weights(str(folder))
    assert not (tmp_path / "opened").exists()


def test_a_config_cannot_point_at_other_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    change_config(folder, transformers_weights="adapter_model.bin")
    loaded = load_weights(str(folder))
    assert torch.equal(loaded.hf_model.lm_head.weight, tiny_llama().lm_head.weight)
    assert not (tmp_path / "opened").exists()


def test_a_config_cannot_choose_kernels(folder: Path) -> None:
    """The library has implementations whose code it downloads from the hub."""
    change_config(folder, attn_implementation="flash_attention_2", experts_implementation="sonicmoe")
    hf_model = load_weights(str(folder)).hf_model
    assert hf_model.config._attn_implementation == "sdpa"
    assert hf_model.config._experts_implementation != "sonicmoe"


@pytest.mark.parametrize("key", checkpoint.REWRITING_KEYS)
def test_a_config_cannot_hide_its_settings(folder: Path, key: str) -> None:
    change_config(folder, **{key: {"0": {"_attn_implementation_internal": "owner/kernel"}}})
    with pytest.raises(UnsupportedModel, match=key):
        load_weights(str(folder))


def remote_code(folder: Path, mark: Path) -> dict[str, str]:
    (folder / "modeling_evil.py").write_text(
        f"open({str(mark)!r}, 'w')\nclass Evil: pass\nclass EvilConfig: pass\n"
    )
    return {"AutoConfig": "modeling_evil.EvilConfig", "AutoModelForCausalLM": "modeling_evil.Evil"}


def test_models_that_exist_only_as_remote_code_are_refused(folder: Path, tmp_path: Path) -> None:
    change_config(folder, model_type="evil", auto_map=remote_code(folder, tmp_path / "ran"))
    with pytest.raises(UnsupportedModel, match="never runs such code"):
        load_weights(str(folder))
    assert not (tmp_path / "ran").exists()


def test_remote_code_beside_a_known_family_is_not_run(folder: Path, tmp_path: Path) -> None:
    change_config(folder, auto_map=remote_code(folder, tmp_path / "ran"))
    assert type(load_weights(str(folder)).hf_model).__name__ == "LlamaForCausalLM"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("model_type", "words"),
    [("gptj", "ignores a custom attention"), ("vit", "no causal language model"), ("rwkv", "families table")],
)
def test_unsupported_families_are_refused_with_the_reason(folder: Path, model_type: str, words: str) -> None:
    change_config(folder, model_type=model_type)
    with pytest.raises(UnsupportedModel, match=words):
        load_weights(str(folder))


def test_quantised_checkpoints_are_refused(folder: Path) -> None:
    change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(UnsupportedModel, match="gptq"):
        load_weights(str(folder))


def test_mxfp4_is_unpacked_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPT-OSS as published: two four-bit floats a byte, 32 to a shared exponent (OCP MX 1.0)."""
    folder, packed = save_mxfp4(tmp_path / "gpt-oss")
    seen = []
    monkeypatch.setattr(loading, "_check_memory", lambda name, n_weights, *rest: seen.append(n_weights))
    hf_model = load_weights(str(folder)).hf_model
    assert hf_model.dtype == torch.float32
    assert seen == [sum(weight.numel() for weight in hf_model.parameters())]
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    values = torch.cat([values, -values])
    for name in ("gate_up_proj", "down_proj"):
        blocks = packed[f"model.layers.0.mlp.experts.{name}_blocks"].int()
        exponents = packed[f"model.layers.0.mlp.experts.{name}_scales"].int() - 127
        numbers = torch.stack([values[blocks & 15], values[blocks >> 4]], dim=-1).flatten(-2)
        expected = (numbers * 2.0 ** exponents[..., None]).flatten(-2).transpose(1, 2)
        assert torch.equal(getattr(hf_model.model.layers[0].mlp.experts, name), expected)
    assert load_model(str(folder)).spec.family == "gpt_oss"


def test_adapters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "openai-community/gpt2"}')
    with pytest.raises(UnsupportedModel, match="adapter"):
        load_weights(str(tmp_path))


def test_weights_that_do_not_match_the_config_are_refused(folder: Path) -> None:
    change_config(folder, num_hidden_layers=3)
    with pytest.raises(UnsupportedModel, match="says 3 layers, and its weight files hold 2"):
        load_weights(str(folder))


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    change_config(folder, intermediate_size=48)
    with pytest.raises(UnsupportedModel, match=r"asks for 48 × 16 numbers in .*gate_proj"):
        load_weights(str(folder))


@pytest.mark.parametrize("damage", ["truncated", "header", "empty"])
def test_damaged_weights_are_refused(folder: Path, damage: str) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes({"truncated": content[:-10], "header": b"\xff" * 64, "empty": b""}[damage])
    with pytest.raises(UnsupportedModel, match="damaged or not complete"):
        load_weights(str(folder))


@pytest.mark.parametrize("settings", [["gptq"], "gptq", 4])
def test_malformed_quantisation_is_refused(folder: Path, settings: object) -> None:
    change_config(folder, quantization_config=settings)
    with pytest.raises(UnsupportedModel, match="quantised"):
        load_weights(str(folder))


def test_deeply_nested_files_are_refused(folder: Path) -> None:
    nested = b"[" * 200_000
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(nested)) + nested)
    with pytest.raises(UnsupportedModel, match="damaged or not complete"):
        load_weights(str(folder))
    (folder / "config.json").write_bytes(nested)
    with pytest.raises(UnsupportedModel, match="not valid JSON"):
        load_weights(str(folder))


def test_a_damaged_config_is_not_blamed_on_the_tokenizer(folder: Path) -> None:
    change_config(folder, hidden_size="wide")
    with pytest.raises(UnsupportedModel, match=r"'hidden_size' of the config of tiny is 'wide'"):
        load_weights(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", '{"hidden_size": 16}'])
def test_damaged_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(UnsupportedModel, match=r"JSON|model_type"):
        load_weights(str(folder))


def test_a_model_without_tokenizer_is_refused(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UnsupportedModel, match="tokenizer"):
        load_weights(str(folder))


def test_file_that_is_no_gguf(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"not a gguf file" * 100)
    with pytest.raises(UnsupportedModel, match="not a readable GGUF"):
        load_weights(str(file))
    (tmp_path / "second.gguf").write_bytes(b"")
    with pytest.raises(UnsupportedModel, match=r"model\.gguf, second\.gguf"):
        load_weights(str(tmp_path))


def test_too_large_is_refused_with_both_numbers_before_reading(
    original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda device: GIB // 8)
    monkeypatch.setattr(loading, "read_weights", lambda *arguments: pytest.fail("weights were read"))
    with pytest.raises(ModelTooLarge, match=r"0\.00 GiB.*0\.25 GiB.*0\.12 GiB"):
        load_weights(str(original))


@pytest.mark.parametrize(("n_params", "dtype"), [(21_500_000_000, "bfloat16"), (3_440_000_000, "float32")])
def test_download_is_weighed_in_the_dtype_it_will_have(
    monkeypatch: pytest.MonkeyPatch, n_params: int, dtype: str
) -> None:
    """GPT-OSS 20B: 13.76e9 bytes of four-bit weights, 21.5e9 parameters, two bytes each once unpacked."""
    seen = []
    monkeypatch.setattr(loading, "choose_dtype", lambda dtype, device, stored: stored)
    monkeypatch.setattr(loading, "_check_memory", lambda name, n_weights, dtype, place: seen.append(dtype))
    files = hub.HubFiles("owner/x", "main", "0" * 40, (), 13_760_000_000, n_params)
    loading._check_download(files, "auto", torch.device("cuda"))
    assert seen == [getattr(torch, dtype)]


def test_size_is_counted_from_the_headers(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(loading, "_check_memory", lambda name, n_weights, *rest: seen.append(n_weights))
    loaded = load_weights(str(original))
    assert seen == [sum(weight.numel() for weight in loaded.hf_model.parameters())]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smollm2-135m", "Did you mean smollm2-135m-instruct"),
        ("gpt-2", "Did you mean gpt2"),
        ("GPT3-XL", "gpt2-xl"),
        ("zzzz", "There is no model called 'zzzz'"),
        ("  ", "No model was named"),
    ],
)
def test_unknown_names_lead_to_near_ones(name: str, words: str) -> None:
    with pytest.raises(ModelNotFound, match=words):
        load_weights(name)


@pytest.mark.parametrize(
    "name", ["/a\0b", "~no-such-user/x", "/tmp/" + "a" * 300, "x" * 5000, "a/b/" + "x" * 5000, b"gpt2", None]
)
def test_names_that_no_model_can_have(name: object) -> None:
    with pytest.raises(ModelNotFound):
        load_weights(name)  # type: ignore[arg-type]


def test_a_folder_written_anew_is_another_revision(folder: Path) -> None:
    before = load_model(folder).trace("A").recipe
    assert load_model(folder).trace("A").recipe == before
    file = folder / "model.safetensors"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert load_model(folder).trace("A").recipe != before


def test_a_folder_with_an_at_sign_is_a_folder(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = copy_of(original, original.parent.parent / "owner" / "tiny@mine")
    monkeypatch.chdir(place.parent.parent)
    assert load_weights("owner/tiny@mine").revision.startswith("local:")


def test_a_folder_has_no_revisions(original: Path) -> None:
    here = load_weights(str(original)).revision
    assert load_weights(str(original), revision=here).revision == here
    with pytest.raises(ModelNotFound, match="no revision 'main'"):
        load_weights(str(original), revision="main")


def test_config_class_is_the_library_s_own(original: Path) -> None:
    assert type(load_weights(str(original)).hf_model.config) is LlamaConfig
