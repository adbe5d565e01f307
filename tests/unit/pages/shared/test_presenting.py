"""Steps of a presented figure: round the ends, and nothing for what is no step."""

from __future__ import annotations

from typing import Any

import pytest

from pages.shared.frame import presenting
from pages.shared.frame.presenting import Ends

ENDS = Ends(n_tokens=3, n_layers=2, n_heads=4)


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings, of a visitor on the Attention page."""
    from pages.shared.settings import url_state

    held: dict[str, Any] = {"token": -1, "layer": 1, "head": 3, "part": "heads"}
    monkeypatch.setattr(url_state, "values", lambda: held)
    monkeypatch.setattr(url_state, "set", lambda **changes: held.update(changes))
    monkeypatch.setattr(url_state, "page", lambda: "attention")
    return held


@pytest.mark.parametrize(
    ("what", "by", "expected"),
    [
        ("token", 1, {"token": 0}),
        ("token", -1, {"token": 1}),
        ("head", 1, {"layer": 0, "head": 0}),
        ("head", -1, {"layer": 1, "head": 2}),
        ("part", 1, {"part": "stages"}),
        ("part", -1, {"part": "bertviz"}),
    ],
)
def test_a_step(values: dict[str, Any], what: str, by: int, expected: dict[str, Any]) -> None:
    before = dict(values)
    presenting.step({"what": what, "by": by}, ENDS)
    assert values == {**before, **expected}


@pytest.mark.parametrize(
    "report",
    [None, 3, [], {}, {"what": "token", "by": 5}, {"what": "head", "by": "1"}, {"what": "x", "by": 1}],
)
def test_what_is_no_step_changes_nothing(values: dict[str, Any], report: object) -> None:
    before = dict(values)
    presenting.step(report, ENDS)
    assert values == before
