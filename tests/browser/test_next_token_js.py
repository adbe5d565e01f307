"""assets/js/next_token.js in a real Chromium against viz: same logits and sliders, same picture."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import sampling_steps
from pages.shared.figure.live_figure import encode_arrays
from viz.output.next_token.browser import with_sliders
from viz.output.next_token.figure import next_token_figure
from viz.output.next_token.record import next_token_record
from viz.text import share, three_digits

pytestmark = pytest.mark.browser

SLIDERS = ("temperature", "top_k", "top_p", "min_p")
TEXTS = [" the", "the", "\n", "<b>&\"'", "שלום", "\ufffd", " naïve", "$x$", "\u200b", "a" * 40]
UPDATE = """
async ([data, values, earlier, narrow]) => {
  const { update } = await import("/next_token.js")
  const bytes = Uint8Array.from(atob(data.logits.bdata), (letter) => letter.charCodeAt(0))
  const ready = { ...data, logits: new Float32Array(bytes.buffer) }
  update(ready, earlier) // an earlier position of the sliders must leave nothing behind
  return JSON.stringify(update(ready, values, narrow))
}
"""


def drawn_for(logits: np.ndarray, sampling: SamplingSettings, pinned: bool, shown: list[int]) -> Any:
    report = sampling_steps(logits, [0, 1, 3], [], sampling)
    shares = {token_id: 0.1 / (1 + token_id) for token_id in range(logits.size)}
    shares[shown[2]] = math.nan
    record = next_token_record(
        report,
        shown,
        lambda token_id: TEXTS[token_id % len(TEXTS)],
        shown[1],
        shares if pinned else None,
        "temperature 0.2" if pinned else None,
    )
    return with_sliders(
        next_token_figure(record), record, logits, dataclasses.asdict(sampling), [0, 1, 3]
    ), record


CASES = [
    SamplingSettings(),
    SamplingSettings(temperature=0.8, top_p=0.9),
    SamplingSettings(temperature=0.0),
    SamplingSettings(temperature=10.0),
    SamplingSettings(temperature=1.7, top_k=40, top_p=0.7, min_p=0.02),
    SamplingSettings(top_k=3),
    SamplingSettings(min_p=0.3, repetition_penalty=1.7, presence_penalty=0.4),
    SamplingSettings(
        temperature=2.0,
        top_p=0.5,
        order=(
            "top_p", "top_k", "min_p", "typical_p", "repetition", "presence", "frequency", "temperature",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("sampling", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("vocabulary", [60, 49_152])
def test_both_draw_the_same(scripts: Page, sampling: SamplingSettings, pinned: bool, vocabulary: int) -> None:
    logits = np.random.default_rng(vocabulary).normal(0, 3, vocabulary).astype(np.float32)
    logits[[5, 9, 20]] = logits.max() + 1  # a tie at the top
    shown = [int(token_id) for token_id in np.argsort(-logits, kind="stable")[:12]]
    drawn, record = drawn_for(logits, sampling, pinned, shown)
    found = in_browser(scripts, drawn, sampling)
    expected = json.loads(drawn.figure.to_json(validate=False))
    assert len(found["data"]) == len(expected["data"])
    for theirs, ours in zip(found["data"], expected["data"], strict=True):
        same(theirs, ours, ours["name"])
    layout = expected["layout"]
    assert found["layout"]["title"]["text"] == layout["title"]["text"]
    assert found["layout"]["yaxis"]["ticktext"] == layout["yaxis"]["ticktext"]
    assert found["layout"]["xaxis2"]["title"]["text"] == layout["xaxis2"]["title"]["text"]
    assert found["layout"]["xaxis2"]["range"] == pytest.approx(layout["xaxis2"]["range"])
    assert found["layout"]["xaxis2"]["tickvals"] == pytest.approx(layout["xaxis2"]["tickvals"])
    if pinned:
        assert found["layout"]["xaxis3"]["range"] == pytest.approx(layout["xaxis3"]["range"])
    assert found["words"] == record.words
    axis = in_browser(scripts, drawn, sampling, narrow=True)["layout"]["xaxis2"]
    for name in ("range", "tickvals"):
        assert axis[name] == pytest.approx(drawn.narrow_layout[f"xaxis2.{name}"])
    assert axis["ticktext"] == drawn.narrow_layout["xaxis2.ticktext"]


def in_browser(scripts: Page, drawn: Any, sampling: SamplingSettings, narrow: bool = False) -> dict[str, Any]:
    """What the browser draws with the sliders at `sampling`."""
    data = encode_arrays(drawn.browser_data)
    values = {name: getattr(sampling, name) for name in SLIDERS}
    earlier = {"temperature": 3.0, "top_k": 7, "top_p": 0.4, "min_p": 0.01}
    result: dict[str, Any] = json.loads(scripts.evaluate(UPDATE, [data, values, earlier, narrow]))
    return result


def same(theirs: Any, ours: Any, where: str) -> None:
    """Equal in structure and words; numbers to the rounding of one exponential."""
    if isinstance(ours, dict):
        assert set(theirs) == set(ours), where
        for key, value in ours.items():
            same(theirs[key], value, f"{where}.{key}")
    elif isinstance(ours, list):
        assert len(theirs) == len(ours), where
        for at, value in enumerate(ours):
            same(theirs[at], value, f"{where}[{at}]")
    elif isinstance(ours, float | int) and not isinstance(ours, bool):
        assert theirs == pytest.approx(ours, rel=1e-5, abs=1e-12), where
    else:
        assert theirs == ours, where


def test_numbers_are_written_alike(scripts: Page) -> None:
    draws = np.random.default_rng(0)
    values = [
        0.0,
        1.0,
        0.5,
        0.999,
        0.9995,
        0.99951,
        1e-3,
        9.996e-4,
        0.0009999,
        1e-9,
        0.12345,
        99.96,
        999.6,
        1234.5,
    ]
    values += [-0.5, -1e-5, 48902.0, 1e8, 2.5e9, *(10.0 ** draws.uniform(-12, 4, 300)).tolist()]
    script = """async (values) => {
      const { share, threeDigits } = await import("/numbers.js")
      return values.map((value) => [threeDigits(value), share(value)])
    }"""
    found = scripts.evaluate(script, values)
    assert found == [[three_digits(value), share(value)] for value in values]
