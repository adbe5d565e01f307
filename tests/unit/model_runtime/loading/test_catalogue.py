"""The catalogue lists what is there; a link may name that and what the operator allows, nothing else."""

import json
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from model_runtime import catalogue as listed
from model_runtime.errors import ModelNotFound
from model_runtime.families import FAMILIES
from model_runtime.loading.catalogue import DEFAULT_MODEL, SMOLLM2_WHEEL, bundled_rows, row_of
from model_runtime.loading.hub import is_hub_id
from model_runtime.loading.load import load_weights, locate
from model_runtime.loading.permitted import offered, resolve_for_app
from tests.tiny_checkpoints import save, tiny_gpt2

ROOT = Path(__file__).resolve().parents[4]


def test_default_comes_first_and_needs_no_network() -> None:
    first = listed()[0]
    assert (first.id, first.needs_network, first.source) == (DEFAULT_MODEL, False, "wheel")


def test_ids_are_unique_and_every_family_is_supported() -> None:
    rows = listed()
    assert len({row.id for row in rows}) == len(rows)
    types = {model_type for family in FAMILIES for model_type in family.model_types}
    assert {row.family for row in rows} <= {family.key for family in FAMILIES} | types
    assert all(is_hub_id(row.location) for row in rows if row.source == "hub")


def test_wheel_is_the_one_that_requirements_pin() -> None:
    assert SMOLLM2_WHEEL.requirement in (ROOT / "requirements-model.txt").read_text()


def test_rows_are_found_in_any_case() -> None:
    row = row_of(" SmolLM2-135M-Instruct ")
    assert row is not None
    assert row.id == DEFAULT_MODEL
    assert row_of("nothing") is None


def test_bundled_models_are_listed_only_if_they_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundled_rows(tmp_path) == ()
    folder = save(tmp_path / "gpt2-tiny", tiny_gpt2())
    assert bundled_rows(tmp_path) == ()  # no model.json yet
    (folder / "model.json").write_text(json.dumps({"name": "GPT-2 tiny", "n_params": 12345}))
    (row,) = bundled_rows(tmp_path)
    assert (row.id, row.name, row.family, row.n_params) == ("gpt2-tiny", "GPT-2 tiny", "gpt2", 12345)
    assert not row.needs_network
    monkeypatch.setattr(sys.modules["model_runtime.loading.catalogue"], "bundled_rows", lambda: (row,))
    loaded = load_weights("gpt2-tiny")
    assert loaded.name == "GPT-2 tiny"
    assert loaded.revision.startswith("sha256:")
    assert resolve_for_app("GPT2-tiny") == "gpt2-tiny"
    (folder / "model.safetensors").unlink()
    assert bundled_rows(tmp_path) == ()


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSFORMER_ALLOW", raising=False)


def test_catalogue_ids_are_always_allowed() -> None:
    assert resolve_for_app(" GPT2 ") == "gpt2"
    assert resolve_for_app("gpt2@v1") == "gpt2@v1"
    assert offered() == tuple(row.id for row in listed())


@pytest.mark.parametrize(
    "name", ["owner/model", "/etc", "..", "~", "", "x" * 500, "a\nb", "pages/start", "nothing"]
)
def test_other_names_are_refused_whether_or_not_they_exist(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"does not offer.*GLASSFORMER_ALLOW"):
        resolve_for_app(name)


@pytest.mark.parametrize(
    ("allowed", "name", "fine"),
    [
        ("owner/model", "owner/model", True),
        ("owner/model", "Owner/Model@main", True),
        ("owner/model", "owner/other", False),
        ("owner/*", "owner/other", True),
        ("owner/*", "owners/other", False),
        ("a/b, owner/*", "owner/other", True),
        ("*", "any/thing", True),
        ("owner/*", "owner/model@refs/pr/1", True),
        ("owner/*", "owner/model@../../x", False),
        ("owner/*", "owner/model@a/../../../tmp", False),
        ("owner/*", "owner/model@main/../../../../etc", False),
        ("owner/*", "owner/model@", False),
        ("owner/*", "owner/model.gguf", False),
        ("pages/*", "pages/shared@main", False),  # the part before the "@" is a folder of the app
        ("*", "/etc", False),
        ("*", "pages/shared", False),  # also a folder of the app
    ],
)
def test_hub_ids_the_operator_allows(
    monkeypatch: pytest.MonkeyPatch, allowed: str, name: str, fine: bool
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GLASSFORMER_ALLOW", allowed)
    if fine:
        assert resolve_for_app(name) == name
    else:
        with pytest.raises(ModelNotFound):
            resolve_for_app(name)


@pytest.mark.parametrize(
    "revision", ["main/../..", "../../x", "main/../../../../etc", "a/../../../tmp", "refs/pr/1"]
)
def test_a_revision_is_never_followed_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    """Even where folders of these names lie around, so that the path would lead somewhere."""
    (tmp_path / "owner" / "model@main").mkdir(parents=True)
    (tmp_path / "owner" / "model@a").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"is not a revision|owner/model is not on this machine"):
        locate(f"owner/model@{revision}")


@pytest.mark.parametrize(
    "name", ["~no-such-user/x", "/tmp/" + "a" * 300, "~root" + "/x" * 150, "a/" + "b" * 300]
)
def test_names_no_path_can_have_are_refused_where_a_folder_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"~no-such-user,{tmp_path}")
    with pytest.raises(ModelNotFound, match="does not offer"):
        resolve_for_app(name)


def test_folders_the_operator_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, private = tmp_path / "models", tmp_path / "private"
    (models / "mine").mkdir(parents=True)
    private.mkdir()
    (models / "escape").symlink_to(private)
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(models))
    assert resolve_for_app(str(models / "mine")) == str(models / "mine")
    assert resolve_for_app(str(models)) == str(models)
    assert str(models) in offered()
    for outside in (private, models / "escape", models / ".." / "private", f"{models}-more"):
        with pytest.raises(ModelNotFound):
            resolve_for_app(str(outside))
