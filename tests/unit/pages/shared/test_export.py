"""What leaves the app: files that open, say where they come from, and run nothing."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from pages.shared.figure import renderer
from pages.shared.figure.export import Exportable, NoRenderer, print_figure, table_rows, to_csv
from pages.shared.figure.provenance import Provenance
from viz.style import CUT, LIGHT, PRINT_TEMPLATE, PRINT_WIDTH, TEMPLATE, label

HOSTILE = '</script><script>hacked=1</script><img src=x onerror="hacked=1">'
PLACE = Provenance("measured", model="m", revision="abc", dtype="float32", prompt=HOSTILE, layer=1, head=2)


def exportable(token: str = HOSTILE, height: float = 0.5) -> Exportable:
    figure = go.Figure(
        go.Bar(
            x=[0, 1], y=np.array([height, 0.25]), text=[label(token), "b"], marker={"color": LIGHT.accent}
        ),
        layout={"template": TEMPLATE, "height": 300, "title": {"text": "What comes next"}},
    )
    return Exportable(
        pio.to_json(figure), {"token": [token, "b"], "share": [height, 0.25]}, "bars", "Two bars.", PLACE
    )


# --- data


def test_csv_opens_in_a_spreadsheet_and_is_exact() -> None:
    made = to_csv(
        {"token": [" fox", "é\n", 'a"b,c'], "share": np.array([0.1, 1 / 3, 1e-30]), "id": np.array([1, 2, 3])}
    )
    assert made.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(made.decode("utf-8-sig"), newline="")))
    assert [row["token"] for row in rows] == [" fox", "é\n", 'a"b,c']
    assert [float(row["share"]) for row in rows] == [0.1, 1 / 3, 1e-30]
    assert [row["id"] for row in rows] == ["1", "2", "3"]


def test_csv_says_first_where_it_comes_from() -> None:
    made = exportable().render("csv").decode("utf-8-sig")
    first, header, *rows = csv.reader(io.StringIO(made, newline=""))
    assert first[0].startswith("# Measured on m (revision abc), float32. Prompt: “</script>")
    assert len(first) == 1
    assert header == ["token", "share"]
    assert len(rows) == 2


def first_row(made: bytes) -> tuple[list[str], list[str]]:
    header, row = list(csv.reader(io.StringIO(made.decode("utf-8-sig"), newline="")))
    return header, row


@pytest.mark.parametrize(
    "cell",
    [
        "@SUM(A1)",
        '=HYPERLINK("http://x")',
        "=cmd|' /C calc'!A0",
        "-2+WEBSERVICE(1)",
        "\t=IMAGE (1)",
        "=1\n+SUM(2)",
    ],
)
def test_csv_text_never_calls_anything(cell: str) -> None:
    header, row = first_row(to_csv({"token": [cell], cell: [1]}))
    assert header[1] == row[0] == f"'{cell}"


@pytest.mark.parametrize(
    "cell",
    ["=", "-", "+1", "-1", "@", "=1+1", "--", "-->", "=(", '<b>&lt;</b> $5 %{x} \\( "&', "'", " =", "a|b(c)"],
)
def test_csv_text_is_as_it_is(cell: str) -> None:
    header, row = first_row(to_csv({"token": [cell], cell: [1]}))
    assert header[1] == row[0] == cell


def test_csv_numbers_stay_numbers() -> None:
    made = to_csv({"logit": [-1.5, np.float32(-2.0)], "kept": [True, False], "why": [None, "cut"]}).decode(
        "utf-8-sig"
    )
    assert made.splitlines() == ["logit,kept,why", "-1.5,True,", "-2.0,False,cut"]


def test_lone_surrogates_and_nul_do_not_break_the_files() -> None:
    assert to_csv({"token": ["\ud800", "\x00"]})
    assert exportable("\ud800\x00").render("html")


def test_table_for_the_page_is_plain_and_bounded() -> None:
    table = {"id": np.arange(1000), "share": np.full(1000, 0.5, np.float32), "at": [(0, 1)] * 1000}
    rows = table_rows({**table, "token": [" \u200ba b"] * 1000}, most=300)
    assert rows["total"] == 1000
    assert len(rows["rows"]) == 300
    assert rows["rows"][2] == [2, 0.5, "(0, 1)", "·⟨U+200B⟩a b"]
    assert table_rows({}, most=5) == {"columns": [], "rows": [], "total": 0}


def test_columns_of_different_length_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match="different lengths"):
        to_csv({"a": [1, 2], "b": [1]})


# --- the interactive page


def test_html_is_one_file_that_asks_for_nothing() -> None:
    page = exportable().render("html").decode("utf-8")
    assert "<script" in page
    assert "plotly.js v" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page.replace("<img src=x onerror", ""))
    assert "default-src 'none'" in page
    assert "<title>What comes next</title>" in page
    assert "<p>measured · m · fp32 · L1 H2</p>" in page


def test_html_is_safe_with_hostile_text() -> None:
    page = exportable().render("html").decode("utf-8")
    hostile_prompt = exportable("plain")
    assert "<script>hacked" not in page
    assert "<img src=x" not in page
    assert "<img src=x" not in replace(hostile_prompt, alt=HOSTILE).render("html").decode()
    assert "&lt;/script&gt;&lt;script&gt;hacked=1" in page  # the caption tells the prompt


# --- which file it is


def test_the_key_is_the_content() -> None:
    one = exportable()
    assert one.key == exportable().key
    others = [
        exportable(height=0.6),
        exportable("other"),
        replace(one, provenance=replace(PLACE, seed=3)),
        replace(one, table={"token": [HOSTILE, "b"], "share": [0.5, 0.26]}),
        replace(one, table={"token": [HOSTILE, "b"], "share": np.array([0.5, 0.27])}),
    ]
    assert len({one.key, *(other.key for other in others)}) == 6
    assert re.fullmatch(r"[0-9a-f]{64}", one.key)
    assert one.file_names()["svg"] == "bars_m_abc_fp32_l1_h2_script-script-hacked-1-s.svg"


def test_print_style_is_one_column_wide_with_title_and_caption_below() -> None:
    figure = go.Figure(
        go.Bar(y=[1]), layout={"template": TEMPLATE, "height": 300, "title": {"text": "Finding"}}
    )
    printed = print_figure(figure.to_plotly_json(), "word " * 60)
    layout = printed["layout"]
    assert layout["width"] == PRINT_WIDTH
    assert layout["height"] > 300
    assert layout["template"]["layout"]["font"]["size"] == pytest.approx(40 / 3)  # 10 point
    assert layout["template"] == pio.templates[PRINT_TEMPLATE].to_plotly_json()
    assert layout["title"]["text"].startswith(
        "<span style='font-size:10pt'><b>Finding</b></span><br>word word"
    )
    assert figure.layout.title.text == "Finding"  # the page's own figure is as it was


def test_print_style_leaves_no_room_for_a_title_above() -> None:
    title = {"text": "Finding", "pad": {"t": 6, "b": 10}, "font": {"size": 20}}
    layout = {"template": TEMPLATE, "height": 300, "margin": {"t": 60}}
    printed = print_figure(
        go.Figure(go.Bar(y=[1]), layout={**layout, "title": title}).to_plotly_json(), "words"
    )
    untitled = print_figure(go.Figure(go.Bar(y=[1]), layout=layout).to_plotly_json(), "words")
    assert printed["layout"]["margin"]["t"] == pytest.approx(60 - 6 - 10 - 26)
    assert untitled["layout"]["margin"]["t"] == 60
    plot = [made["layout"]["height"] - made["layout"]["margin"]["t"] for made in (printed, untitled)]
    assert plot[0] - plot[1] == pytest.approx(1.3 * 8 * 96 / 72)  # the title's line is below now


def test_what_was_cut_is_printed_without_hatching() -> None:
    bars = [go.Bar(y=[1], marker=CUT), go.Bar(y=[1], marker={"pattern": {"shape": "x"}})]
    cut, category = print_figure(go.Figure(bars, {"template": TEMPLATE}).to_plotly_json(), "")["data"]
    assert cut["marker"] == {"color": LIGHT.cut, "line": {"color": LIGHT.cut_line, "width": 1}}
    assert category["marker"]["pattern"]["shape"] == "x"  # tells categories of one colour apart


# --- pictures


@pytest.fixture(scope="module")
def drawing() -> Iterator[None]:
    if renderer.find_browser() is None:
        pytest.skip("no Chrome or Chromium on this machine")
    yield
    renderer.close()


def test_png_has_the_printed_size(drawing: None) -> None:
    made = exportable().render("png")
    assert made.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", made[16:24])
    assert width == 3 * PRINT_WIDTH
    assert height > 3 * 300


def test_svg_keeps_its_text_and_has_the_caption(drawing: None) -> None:
    made = exportable().render("svg").decode("utf-8")
    root = ElementTree.fromstring(made)
    texts = " ".join("".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "What comes next" in texts
    assert "Measured on m (revision abc), float32." in texts
    assert "Layer 1, head 2." in texts
    assert "</script><scrip" in texts  # the token, as text
    assert min(line_heights(root)) > 300  # title and caption stand below the picture ...
    assert max(line_heights(root)) < float(root.get("height", 0))  # ... and above the edge
    names = {node.tag.split("}")[1] for node in root.iter()}
    assert not names & {"script", "image", "foreignObject", "img"}


def line_heights(root: ElementTree.Element) -> list[float]:
    """Where the lines of title and caption stand, in pixels from the top."""
    space = "{http://www.w3.org/2000/svg}"
    title = next(node for node in root.iter(f"{space}text") if "gtitle" in node.get("class", ""))
    size = float(re.search(r"font-size: ([\d.]+)px", title.get("style", ""))[1])
    own = float(title.get("dy", "0")[:-2])
    lines = [node for node in title.iter(f"{space}tspan") if node.get("class") == "line"]
    return [float(line.get("y")) + (own + float(line.get("dy")[:-2])) * size for line in lines]


def test_pdf_is_a_pdf(drawing: None) -> None:
    made = exportable().render("pdf")
    assert made.startswith(b"%PDF-")
    assert b"%%EOF" in made[-64:]


def test_each_thread_gets_its_own_picture(drawing: None) -> None:
    tokens = [f"token{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda token: exportable(token).render("svg").decode(), tokens))
    for token, picture in zip(tokens, made, strict=True):
        assert [other for other in tokens if f">{other}<" in picture] == [token]


def page_processes(browser: int) -> list[int]:
    """The processes of the browser's pages: what draws, and what a machine short of memory kills first."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    found, parents = [], {browser}
    while parents:  # from parent to child: numbers start again where they end, so a child's may be smaller
        children = [(int(pid), command) for pid, parent, command in rows if int(parent) in parents]
        found += [pid for pid, command in children if "--type=renderer" in command]
        parents = {pid for pid, _command in children}
    return found


