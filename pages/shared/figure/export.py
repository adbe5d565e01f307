"""A figure to take home: PNG, SVG and PDF, an interactive page that works offline, and the data as CSV.

Everything is made when it is asked for, from what the page last drew: a figure moved by its sliders is
exported at the values that the server knows. Pictures use the light print template, 6.5 inches wide in
10 point, with title and caption below.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from pages.shared.figure.provenance import Provenance, badge_text, caption, file_name
from pages.shared.figure.renderer import INSTALL_HELP, NoRenderer, find_browser, render
from pages.shared.figure.scripts import asset
from viz.style import LIGHT, PRINT_TEMPLATE, PRINT_WIDTH, TEMPLATE
from viz.text import inert, prose

__all__ = [
    "INSTALL_HELP",
    "KINDS",
    "Exportable",
    "NoRenderer",
    "find_browser",
    "table_rows",
    "to_csv",
    "to_html",
]

KINDS: Mapping[str, str] = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
_CAPTION_LETTERS = 104  # of 8 point fit into a line of 6.5 inches
_TITLE_LETTERS = 74  # of 10 point, bold
_CAPTION_SIZE = 8 * 96 / 72  # CSS pixels
_LINE = 1.3  # plotly's line height, of the size of its letters
_CAPTION_LINE = _LINE * _CAPTION_SIZE
_LEAST_TOP = 8  # pixels
_ABOVE_CAPTION = 16
_PNG_SCALE = 3  # 288 dots per inch
# A text that a spreadsheet would take for a call: of a function, or (with "|") of another program.
_CALL = re.compile(r"\s*[=+\-@].*(\w\s*\(|\|)", re.DOTALL)
# The saved page may run its own inline script and nothing else: it cannot fetch or send anything.
_OFFLINE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)

Table = Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Exportable:
    """A figure as it was drawn, ready to become a file. `figure` is plotly's JSON, light theme."""

    figure: str
    table: Table
    stem: str
    alt: str
    provenance: Provenance

    @cached_property
    def key(self) -> str:
        """A hash of everything that goes into a file; equal pictures share it."""
        digest = hashlib.sha256(self.figure.encode())
        digest.update(repr((self.stem, self.alt, self.provenance)).encode())
        for name, column in self.table.items():
            digest.update(name.encode())
            digest.update(column.tobytes() if isinstance(column, np.ndarray) else repr(list(column)).encode())
        return digest.hexdigest()

    @cached_property
    def n_bytes(self) -> int:
        """About what keeping it costs: its JSON, and 64 bytes for each cell of the table."""
        return len(self.figure) + 64 * sum(len(column) for column in self.table.values())

    def file_names(self) -> dict[str, str]:
        """Of each kind, and of the "camera": a PNG of what is on screen, which the browser takes itself."""
        names = {kind: file_name(self.stem, self.provenance, kind) for kind in KINDS}
        return names | {"camera": file_name(f"{self.stem}-on-screen", self.provenance, "png")}

    def render(self, kind: str) -> bytes:
        """The file's bytes. Raises `NoRenderer` for png, svg and pdf without a browser to draw with."""
        if kind == "csv":
            return to_csv(self.table, caption(self.provenance))
        if kind == "html":
            return to_html(self.figure, self.alt, caption(self.provenance), badge_text(self.provenance))
        printed = print_figure(json.loads(self.figure), caption(self.provenance))
        width, height = (round(printed["layout"][side]) for side in ("width", "height"))
        return render(printed, kind, width=width, height=height, scale=_PNG_SCALE if kind == "png" else 1)


def print_figure(figure: dict[str, Any], words: str) -> dict[str, Any]:
    """The figure in print style: print template, title and caption below the picture.

    It is one column wide, or as wide as the figure itself asks for where a column is too narrow to read.
    Both are plotly's own title, put at the foot: it alone makes room for itself below the axes' words.
    """
    layout = dict(figure["layout"])
    title = (layout.get("title") or {}).get("text", "")
    lines = [inert(line) for line in textwrap.wrap(words, _CAPTION_LETTERS, break_on_hyphens=False)]
    if title:
        width = max(PRINT_WIDTH, layout.get("width") or 0)
        broken = "<br>".join(_broken(title, int(_TITLE_LETTERS * width / PRINT_WIDTH)))
        lines.insert(0, f"<span style='font-size:10pt'><b>{broken}</b></span>")
    depth = _ABOVE_CAPTION + _CAPTION_LINE * sum(1 + line.count("<br>") for line in lines)
    spare = _room_of_title(layout)
    height = (layout.get("height") or 400) + depth - spare
    if spare:
        layout["margin"] = layout["margin"] | {"t": layout["margin"]["t"] - spare}
    layout |= {
        "template": pio.templates[PRINT_TEMPLATE].to_plotly_json(),
        "width": max(PRINT_WIDTH, layout.get("width") or 0),
        "height": height,
        "title": {
            "text": "<br>".join(lines),
            "font": {"size": _CAPTION_SIZE, "color": LIGHT.ink},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1e-6,  # at exactly 0 plotly.js 4.1 moves the lines of a title off the page
            "yref": "container",
            "yanchor": "bottom",
            "automargin": True,
            "pad": {"t": _ABOVE_CAPTION / 2, "b": _ABOVE_CAPTION / 2, "l": 8},
        },
    }
    for control in ("updatemenus", "sliders"):
        layout.pop(control, None)
    return {"data": [_printable(trace) for trace in figure["data"]], "layout": layout}


