"""No label of any figure lies on another, on a phone and on a wide screen: drawn by plotly in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.pages.every_part import IDS, NAMES, figures_of, seen

pytestmark = pytest.mark.browser

# Widths of a figure's place: on a phone of 390 pixels, on a tablet of 768, on a page of 1,440. Below 600
# pixels the narrow figure is drawn, below 900 the middle one.
PHONE, TABLET, WHOLE = 358, 700, 1080
# Draws a figure and gives the pairs of texts whose boxes lie more than 3 pixels into one another both ways.
OVERLAPS = """
async ({ figure, width }) => {
  document.body.innerHTML = '<div id="plot"></div>'
  const plot = document.getElementById("plot")
  const layout = { ...figure.layout, width, height: figure.layout.height ?? 420, autosize: false }
  await Plotly.newPlot(plot, figure.data, layout, { staticPlot: true, typesetMath: false })
  const names = ".annotation-text, [class$='tick'] text, .textpoint text, .bartext, .legendtext, "
    + "text[class$='title'], .cbaxis text"
  const seen = text => {
    const { width, height } = text.getBoundingClientRect()
    const style = getComputedStyle(text)
    const hidden = style.display === "none" || style.visibility === "hidden" || Number(style.opacity) === 0
    return text.textContent.trim() && width && height && !hidden && !text.closest("[style*='opacity: 0']")
  }
  // Ticks on a slant lie beside one another, though the boxes around them do not.
  const slant = text => { const { a, b } = text.getScreenCTM(); return Math.abs(a * b) > 0.01 ? a / b : 0 }
  const lines = text => {
    const spans = [...text.querySelectorAll("tspan.line")]
    return (spans.length ? spans : [text])
      .map(span => ({ box: span.getBoundingClientRect(), said: span.textContent }))
  }
  const elements = [...new Set(plot.querySelectorAll(names))].filter(seen)
  const [slants, texts] = [elements.map(slant), elements.map(lines)]
  const found = []
  for (let one = 0; one < texts.length; one++) {
    for (let other = one + 1; other < texts.length; other++) {
      if (slants[one] && slants[one] === slants[other]) continue
      for (const { box: a, said } of texts[one]) {
        for (const { box: b, said: too } of texts[other]) {
          const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
          // A line of 12 pixel letters is 15 high; letters fill the middle.
          const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
          if (across > 3 && down > 0.35 * Math.min(a.height, b.height)) found.push(`${said} on ${too}`)
        }
      }
    }
  }
  return found
}
"""


@pytest.fixture(scope="module")
def sheet(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_content("<!doctype html><title>labels</title>")
    page.add_script_tag(path=str(Path(str(files("plotly"))) / "package_data" / "plotly.min.js"))
    yield page
    page.close()


def drawn_at(message: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """What the frame draws, with the widths. Some figures are laid out for a phone by the browser alone."""
    wide, *others = figures_of(message)
    yield wide, WHOLE
    if not json.loads(message["narrow"]) and not (message["browser"] and not others):
        narrow = others[0] if others else wide
        yield narrow, PHONE
        same = message["middle_figure"] == "narrow"
        yield narrow if same else others[1] if len(others) > 1 else wide, TABLET


# Other settings, under which labels lie elsewhere.
OTHERS = (
    ("embeddings", "map", {"method": "tsne"}),
    ("embeddings", "map", {"points": "prompt"}),
    (
        "embeddings",
        "senses",
        {"word": "bank", "sentences": "He sat on the bank of the river\nThe bank lent me money"},
    ),
    ("attention", "number", {"key": "7"}),
    ("attention", "number", {"model": "gpt2-mini"}),
    ("number-formats", "quant", {"bits": "8", "group": "32"}),
    ("positions", "schemes", {"model": "gpt2-mini"}),
    ("stability", "softmax", {"gain": "64"}),
)


def overlaps(sheet: Page, page_name: str, part: str, **link: str) -> list[str]:
    """What lies on what, by figure and width."""
    return [
        f"{message['key']} at {width}: {pair}"
        for message in seen(page_name, part, **link).figures
        for figure, width in drawn_at(message)
        for pair in sheet.evaluate(OVERLAPS, {"figure": figure, "width": width})
    ]


@pytest.mark.parametrize(("page_name", "part"), NAMES, ids=IDS)
def test_no_label_lies_on_another(sheet: Page, page_name: str, part: str) -> None:
    assert not overlaps(sheet, page_name, part)


@pytest.mark.parametrize(("page_name", "part", "link"), OTHERS)
def test_no_label_lies_on_another_elsewhere(
    sheet: Page, page_name: str, part: str, link: dict[str, str]
) -> None:
    assert not overlaps(sheet, page_name, part, **link)