@pytest.mark.parametrize("what", ["browser", "page"])
def test_a_browser_that_dies_under_waiting_exports_is_replaced_at_once(drawing: None, what: str) -> None:
    """The time to draw is a minute: that no picture waits for it is seen by the test's own end."""
    exportable("first").render("svg")
    browser = renderer._RENDERER._browser
    assert browser is not None
    process = browser.kaleido.subprocess
    doomed = [process.pid] if what == "browser" else page_processes(process.pid)
    assert doomed
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(exportable(f"token{number}").render, "svg") for number in range(3)]
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        made = [one.result(30).decode() for one in asked]
    for number, picture in enumerate(made):
        assert f">token{number}<" in picture
    assert renderer._RENDERER._browser is not browser


@pytest.mark.parametrize("failing", ["open", "tabs"])
def test_a_browser_that_opens_only_half_is_closed(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    happened = []

    class Half:
        def __init__(self, **options: object) -> None: ...

        async def open(self) -> None:
            happened.append("open")
            if failing == "open":
                raise RuntimeError("half")

        @property
        def tabs(self) -> dict[str, object]:
            raise RuntimeError("half")

        async def close(self) -> None:
            happened.append("close")

    monkeypatch.setattr("kaleido.Kaleido", Half)
    with pytest.raises(RuntimeError, match="half"):
        renderer._start("/chromium")
    assert happened == ["open", "close"]


def test_without_a_browser_the_message_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer.close()
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    with pytest.raises(NoRenderer, match="sudo apt install chromium"):
        exportable().render("pdf")
    assert exportable().render("csv")
    assert exportable().render("html")
    renderer.warm()  # says nothing, starts nothing


def test_what_the_renderer_loads_is_on_this_machine() -> None:
    """Kaleido would take MathJax from the network; ours must not name any address."""
    from kaleido._page_generator import PageGenerator

    page = PageGenerator(mathjax=False).generate_index()
    assert not re.findall(r"https?://", page)


def test_a_long_title_goes_on_in_another_line_and_the_picture_makes_room() -> None:
    short = print_figure(figure_titled("short"), "caption")
    long = print_figure(figure_titled("word <b>bold</b> " * 20), "caption")
    lines = long["layout"]["title"]["text"].split("<br>")
    assert len(lines) == 4  # 199 letters in three lines, then the caption
    assert max(len(re.sub("<[^>]*>", "", line)) for line in lines) <= 74
    assert long["layout"]["height"] > short["layout"]["height"]


def figure_titled(title: str) -> dict[str, Any]:
    return {"data": [], "layout": {"title": {"text": title}}}