def _broken(title: str, letters: int) -> list[str]:
    """The lines of a title, none of more letters than that but for a word that is longer.

    >>> _broken("a <b>bold one</b> &amp; more", 8)
    ['a <b>bold', 'one</b> &amp;', 'more']
    """
    lines: list[str] = []
    for given in title.split("<br>"):
        lines.append("")
        for word in re.split(r"\s+(?![^<]*>)", given):  # between words, not inside a tag
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and len(_without_tags(longer)) > letters:
                lines.append(word)
            else:
                lines[-1] = longer
    return lines


def _room_of_title(layout: Mapping[str, Any]) -> float:
    """Pixels of the top margin that only the title used; what stands below it there keeps its own room."""
    title = layout.get("title") or {}
    top = (layout.get("margin") or {}).get("t")
    if not title.get("text") or top is None:
        return 0
    usual = pio.templates[TEMPLATE].layout.title
    size = (title.get("font") or {}).get("size") or usual.font.size
    pad = usual.pad.to_plotly_json() | (title.get("pad") or {})
    lines = 1 + str(title["text"]).count("<br>")
    return max(0, min(pad["t"] + pad["b"] + _LINE * size * lines, top - _LEAST_TOP))


def _printable(trace: Mapping[str, Any]) -> dict[str, Any]:
    """`trace` with what was cut in plain grey: a hatched fill would become a bitmap in a PDF."""
    marker = trace.get("marker") or {}
    if (marker.get("pattern") or {}).get("bgcolor") != LIGHT.cut:
        return dict(trace)
    outline = {"color": LIGHT.cut_line, "width": 1} | (marker.get("line") or {})
    kept = {key: value for key, value in marker.items() if key != "pattern"}
    return {**trace, "marker": {**kept, "line": outline}}


def to_html(figure: str, alt: str, words: str, badge: str) -> bytes:
    """One file that works offline: plotly inlined, badge above, caption below, and a policy that forbids any
    request."""
    picture = go.Figure(json.loads(figure), skip_invalid=False)
    title = _without_tags(picture.layout.title.text or "") or alt
    picture.update_layout(width=None, autosize=True)
    body = pio.to_html(
        picture,
        include_plotlyjs=True,
        full_html=False,
        config={"displaylogo": False, "responsive": True, "typesetMath": False},
        post_script=_hover_numbers(),
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_OFFLINE_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:1rem auto;max-width:70rem;color:{LIGHT.ink}}}
p,figcaption{{color:{LIGHT.muted}}}</style></head>
<body><figure role="group" aria-label="{html.escape(alt)}"><p>{html.escape(badge)}</p>
{body}
<figcaption>{html.escape(words)}</figcaption></figure></body></html>
"""
    return page.encode("utf-8", errors="replace")


def _hover_numbers() -> str:
    """A script that has plotly write the numbers of a hover as the app does, after every drawing."""
    speaks = asset("hover_numbers.js").replace("export ", "")
    return f"""{speaks}
const plot = document.getElementById("{{plot_id}}")
speakHouse(plot)
plot.on("plotly_afterplot", () => speakHouse(plot))"""


def _without_tags(text: str) -> str:
    """A title's words: plotly's markup is `<br>`, `<b>`, and escaped characters."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def to_csv(table: Table, words: str = "") -> bytes:
    """The data, exact, for a spreadsheet: UTF-8 with a byte-order mark, and no text that calls anything.

    With `words` the first line is "# " and these words in one quoted cell, the second the columns' names:
    `pandas.read_csv(file, skiprows=1)` reads it. Texts are as they are, "=" and "-1" too; only one that a
    spreadsheet would run as a function or program (a stranger's `=HYPERLINK(...)`) gets an apostrophe in
    front (OWASP, "CSV Injection"). Numbers are written in full.
    """
    sheet = io.StringIO(newline="")
    if words:
        csv.writer(sheet, quoting=csv.QUOTE_ALL).writerow([f"# {' '.join(words.split())}"])
    writer = csv.writer(sheet)
    writer.writerow([_safe_cell(name) for name in table])
    writer.writerows([_safe_cell(cell) for cell in row] for row in _rows(table))
    return b"\xef\xbb\xbf" + sheet.getvalue().encode("utf-8", errors="replace")


def table_rows(table: Table, most: int) -> dict[str, Any]:
    """The first `most` rows as the page shows them (text with nothing hidden), and how many there are."""
    rows = [[_shown(cell) for cell in row] for row, _ in zip(_rows(table), range(most), strict=False)]
    return {"columns": list(table), "rows": rows, "total": _n_rows(table)}


def _n_rows(table: Table) -> int:
    lengths = {len(column) for column in table.values()}
    assert len(lengths) <= 1, f"columns of different lengths: { {k: len(v) for k, v in table.items()} }"
    return next(iter(lengths), 0)


def _rows(table: Table) -> Iterator[tuple[object, ...]]:
    _n_rows(table)
    return zip(*table.values(), strict=True)


def _plain(cell: object) -> object:
    value = cell.item() if isinstance(cell, np.generic) else cell
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)


def _shown(cell: object) -> object:
    value = _plain(cell)
    return prose(value) if isinstance(value, str) else value


def _safe_cell(cell: object) -> object:
    value = _plain(cell)
    if isinstance(value, str) and _CALL.match(value):
        return f"'{value}"
    return value
