"""assets/js/rotation.js in a real Chromium against viz: the same slider, the same arrows and words."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from pages.shared.figure.live_figure import encode_arrays
from viz.positions.rotation import (
    Turning,
    moving_traces,
    turned_point,
    turning_figure,
    turning_record,
    turning_title,
    turning_words,
)
from viz.style import inert

pytestmark = pytest.mark.browser

TURN = """
async ([data, values]) => {
  const { turn } = await import("/rotation.js")
  const { decoded } = await import("/figure_data.js")
  return JSON.stringify(turn(decoded(data), values))
}
"""


def made(at: int, query: int, resting: int = 0, length: float = 1.0) -> Turning:
    random = np.random.default_rng(3)
    tokens = ["<b>&\"'", " the", "$x$", "%{y}", "a" * 40]
    planes: dict[str, np.ndarray] = {name: random.normal(size=(5, 2)) for name in ("q", "k")}
    angles = 0.1 * np.arange(5)
    for name in ("q", "k"):
        turned = [turned_point(tuple(p), a, length) for p, a in zip(planes[name], angles, strict=True)]
        planes[f"turned_{name}"] = np.array(turned)
    return turning_record(
        planes,
        np.array([1.0, 0.1, 0.001]),
        tokens,
        layer=2,
        head=1,
        pair=1,
        query=query,
        key=0,
        at=at,
        length=length,
        resting=resting,
    )


@pytest.mark.parametrize("query", range(5))
@pytest.mark.parametrize(("at", "resting", "length"), [(0, 0, 1.0), (3, 5, 1.0), (4, 0, 1.14), (999, 2, 1.0)])
def test_the_browser_turns_as_python_does(
    scripts: Page, query: int, at: int, resting: int, length: float
) -> None:
    record = made(at, query, resting, length)
    data = encode_arrays(turning_figure(record).browser_data)
    moved: dict[str, Any] = json.loads(scripts.evaluate(TURN, [data, {"position": at}]))
    assert moved["words"] == turning_words(record)
    assert moved["layout"]["title"]["text"] == inert(turning_title(record))
    mine = moving_traces(record)
    assert [trace["name"] for trace in moved["data"][-3:]] == [trace["name"] for trace in mine]
    for theirs, ours in zip(moved["data"][-3:], mine, strict=True):
        for axis in ("x", "y"):
            assert theirs.pop(axis) == pytest.approx(ours.pop(axis), abs=1e-9)
        assert theirs == json.loads(json.dumps(ours))


def test_at_its_own_position_the_moved_arrow_is_the_captured_one() -> None:
    record = made(at=4, query=4, length=1.14)
    # frequencies[1] is 0.1 a position, as the captured ones were turned
    tip = turned_point(record.arrow(4, "q"), record.angle, record.length)
    assert tip == pytest.approx(record.arrow(4, "turned_q"))
    assert math.degrees(record.angle) == pytest.approx(22.918, abs=1e-3)
