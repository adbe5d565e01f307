"""No label of any figure lies on another or leaves the picture, at the least width of each layout: drawn by
plotly in Chromium as the figure frame has it drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.pages.every_part import IDS, NAMES, figures_of, seen

pytestmark = pytest.mark.browser

# Widths of a figure's place: on a phone of 390 pixels, then the least of the middle and of the wide layout.
PHONE, TABLET, WHOLE = 358, 600, 900
# Not mended yet: words a few pixels past the edge of the drawn stages and of the forward pass; headings of
# the drawn stages on one another at 600 pixels.
LEAVING = {"stages", "forward-pass"}
# Draws a figure and gives the pairs of texts whose boxes lie more than 3 pixels into one another both ways,
# and the texts that leave the picture.
OVERLAPS = """
async ({ figure, width, narrow }) => {
  const { narrowed } = await import("/figure_theme.js")
  const { withFittingTitle } = await import("/figure_title.js")
  document.body.innerHTML = '<div id="plot" style="margin: 40px"></div>'
  const plot = document.getElementById("plot")
  let { data, layout } = figure
  if (narrow) ({ data, layout } = narrowed(data, layout, narrow))
  layout = withFittingTitle(layout, width)
  layout = { ...layout, width, height: layout.height ?? 420, autosize: false }
  await Plotly.newPlot(plot, data, layout, { staticPlot: true, typesetMath: false })
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
  // What is wholly clipped away by its panel is not seen.
  const edge = plot.querySelector(".svg-container").getBoundingClientRect()
  const clipped = text => {
    const panel = text.closest("[clip-path]")
    const id = /#([^"')]+)/.exec(panel?.getAttribute("clip-path") ?? "")?.[1]
    const clip = id && document.getElementById(id)?.querySelector("rect")
    if (!clip) return false
    const left = panel.getScreenCTM().e + Number(clip.getAttribute("x") ?? 0)
    const box = text.getBoundingClientRect()
    return box.left > left + Number(clip.getAttribute("width")) - 1 || box.right < left + 1
  }
  const elements = [...new Set(plot.querySelectorAll(names))].filter(text => seen(text) && !clipped(text))
  const [slants, texts] = [elements.map(slant), elements.map(lines)]
  const found = []
  for (const { box, said } of texts.flat()) {
    // Letters do not fill a line to its top and foot.
    const { left, right, top, bottom } = box
    const out = Math.max(edge.left - left, right - edge.right, edge.top - top - 3, bottom - edge.bottom - 3)
    if (out > 1) found.push(`${said} past the edge`)
  }
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
def sheet(scripts: Page) -> Page:
    scripts.set_viewport_size({"width": 1440, "height": 900})
    scripts.add_script_tag(path=str(Path(str(files("plotly"))) / "package_data" / "plotly.min.js"))
    return scripts


def drawn_at(message: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """What the frame draws, with the widths."""
    wide, *others = figures_of(message)
    yield wide, WHOLE
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
        for pair in sheet.evaluate(
            OVERLAPS,
            {
                "figure": figure,
                "width": width,
                "narrow": json.loads(message["narrow"]) if width == PHONE else None,
            },
        )
        if not (message["key"] in LEAVING and pair.endswith("past the edge"))
        if not (message["key"] == "stages" and width == TABLET)
    ]


@pytest.mark.parametrize(("page_name", "part"), NAMES, ids=IDS)
def test_no_label_lies_on_another(sheet: Page, page_name: str, part: str) -> None:
    assert not overlaps(sheet, page_name, part)


@pytest.mark.parametrize(("page_name", "part", "link"), OTHERS)
def test_no_label_lies_on_another_elsewhere(
    sheet: Page, page_name: str, part: str, link: dict[str, str]
) -> None:
    assert not overlaps(sheet, page_name, part, **link)
