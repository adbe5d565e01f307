"""What leaves a figure as data (its table, the CSV, its text alternative) holds the text itself, not markup.

Whatever `viz` makes safe for plotly is marked here, so that a text which took that way by mistake is found
for every token, whichever the page happens to show.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.figure import live_figure
from pages.shared.frame import contents
from viz.drawn import Drawn

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
PARTS = [(entry, part) for entry in contents.PAGES for part in entry.parts or (None,)]
IDS = [f"{entry.url}-{part.key}" if part else entry.url for entry, part in PARTS]
# "*" begins no markdown and "&" no entity here: what of them is found in data was put there by us.
PROMPT = 'a <cat & $5 "%{y}" & \\* <'
MARK = "\ue000"
MARKUP = re.compile(rf"{MARK}|&(lt|gt|amp|quot|#\d+);|</?(b|i|br|span|sup|sub)\b|\\[$<>_`&]")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Drawn, dict[str, str]]]:
    """All figures that a page draws, by key, with their files; what was escaped for plotly is marked."""
    figures: dict[str, tuple[Drawn, dict[str, str]]] = {}
    message = live_figure._message

    def noted(figure: Drawn, key: str, *more: Any) -> dict[str, Any]:
        made = message(figure, key, *more)
        figures[key] = figure, made["files"]
        return made

    monkeypatch.setattr(live_figure, "_message", noted)
    marking = SimpleNamespace(escape=lambda text, quote: MARK + html.escape(text, quote=quote))
    monkeypatch.setattr("viz.text.html", marking)
    return figures


@pytest.mark.parametrize(("entry", "part"), PARTS, ids=IDS)
def test_tables_and_text_alternatives_hold_no_markup(
    entry: contents.Entry,
    part: contents.Part | None,
    tiny: str,
    drawn: dict[str, tuple[Drawn, dict[str, str]]],
) -> None:
    app = AppTest.from_file(str(MAIN), default_timeout=300)
    link = {"model": "mixtral-mini" if entry.url == "moe" else tiny, "prompt": PROMPT, "token": "2"}
    if part is not None:
        link[entry.setting] = part.key
    for key, value in link.items():
        app.query_params[key] = value
    app.run()
    if entry is not contents.PAGES[0]:
        drawn.clear()
        app.switch_page(entry.file).run()
    assert not app.exception
    found = [words for figure, _ in drawn.values() for words in texts(figure) if MARKUP.search(words)]
    assert not found
    # And each of its pictures has a name of its own, the two PNGs of one figure too.
    names = [files[kind] for _, files in drawn.values() for kind in ("png", "camera", "csv")]
    assert len({*names}) == len(names), names
    if part is None or part.key != "bertviz":
        assert drawn


def texts(figure: Drawn) -> list[str]:
    cells = [cell for column in figure.table.values() for cell in column if isinstance(cell, str)]
    return [figure.alt, *figure.table, *cells]
