"""Every part of every page, opened once as a visitor sees it, and all that is written there."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from pages.shared.frame import contents

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
MODELS = {"moe": "mixtral-mini"}  # the model that a page needs to show its parts
NAMES = [(entry.url, part.key if part else "") for entry in contents.PAGES for part in entry.parts or (None,)]
IDS = ["-".join(filter(None, name)) for name in NAMES]
_TAG = re.compile(r"<br>|</?(b|i|sup|sub|span|strong|div|style|small)[^>]*>")


@dataclass(frozen=True)
class Seen:
    """A part as it is shown."""

    texts: tuple[str, ...]  # markdown, captions, labels, as they are sent
    formulas: tuple[str, ...]  # LaTeX of elements of their own
    figures: tuple[dict[str, Any], ...]  # what travels to the browser of each


@cache
def seen(page: str, part: str, **link: str) -> Seen:
    """The part with "The mathematics" open; `link`: more settings."""
    entry = contents.entry_of(page)
    app = AppTest.from_file(str(MAIN), default_timeout=300)
    settings = {"model": MODELS.get(page, ""), entry.setting: part, **link}
    for key, value in settings.items():
        if key and value:
            app.query_params[key] = value
    app.run()
    if entry is not contents.PAGES[0]:
        app.switch_page(entry.file).run()
    app.session_state["gf.details.The mathematics"] = True
    app.run()
    assert not app.exception, app.exception
    texts: list[str] = []
    formulas: list[str] = []
    figures: list[dict[str, Any]] = []
    for element in _elements(app.main):
        if element.type == "bidi_component":
            message = json.loads(element.proto.json or "{}")
            if "figure" in message:
                figures.append(message)
            else:
                texts.append(json.dumps(message, ensure_ascii=False))
        elif element.type == "latex":
            formulas.append(element.value)
        elif element.type == "arrow_data_frame":
            texts += [str(cell) for cell in element.value.to_numpy().ravel()]
        elif element.type not in ("code", "text_area", "text_input"):  # these hold what a visitor types
            texts += [str(getattr(element.proto, name, "")) for name in ("label", "body", "help")]
    return Seen(tuple(texts), tuple(formulas), tuple(figures))


def _elements(block: Any) -> Iterator[Any]:
    for child in block.children.values():
        if hasattr(child, "children"):
            yield from _elements(child)
        else:
            yield child


def figures_of(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The figure for each width of screen, as plotly's JSON with all its traces."""
    wide = json.loads(message["figure"])
    yield wide
    for name in ("narrow_figure", "middle_figure"):
        if message[name] and message[name] != "narrow":
            other = json.loads(message[name])
            other["data"] = [wide["data"][t] if isinstance(t, int) else t for t in other["data"]]
            yield other


def written_in(figure: dict[str, Any]) -> Iterator[str]:
    """Every text of a figure that a reader can see, hovers included; formats are left as they are."""
    layout = figure["layout"]
    for trace in figure["data"]:
        for name in ("text", "hovertext", "name"):
            yield from _strings(trace.get(name))
        yield from _strings(trace.get("hovertemplate"))
        yield from _strings(trace.get("customdata"))
    yield from _strings(layout.get("title", {}).get("text"))
    for note in layout.get("annotations", ()):
        yield note.get("text", "")
    for axis in axes_of(figure).values():
        yield from _strings(axis.get("ticktext"))
        yield from _strings(axis.get("title", {}).get("text"))


def large(figure: dict[str, Any]) -> Iterator[str]:
    """What stands in the figure without pointing at it."""
    yield from _strings(figure["layout"].get("title", {}).get("text"))
    for note in figure["layout"].get("annotations", ()):
        yield note.get("text", "")
    for trace in figure["data"]:
        if "text" in str(trace.get("mode", "")) or trace["type"] == "bar" or trace.get("texttemplate"):
            yield from _strings(trace.get("text"))


def axes_of(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Axes, and colour bars, which have ticks too."""
    found = {name: axis for name, axis in figure["layout"].items() if re.fullmatch(r"[xy]axis\d*", name)}
    bars = {"coloraxis": figure["layout"].get("coloraxis", {})}
    bars |= {f"trace {i}": trace for i, trace in enumerate(figure["data"])}
    return found | {name: bar["colorbar"] for name, bar in bars.items() if "colorbar" in bar}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def bare(text: str) -> str:
    """Without tags, entities and markdown's backslashes."""
    return re.sub(r"\\([^\w\s])", r"\1", html.unescape(_TAG.sub(" ", text)))
