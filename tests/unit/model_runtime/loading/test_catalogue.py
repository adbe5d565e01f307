"""The catalogue lists what is there; a link may name that and what the operator allows, nothing else."""

import json
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from model_runtime import catalogue as listed
from model_runtime.errors import ModelNotFound
from model_runtime.families import FAMILIES
from model_runtime.loading import hub
from model_runtime.loading.catalogue import DEFAULT_MODEL, SMOLLM2_WHEEL, bundled_rows, row_of
from model_runtime.loading.hub import is_hub_id
from model_runtime.loading.load import load_weights, locate
from model_runtime.loading.permitted import absent, offered, resolve_for_app
from tests.tiny_checkpoints import COMMIT, save, save_in_hub_layout, tiny_gpt2

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
    for file in ("config.json", "tokenizer.json"):  # other numbers never stand under the same hash
        text = (folder / file).read_text()
        (folder / file).write_text(text + " ")
        assert locate("gpt2-tiny").revision != loaded.revision
        (folder / file).write_text(text)
    assert locate("gpt2-tiny").revision == loaded.revision
    (folder / "model.safetensors").unlink()
    assert bundled_rows(tmp_path) == ()


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSFORMER_ALLOW", raising=False)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model of the hub lies on this machine."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def undownloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the hub is asked."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("ask_hub", "snapshot_download", "hf_hub_download"):
        monkeypatch.setattr(hub, name, lambda *arguments, **options: pytest.fail("the hub was asked"))


def test_catalogue_ids_on_this_machine_are_always_allowed() -> None:
    assert resolve_for_app(" GPT2-Mini ") == "gpt2-mini"
    assert resolve_for_app("GPT-2 mini") == "gpt2-mini"
    assert resolve_for_app(DEFAULT_MODEL) == DEFAULT_MODEL
    assert offered() == tuple(row.id for row in listed())


@pytest.mark.parametrize("name", ["gpt2", "GPT-2", "openai-community/gpt2", "mixtral-8x7b", "Mixtral 8x7B"])
@pytest.mark.usefixtures("undownloaded")
def test_a_link_downloads_nothing_by_default(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"not on this server.*python -m model_runtime\.fetch") as refusal:
        load_weights(resolve_for_app(name))
    assert "GLASSFORMER" not in str(refusal.value)


@pytest.mark.parametrize("revision", ["refs/pr/12", "main", "v1", COMMIT, "../../x", "", "a b", "é" * 300])
@pytest.mark.parametrize("name", ["gpt2", "openai-community/gpt2"])
@pytest.mark.usefixtures("undownloaded")
def test_a_link_reads_no_revision_by_default(empty_cache: Path, name: str, revision: str) -> None:
    """Not even of a model that is here: anybody can open `refs/pr/12` on the hub."""
    for ref in ("main", "v1"):
        save_in_hub_layout(empty_cache, "openai-community/gpt2", tiny_gpt2(), ref=ref)
    with pytest.raises(ModelNotFound, match=r"reads no revision|does not offer"):
        load_weights(resolve_for_app(f"{name}@{revision}"))


@pytest.mark.usefixtures("undownloaded")
def test_a_model_of_the_hub_that_is_here_loads(empty_cache: Path) -> None:
    row = row_of("gpt2")
    assert row is not None
    assert absent(row) == "not here"
    save_in_hub_layout(empty_cache, "openai-community/gpt2", tiny_gpt2())
    assert absent(row) == ""
    for name in ("gpt2", "OpenAI-Community/GPT2", "GPT-2"):
        assert load_weights(resolve_for_app(name)).revision == COMMIT


@pytest.mark.parametrize(
    ("allowed", "name", "fine"),
    [
        ("gpt2", "gpt2", True),
        ("GPT2", "openai-community/gpt2", True),
        ("openai-community/gpt2", "gpt2", True),
        ("openai-community/*", "gpt2", True),
        ("*", "gpt2", True),
        ("gpt2", "gpt2-xl", False),
        ("gpt2", "gpt2@main", False),
        ("gpt2@v1", "gpt2@v1", True),
        ("openai-community/gpt2@v1", "gpt2@v1", True),
        ("gpt2@v1", "gpt2@v2", False),
        ("gpt2@v1", "gpt2@V1", False),
        ("gpt2@v1", "gpt2", False),
        ("*", "gpt2@refs/pr/12", False),
        ("gpt2@../x", "gpt2@../x", False),
    ],
)
def test_rows_of_the_hub_that_the_operator_lets_a_link_fetch(
    monkeypatch: pytest.MonkeyPatch, allowed: str, name: str, fine: bool
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", allowed)
    row = row_of("gpt2")
    assert row is not None
    if not fine:
        with pytest.raises(ModelNotFound):
            resolve_for_app(name)
        return
    assert resolve_for_app(name) == ("gpt2@v1" if "@" in name else "gpt2")
    assert absent(row) == ("not here" if "@" in name else "needs network")


@pytest.mark.parametrize(
    "name", ["owner/model", "/etc", "..", "~", "", "x" * 500, "a\nb", "pages/start", "nothing"]
)
def test_other_names_are_refused_whether_or_not_they_exist(name: str) -> None:
    with pytest.raises(ModelNotFound, match=r"does not offer.*Running it for others") as refusal:
        resolve_for_app(name)
    assert "GLASSFORMER" not in str(refusal.value)


@pytest.mark.parametrize(
    ("allowed", "name", "fine"),
    [
        ("owner/model", "owner/model", True),
        ("owner/model", "Owner/Model", True),
        ("owner/model", "owner/model@main", False),
        ("owner/model@main", "Owner/Model@main", True),
        ("owner/model@main", "owner/model", False),
        ("owner/model@main", "owner/model@refs/pr/1", False),
        ("owner/model", "owner/other", False),
        ("owner/*", "owner/other", True),
        ("owner/*", "owners/other", False),
        ("a/b, owner/*", "owner/other", True),
        ("*", "any/thing", True),
        ("owner/*", "owner/model@refs/pr/1", False),
        ("*", "owner/model@main", False),
        ("owner/model@../../x", "owner/model@../../x", False),
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
