"""Older spellings of the rotation in config.json: read as what they mean, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from model_runtime import load_model
from model_runtime.errors import UnsupportedModel
from model_runtime.loading.rope_config import read_today
from tests.gguf_files import build
from tests.tiny_models import tiny_tokenizer

IDS = list(range(5, 60))
FACTORS = {"short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [2.0] * 8}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, **FACTORS, "original_max_position_embeddings": 32}


@pytest.mark.parametrize(
    ("scaling", "kind"),
    [
        ({"type": "linear", "factor": 4.0}, "linear"),
        ({"rope_type": "linear", "type": "linear", "factor": 4.0}, "linear"),
        ({"type": "dynamic", "factor": 2.0}, "dynamic"),
        ({"type": "yarn", "factor": 4.0}, "yarn"),
        ({"type": "su", **FACTORS}, "longrope"),
        ({"rope_type": "su", **FACTORS}, "longrope"),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_old_names_are_read_as_todays(key: str, scaling: dict[str, Any], kind: str) -> None:
    read = read_today({"model_type": "llama", key: scaling}, "tiny")[key]
    assert read["rope_type"] == kind
    assert "type" not in read
    assert all(read[name] == value for name, value in scaling.items() if "type" not in name)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"rope_scaling": {"type": "banana", "factor": 2.0}}, "'banana'"),
        ({"rope_scaling": {"type": "linear"}}, "without factor"),
        ({"rope_scaling": {"type": "su", "short_factor": [1.0]}}, "without long_factor"),
        (
            {"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}},
            "'dynamic' and 'linear'",
        ),
        (
            {
                "rope_scaling": {"type": "linear", "factor": 2.0},
                "rope_parameters": {"rope_type": "linear", "factor": 4.0},
            },
            "another factor",
        ),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "turn whole heads"),
        ({"rope_parameters": {"full_attention": {"rope_type": "banana"}}}, "'banana'"),
        ({"model_type": "gpt_neox", "rotary_pct": 0.25, "partial_rotary_factor": 0.5}, "rotary_pct = 0.25"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedModel) as refused:
        read_today({"model_type": "llama", **config}, "tiny")
    assert said in str(refused.value)
    assert "tiny" in str(refused.value)


def _saved(model: Any, folder: Path, changes: dict[str, Any]) -> Path:
    """A model's folder whose config says its rotation as in `changes`."""
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config.pop("rope_parameters")
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


@pytest.mark.parametrize(
    ("build_model", "changes"),
    [
        (
            lambda: build(
                "Phi3", pad_token_id=0, original_max_position_embeddings=32, rope_parameters=LONGROPE
            ),
            {"rope_theta": 10000.0, "rope_scaling": {"type": "su", **FACTORS}},
        ),
        (
            lambda: build(
                "GPTNeoX",
                num_key_value_heads="absent",
                rope_parameters={"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5},
            ),
            {"partial_rotary_factor": 0.5, "rope_theta": 500.0},
        ),
    ],
    ids=["phi3-su", "neox-usual-names"],
)
def test_logits_are_those_of_the_model_that_was_saved(build_model: Any, changes: Any, tmp_path: Path) -> None:
    model = build_model()
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0, -1]
    ours = torch.tensor(load_model(_saved(model, tmp_path / "old", changes)).trace(IDS).next_token_logits())
    assert (ours - logits).abs().max() <= 1e-4


def test_model_type_of_the_future_has_its_own_sentence(tmp_path: Path) -> None:
    folder = _saved(build("Llama"), tmp_path / "new", {"model_type": "banana"})
    with pytest.raises(UnsupportedModel, match="'banana' is not known here"):
        load_model(folder)
