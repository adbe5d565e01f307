"""Models that cannot be had: a sentence that says what to do, and the last good picture stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.pages.conftest import Visit, texts


@pytest.fixture
def bad_models(model_folder: Path, tiny: str) -> dict[str, str]:
    """Names that visitors may use here and that are no models, and the word the message must have."""
    empty = model_folder / "empty"
    empty.mkdir(exist_ok=True)
    pickled = model_folder / "pickled"
    if not pickled.exists():
        pickled.mkdir()
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (pickled / file).write_bytes((Path(tiny) / file).read_bytes())
        torch.save({}, pickled / "pytorch_model.bin")
    return {"empty": str(empty), "pickled": str(pickled), "unknown": "no-such-model", "hub": "gpt2"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "empty"),
        ("pickled", "safetensors"),
        ("unknown", "does not offer"),
        ("hub", "not on this server"),
    ],
)
def test_a_model_that_cannot_be_had_is_told(
    visit: Visit, bad_models: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    app = visit(prompt="hello", layer="0", head="0")
    app.session_state["gf.values"]["model"] = bad_models[name]
    app.query_params.clear()
    app.run()
    assert not app.exception
    message = app.error[0].value.replace("\\", "")
    assert words in message, message
    assert len(message.split("\n\n")) == 2  # what came, and what to do
    assert texts(app)[0] == "drawn: hello"
    app.button(key="gf.back").click().run()
    assert not app.error
    assert texts(app)[0] == "drawn: hello"
