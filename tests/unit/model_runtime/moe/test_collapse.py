"""The recording of two trainings is read, and what is wrong with it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_runtime.moe.collapse import RecordMissing, read_collapse


def recording(**changes: Any) -> dict[str, Any]:
    """Two layers, four experts, three steps: without the loss everything goes to expert 2 in the end."""
    even = [[0.25] * 4] * 2
    fallen = [[[0.25] * 4] * 2, [[0.1, 0.1, 0.7, 0.1]] * 2, [[0.0, 0.0, 1.0, 0.0]] * 2]
    return {
        "description": "a tiny training",
        "domains_note": "four domains",
        "steps": [0, 50, 100],
        "with_loss": {"share": [even] * 3, "loss": [8.0, 4.0, 3.0]},
        "without_loss": {"share": fallen, "loss": [8.0, 4.2, 3.5]},
        **changes,
    }


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "collapse.json"
    file.write_text(json.dumps(recording(**changes)))
    return file


def test_a_recording_is_read(tmp_path: Path) -> None:
    found = read_collapse(written(tmp_path))
    assert found.steps == (0, 50, 100)
    assert found.n_layers == 2
    assert found.without_loss.share[2, 1].tolist() == [0, 0, 1, 0]
    assert found.with_loss.loss[1] == 4


def test_a_missing_recording_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordMissing, match="is not here"):
        read_collapse(tmp_path / "collapse.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": [0, 1]}, "at 2 steps"),
        ({"with_loss": {"share": np.full((3, 2, 4), 0.5).tolist(), "loss": [1, 1, 1]}}, "do not sum to 1"),
        ({"with_loss": {"share": np.full((3, 1, 4), 0.25).tolist(), "loss": [1, 1, 1]}}, "different shapes"),
        ({"with_loss": "none"}, "cannot be read"),
    ],
)
def test_a_wrong_recording_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordMissing, match=says):
        read_collapse(written(tmp_path, **changes))


def test_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "collapse.json"
    file.write_text("{")
    with pytest.raises(RecordMissing, match="cannot be read"):
        read_collapse(file)
