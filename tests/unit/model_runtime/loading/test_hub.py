"""Hub models: cached ones load without network at a pinned commit; others are fetched or refused in words."""

import errno
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from model_runtime import fetch, load_model
from model_runtime.errors import ModelNotFound, ModelTooLarge, UnsupportedModel
from model_runtime.loading import hub
from model_runtime.loading.catalogue import offline_ids, row_of
from model_runtime.loading.load import load_weights
from tests.gguf_files import build, write_gguf
from tests.tiny_checkpoints import COMMIT, OLDER_COMMIT, save, save_in_hub_layout, tiny_gpt2, tiny_llama
from tests.unit.model_runtime.loading.fake_hub import FakeHub, serving


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of this test's own, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one repository, owner/tiny."""
    repository = FakeHub("owner/tiny", save(tmp_path / "repository"))
    with serving(repository):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", repository.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            repository.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield repository


def test_cached_model_loads_offline_at_its_commit(cache: Path) -> None:
    save_in_hub_layout(cache, "owner/tiny")
    spec = load_model("owner/tiny").spec
    assert (spec.model_id, spec.name, spec.revision) == ("owner/tiny", "tiny", COMMIT)


def test_revision_chooses_between_cached_commits(cache: Path) -> None:
    save_in_hub_layout(cache, "owner/tiny", tiny_llama(0))
    save_in_hub_layout(cache, "owner/tiny", tiny_llama(7), commit=OLDER_COMMIT, ref="v1")
    for loaded in (
        load_weights("owner/tiny", revision=OLDER_COMMIT),
        load_weights(f"owner/tiny@{OLDER_COMMIT}"),
        load_weights("owner/tiny@v1"),
    ):
        assert (loaded.model_id, loaded.revision) == ("owner/tiny", OLDER_COMMIT)
        assert torch.equal(loaded.hf_model.lm_head.weight, tiny_llama(7).lm_head.weight)
    assert load_weights("owner/tiny@main").revision == COMMIT


def test_catalogue_id_finds_its_hub_repository(cache: Path) -> None:
    row = row_of("gpt2")
    assert row is not None
    assert row.needs_network
    save_in_hub_layout(cache, row.location, tiny_gpt2())
    assert not row.needs_network
    assert "gpt2" in offline_ids()
    for name in ("gpt2", "GPT2", f"gpt2@{COMMIT}"):
        loaded = load_weights(name)
        assert (loaded.name, loaded.revision) == ("GPT-2", COMMIT)


def test_without_network_it_says_so_and_what_can_be_had(cache: Path) -> None:
    with pytest.raises(
        ModelNotFound, match=r"not on this machine, which is set to work without.*smollm2-135m"
    ):
        load_weights("owner/unknown")
    with pytest.raises(ModelNotFound, match="openai-community/gpt2-xl is not on this machine"):
        load_weights("gpt2-xl")


def test_download_that_broke_off_is_not_taken_for_a_model(cache: Path) -> None:
    folder = save_in_hub_layout(cache, "owner/tiny")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="not on this machine"):
        load_weights("owner/tiny")


@pytest.mark.parametrize("revision", ["../../other", "a/../../../refs/main", "/etc", "a b", "..", "-x"])
def test_revision_cannot_leave_the_cache(cache: Path, revision: str) -> None:
    save_in_hub_layout(cache, "owner/tiny")
    with pytest.raises(ModelNotFound, match="is not a revision"):
        load_weights("owner/tiny", revision=revision)


