"""assets/js/expert_load.js in a real Chromium against runtime and viz: same sliders, same picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from model_runtime.moe.load import dispatch, gate_noise, moved_slots, noisy_top_k
from pages.shared.figure.live_figure import encode_arrays
from viz.moe.load import (
    LoadRecord,
    load_figure,
    load_layout,
    load_record,
    load_traces,
    load_words,
    with_noise_and_capacity,
)

pytestmark = pytest.mark.browser

TEXTS = ["<b>&\"'", " the", "\n", "$x$", "שלום", "%{y}", "&lt;", "a" * 40]
UPDATE = """
async ([data, values]) => {
  const { update } = await import("/expert_load.js")
  const { decoded } = await import("/figure_data.js")
  return JSON.stringify(update(decoded(data), values))
}
"""


def made(n_tokens: int, n_experts: int, k: int, sigma: float, factor: float) -> tuple[LoadRecord, Any]:
    logits = np.random.default_rng(5).normal(size=(n_tokens, n_experts)).astype(np.float32)
    logits[:, 1] += 1.5
    noise = gate_noise(n_tokens, n_experts)
    measured = noisy_top_k(logits, k, noise, 0)
    used = noisy_top_k(logits, k, noise, sigma)
    found = dispatch(used, n_experts, factor)
    tokens = [TEXTS[position % len(TEXTS)] for position in range(n_tokens)]
    record = load_record(
        used,
        found.kept,
        found.taken,
        found.dropped,
        tokens,
        layer=2,
        capacity=found.capacity if factor else None,
        moved=moved_slots(measured, used),
        top=9,
    )
    return record, with_noise_and_capacity(load_figure(record), record, logits, noise, measured)


@pytest.mark.parametrize(
    ("n_tokens", "n_experts", "k"), [(1, 2, 1), (20, 8, 2), (40, 8, 1), (120, 40, 4), (168, 8, 3)]
)
@pytest.mark.parametrize(("sigma", "factor"), [(0, 0), (0.7, 0), (0, 1), (1.3, 0.5), (5, 1.25)])
def test_the_browser_draws_what_python_draws(
    scripts: Page, n_tokens: int, n_experts: int, k: int, sigma: float, factor: float
) -> None:
    record, drawn = made(n_tokens, n_experts, k, sigma, factor)
    data = encode_arrays(drawn.browser_data)
    found = json.loads(scripts.evaluate(UPDATE, [data, {"noise": sigma, "capacity": factor}]))
    assert found["words"] == load_words(record)
    assert found["layout"] == json.loads(json.dumps(load_layout(record)))
    assert found["data"] == json.loads(json.dumps(load_traces(record)))


def test_what_would_be_too_much_stays_here() -> None:
    assert made(1024, 64, 2, 0, 0)[1].browser is None
