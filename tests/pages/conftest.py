"""A tiny model that visitors may name, and the shell in a headless Streamlit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.frame import contents
from tests.tiny_checkpoints import save, tiny_gpt2, tiny_llama

HERE = Path(__file__).resolve().parent
Visit = Callable[..., AppTest]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of 2 layers, 2 heads and 64 tokens of context: `llama` and `gpt2`, one token a byte."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "llama", tiny_llama())
    save(folder / "gpt2", tiny_gpt2())
    return folder


@pytest.fixture
def tiny(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the tiny Llama, allowed on this server."""
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(model_folder))
    return str(model_folder / "llama")


@pytest.fixture(scope="session")
def stub_router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The router with the same stub in the place of every page."""
    folder = tmp_path_factory.mktemp("stub")
    shutil.copy(HERE / "stub_app" / "main.py", folder)
    for entry in contents.PAGES:
        (folder / entry.file).parent.mkdir(exist_ok=True)
        shutil.copy(HERE / "stub_app" / "page.py", folder / entry.file)
    return folder / "main.py"


@pytest.fixture
def visit(tiny: str, stub_router: Path) -> Visit:
    """`visit(prompt="hi", layer="1") -> AppTest`: the stub pages opened by a link with these parameters."""

    def open_link(**link: str) -> AppTest:
        app = AppTest.from_file(str(stub_router), default_timeout=60)
        for key, value in {"model": tiny, **link}.items():
            app.query_params[key] = value
        return app.run()

    return open_link


def in_the_prompt_box(app: AppTest) -> str:
    """The prompt that the box on top of the page was given."""
    sent = (json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json)
    (text,) = (data["text"] for data in sent if "most" in data and "refusal" not in data)
    return str(text)


def run_prompt(app: AppTest, text: str) -> AppTest:
    """What the box's report does: a text that is kept in the session, and a run."""
    app.session_state["gf.typed"] = text
    return app.run()


def texts(app: AppTest) -> list[str]:
    """What the stub page named."""
    return [element.value for element in app.text]