def test_download_pins_the_commit_and_then_needs_no_network(
    online: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (online.folder / "modeling_evil.py").write_text("raise SystemExit")
    for name in ("pytorch_model.bin", "model.onnx", "training.json", "notes.txt", "flax_model.msgpack"):
        (online.folder / name).write_bytes(b"not needed")
    loaded = load_weights("owner/tiny")
    assert loaded.revision == COMMIT
    assert torch.equal(loaded.hf_model.lm_head.weight, tiny_llama().lm_head.weight)
    fetched = {path.rpartition("/")[2] for path in online.requests if "/resolve/" in path}
    needed = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert fetched == {"model.safetensors", *needed}
    online.requests.clear()
    assert load_weights("owner/tiny").revision == COMMIT
    assert online.requests == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_weights("owner/tiny@main").revision == COMMIT


def test_names_of_files_are_no_patterns(online: FakeHub) -> None:
    weights = (online.folder / "model.safetensors").read_bytes()
    (online.folder / "model.safetensors").rename(online.folder / "part*[1].safetensors")
    (online.folder / "part of another[1].safetensors").write_bytes(weights)
    (online.folder / "part1").write_bytes(weights)
    index = {"weight_map": {"model.norm.weight": "part*[1].safetensors"}}
    (online.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    folder, _ = hub.snapshot("owner/tiny")
    assert {file.name for file in folder.glob("part*")} == {"part*[1].safetensors"}


def test_sharded_download(online: FakeHub) -> None:
    for file in online.folder.iterdir():
        file.unlink()
    save(online.folder, max_shard_size="20KB")
    loaded = load_weights("owner/tiny")
    assert torch.equal(loaded.hf_model.lm_head.weight, tiny_llama().lm_head.weight)


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": {"a": "model.safetensors", "b": "evil.py"}},
        {"weight_map": {"a": "pytorch_model.bin"}},
        {"weight_map": {"a": "../x.safetensors"}},
        {"weight_map": {"a": ["evil.py"]}},
        {"weight_map": []},
        {},
        [],
    ],
)
def test_an_index_can_name_safetensors_only(online: FakeHub, index: object) -> None:
    (online.folder / "model.safetensors").unlink()
    (online.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("evil.py", "pytorch_model.bin"):
        (online.folder / name).write_bytes(b"")
    with pytest.raises(UnsupportedModel, match=r"index"):
        load_weights("owner/tiny")
    fetched = {path.rpartition("/")[2] for path in online.requests if "/resolve/" in path}
    assert fetched == {"model.safetensors.index.json"}


def test_a_name_that_cannot_be_remembered_does_not_undo_the_download(online: FakeHub, cache: Path) -> None:
    (cache / "models--owner--tiny" / "refs" / "v1").mkdir(parents=True)
    assert load_weights("owner/tiny@v1").revision == COMMIT


def test_a_gguf_file_is_found_whatever_the_case_of_its_ending(online: FakeHub) -> None:
    for file in online.folder.iterdir():
        file.unlink()
    write_gguf(online.folder / "M.GGUF", build("Llama"))
    assert load_weights("owner/tiny").hf_model.config.model_type == "llama"
    assert hub.cached_snapshot("owner/tiny") is not None


def test_a_gguf_file_in_a_folder_is_refused_by_name_and_not_fetched(online: FakeHub) -> None:
    (online.folder / "model.safetensors").unlink()
    (online.folder / "q8").mkdir()
    write_gguf(online.folder / "q8" / "m.gguf", build("Llama"))
    with pytest.raises(UnsupportedModel, match=r"in a folder of its own: q8/m\.gguf\. Download that file"):
        load_weights("owner/tiny")
    assert not any("/resolve/" in path for path in online.requests)


def test_repository_with_pickles_only_is_refused_and_not_fetched(online: FakeHub) -> None:
    (online.folder / "model.safetensors").rename(online.folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel, match="owner/tiny has no safetensors or GGUF"):
        load_weights("owner/tiny")
    assert not any("/resolve/" in path for path in online.requests)


def test_too_large_is_refused_before_the_download(online: FakeHub) -> None:
    online.sizes["model.safetensors"] = 10**15
    with pytest.raises(ModelTooLarge, match="GiB"):
        load_weights("owner/tiny")
    assert not any("/resolve/" in path for path in online.requests)


def test_every_file_is_counted_and_the_disk_is_asked_before(
    online: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = hub.ask_hub("owner/tiny", None)
    assert wanted.n_bytes == sum((online.folder / name).stat().st_size for name in wanted.wanted)
    assert wanted.n_bytes > wanted.weight_bytes
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=wanted.n_bytes - 1))
    with pytest.raises(ModelTooLarge, match=r"The files of owner/tiny take .* of the disk is free"):
        load_weights("owner/tiny")
    assert not any("/resolve/" in path for path in online.requests)


def test_a_disk_that_fills_up_is_not_taken_for_a_dead_line(
    online: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "snapshot_download", fill)
    with pytest.raises(ModelTooLarge, match="The disk filled up while owner/tiny was fetched"):
        load_weights("owner/tiny")


def test_a_long_index_is_not_fetched(online: FakeHub) -> None:
    (online.folder / "model.safetensors").unlink()
    (online.folder / "model.safetensors.index.json").write_text("{}")
    online.sizes["model.safetensors.index.json"] = 10**9
    with pytest.raises(UnsupportedModel, match="index of owner/tiny takes 1,000,000,000 bytes"):
        load_weights("owner/tiny")
    assert not any("/resolve/" in path for path in online.requests)


def test_the_operator_fetches_a_model_by_command(online: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main([]) == 2
    assert fetch.main(["owner/other"]) == 1
    assert "owner/other: not fetched." in capsys.readouterr().err
    assert fetch.main(["owner/tiny"]) == 0
    assert f"tiny is on this machine, revision {COMMIT}" in capsys.readouterr().out
    assert hub.cached_snapshot("owner/tiny") is not None


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "The hub has no model owner/tiny"),
        (404, "RevisionNotFound", "no revision 'v9'"),
        (403, "GatedRepo", r"accepted its terms.*hf auth login"),
        (500, "", "cannot be reached"),
    ],
)
def test_refusals_of_the_hub(online: FakeHub, status: int, code: str, words: str) -> None:
    online.refuse = (status, code)
    with pytest.raises(ModelNotFound, match=words):
        load_weights("owner/tiny@v9")


def test_a_dead_line_is_given_up_soon(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.3)
    online.silent = threading.Event()
    started = time.monotonic()
    with pytest.raises(ModelNotFound, match="cannot be reached"):
        load_weights("owner/tiny")
    assert time.monotonic() - started < 5


def test_a_branch_falls_back_to_its_cached_copy(online: FakeHub) -> None:
    load_weights("owner/tiny@main")
    online.refuse = (500, "")
    assert load_weights("owner/tiny@main").revision == COMMIT


@pytest.mark.parametrize("name", ["owner/tiny/more", "owner/", "/tiny", "owner/ti ny", "owner/..", "a//b"])
def test_names_that_are_no_hub_ids(name: str) -> None:
    assert not hub.is_hub_id(name)
    with pytest.raises(ModelNotFound):
        load_weights(name)
