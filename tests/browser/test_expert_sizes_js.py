"""assets/js/expert_sizes.js in a real Chromium against runtime and viz: same sliders, same picture."""

from __future__ import annotations

import dataclasses
import json

import pytest
from playwright.sync_api import Page

from model_runtime.moe.sizes import Calculator
from viz.moe.sizes import CalculatorRecord, SizeRow
from viz.moe.sizes_figure import calculator_figure, calculator_layout, calculator_traces

pytestmark = pytest.mark.browser

CALCULATOR = Calculator(1_705_840, 1_700_000, n_layers=4, d_model=256, matrices=3)
NOW = SizeRow("Tiny", 8_005_888, 3_287_296, 3_284_992, 8, 2, True)
UPDATE = """
async ([data, values]) => {
  const { update } = await import("/expert_sizes.js")
  return JSON.stringify(update(data, values))
}
"""


@pytest.mark.parametrize(("n", "k", "width"), [(8, 2, 256), (1, 4, 128), (256, 8, 1024), (3, 8, 1)])
def test_the_browser_calculates_what_python_calculates(scripts: Page, n: int, k: int, width: int) -> None:
    used = min(k, n)
    record = CalculatorRecord(
        "Tiny",
        n,
        used,
        width,
        CALCULATOR.total(n, width),
        CALCULATOR.active(n, used, width),
        CALCULATOR.multiplications(n, used, width),
        NOW,
    )
    data = dict(calculator_figure(record, dataclasses.asdict(CALCULATOR)).browser_data)
    found = json.loads(scripts.evaluate(UPDATE, [data, {"experts": n, "topk": k, "width": width}]))
    assert found["data"] == calculator_traces(record)
    assert found["layout"]["title"] == calculator_layout(record)["title"]
    assert found["layout"]["xaxis.range"] == pytest.approx(calculator_layout(record)["xaxis.range"])
