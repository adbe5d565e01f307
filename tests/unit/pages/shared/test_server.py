"""The server's own addresses and the compression, through a real Starlette stack."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string

from model_runtime.sampling.settings import DEFAULT_ORDER
from pages.shared.figure import scripts
from pages.shared.figure.export import Exportable
from pages.shared.figure.provenance import Provenance
from pages.shared.server import lane, server
from pages.shared.server.addresses import SendOn
from pages.shared.server.compression import CompressOnce
from pages.shared.server.lane import Lane
from pages.shared.server.shelf import BROWSER_DATA, EXPORTS, Shelf


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=server.routes()), headers={"accept-encoding": "identity"}) as made:
        yield made


def exportable(**columns: object) -> Exportable:
    return Exportable('{"data": [], "layout": {}}', columns, "figure", "Nothing.", Provenance("computed"))


def test_scripts_come_with_their_version_and_are_kept_for_ever(client: TestClient) -> None:
    answer = client.get(f"{scripts.base_path()}/live_figure.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert "export default mounted(" in answer.text
    assert re.fullmatch(r"/glassformer/[0-9a-f]{12}", scripts.base_path())


def test_plotly_comes_compressed(client: TestClient) -> None:
    server.warm()
    with client.stream(
        "GET", f"{scripts.base_path()}/plotly.min.js", headers={"accept-encoding": "gzip"}
    ) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < 1_700_000
    assert len(gzip.decompress(raw)) > 4_000_000


def test_the_tables_of_python_are_a_script(client: TestClient) -> None:
    lines = client.get(f"{scripts.base_path()}/tables.js").text.splitlines()
    shared = {line.split()[2]: json.loads(line.partition(" = ")[2]) for line in lines}
    assert shared["DARK_OF"]["#ffffff"] == "#10131a"
    assert shared["LIGHT"]["background"] == "#ffffff"
    assert list(shared["STEPS"]) == list(DEFAULT_ORDER)
    assert shared["STEPS"]["top_p"] == {"label": "top-p", "field": "top_p", "off": 1}


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fpyproject.toml", "%2e%2e", "server.py"])
def test_nothing_else_can_be_had(client: TestClient, name: str) -> None:
    assert client.get(f"{scripts.base_path()}/{name}").status_code == 404


def test_browser_data_is_found_by_its_hash_only(client: TestClient) -> None:
    BROWSER_DATA.put("a" * 64, b'{"x": 1}', 8)
    assert client.get(f"/glassformer/data/at/{'a' * 64}").json() == {"x": 1}
    assert client.get(f"/glassformer/data/at/{'b' * 64}").status_code == 410


def test_the_table_has_the_first_rows_and_survives_what_json_has_not(client: TestClient) -> None:
    made = exportable(share=np.array([np.nan, np.inf, 0.5] * 200), token=["<b>", "\u202e", "c"] * 200)
    EXPORTS.put(made.key, made, made.n_bytes)
    table = client.get(f"/glassformer/table/at/{made.key}").json()
    assert table["total"] == 600
    assert len(table["rows"]) == 300
    assert table["rows"][:3] == [["NaN", "<b>"], ["Infinity", "⟨U+202E⟩"], [0.5, "c"]]


def test_an_export_is_an_attachment_that_cannot_act_as_this_site(client: TestClient) -> None:
    made = exportable(token=["a"])
    EXPORTS.put(made.key, made, made.n_bytes)
    answer = client.get(f"/glassformer/export/html/{made.key}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="figure.html"'
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/glassformer/export/exe/{made.key}").status_code == 404
    assert client.get(f"/glassformer/export/csv/{'0' * 64}").status_code == 410


def test_without_a_browser_the_server_says_what_to_install(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", "/nowhere")
    made = exportable(token=["b"])
    EXPORTS.put(made.key, made, made.n_bytes)
    answer = client.get(f"/glassformer/export/pdf/{made.key}")
    assert answer.status_code == 503
    assert "sudo apt install chromium" in answer.text


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Exports that do not end before this is set."""
    go = threading.Event()
    slow = Lane("test", places=2, most=5, each=9, seconds=15)
    monkeypatch.setattr(server, "_PICTURES", slow)

    def render(self: Exportable, kind: str) -> bytes:
        if kind == "png":
            assert go.wait(30)
        return kind.encode()

    monkeypatch.setattr(Exportable, "render", render)
    yield go
    go.set()


def test_many_exports_take_no_threads_of_others_and_say_when_there_are_too_many(
    client: TestClient, stopped: threading.Event
) -> None:
    made = exportable(token=["many"])
    EXPORTS.put(made.key, made, made.n_bytes)
    with ThreadPoolExecutor(8) as visitors:
        place = f"/glassformer/export/png/{made.key}"
        asked = [visitors.submit(client.get, place) for _ in range(8)]
        refused = [one.result(30) for one in as_completed_first(asked, 3)]
        # Five are being made or wait; scripts, tables and data are had all the same.
        assert client.get(f"{scripts.base_path()}/dom.js", headers={"accept-encoding": "gzip"}).is_success
        assert client.get(f"/glassformer/table/at/{made.key}").is_success
        assert client.get(f"/glassformer/export/csv/{made.key}").content == b"csv"
        stopped.set()
        answers = [one.result(30) for one in asked]
    assert [answer.status_code for answer in refused] == [503] * 3
    assert refused[0].text == "5 other files are being made. Try again in 15 seconds."
    assert refused[0].headers["retry-after"] == "15"
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 3
    assert client.get(place).status_code == 200  # there is room again


def as_completed_first(asked: list[Future[Any]], n: int) -> list[Future[Any]]:
    """The first `n` that have an answer."""
    return list(islice(as_completed(asked, timeout=30), n))


class Visitor:
    """As much of a request as a lane asks."""

    client = None

    def __init__(self, gone: bool, browser: str = "") -> None:
        self.gone = gone
        self.cookies = {"_streamlit_xsrf": generate_xsrf_token_string(16 * browser.encode())}  # masked anew

    async def is_disconnected(self) -> bool:
        return self.gone


def test_one_visitor_leaves_places_for_others() -> None:
    line, go = Lane("test", places=1, most=4, each=3, seconds=7), threading.Event()

    def job() -> bytes:
        assert go.wait(30)
        return b"made"

    async def visits() -> tuple[list[str], list[bytes | None]]:
        refused, asked = [], []
        for browser in "aaaabc":
            asked.append(asyncio.create_task(line.run(job, Visitor(False, browser))))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            if asked[-1].done():
                refused.append(str(asked.pop().exception()))
        go.set()
        made = list(await asyncio.gather(*asked))
        return refused, [*made, await line.run(job, Visitor(False, "a"))]  # type: ignore[arg-type]

    try:
        refused, made = asyncio.run(visits())
    finally:
        go.set()
    assert refused == [
        "3 of your files are being made. Try again in 7 seconds.",
        "4 other files are being made. Try again in 7 seconds.",
    ]
    assert made == [b"made"] * 5


def test_work_that_has_begun_keeps_its_place_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_LOOK_SECONDS", 0.001)
    line, begun, go = Lane("test", places=1, most=1, each=1, seconds=1), threading.Event(), threading.Event()

    def long() -> bytes:
        begun.set()
        assert go.wait(30)
        return b"long"

    async def visits() -> bytes | None:
        left = asyncio.create_task(line.run(long, Visitor(True)))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 30)
        await asyncio.wait((left,), timeout=0.05)  # many looks at whether the visitor is there
        with pytest.raises(lane.Busy):
            await line.run(long, Visitor(False, "other"))  # type: ignore[arg-type]
        go.set()
        return await left

    try:
        assert asyncio.run(visits()) == b"long"
    finally:
        go.set()


def test_what_nobody_waits_for_any_more_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_LOOK_SECONDS", 0.01)
    line, begun, go = Lane("test", places=1, most=2, each=2, seconds=1), threading.Event(), threading.Event()
    made = []

    def long() -> bytes:
        begun.set()
        assert go.wait(30)
        return b"long"

    def short() -> bytes:
        made.append("short")
        return b"short"

    async def visits() -> tuple[bytes | None, bytes | None]:
        first = asyncio.create_task(line.run(long, Visitor(gone=False)))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 30)
        dropped = await asyncio.wait_for(line.run(short, Visitor(gone=True)), 30)  # type: ignore[arg-type]
        go.set()
        return await first, dropped

    try:
        assert asyncio.run(visits()) == (b"long", None)
    finally:
        go.set()
    assert made == []


def test_an_export_that_fails_is_told_in_a_sentence(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(self: Exportable, kind: str) -> bytes:
        raise RuntimeError("browser")

    monkeypatch.setattr(Exportable, "render", render)
    made = exportable(token=["fails"])
    EXPORTS.put(made.key, made, made.n_bytes)
    answer = client.get(f"/glassformer/export/png/{made.key}")
    assert answer.status_code == 500
    assert answer.text == "The picture could not be drawn. Try once more; the data (CSV) can be saved."


# --- the shelf


def test_the_shelf_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    shelf = Shelf(max_bytes=100)
    for key in "abc":
        shelf.put(key, key, 40)
        if key == "b":
            assert shelf.get("a") == "a"
    assert shelf.get("b") is None
    assert shelf.get("a") == "a"
    assert shelf.get("c") == "c"
    assert shelf.n_bytes == 80
    shelf.put("a", "again", 30)
    assert shelf.n_bytes == 70
    shelf.put("huge", "x", 1000)
    assert shelf.get("huge") == "x"
    assert shelf.get("a") is None


# --- compression

SCRIPT = "console.log('hello, hello, hello')\n" * 200


class Source:
    """An app that counts how often its script was asked for."""

    def __init__(self, cache_control: str = "public, immutable, max-age=1") -> None:
        self.asked = 0
        self.cache_control = cache_control
        routes = [
            Route("/static/js/a.js", self.script),
            Route("/static/small.js", self.small),
            Route("/page", self.script),
        ]
        self.client = TestClient(Starlette(routes=routes, middleware=[Middleware(CompressOnce)]))

    async def script(self, request: object) -> PlainTextResponse:
        self.asked += 1
        return PlainTextResponse(SCRIPT, headers={"cache-control": self.cache_control, "etag": "x"})

    async def small(self, request: object) -> PlainTextResponse:
        return PlainTextResponse("1")


def test_a_script_is_compressed_once() -> None:
    source = Source()
    first, second = source.client.get("/static/js/a.js"), source.client.get("/static/js/a.js")
    for answer in (first, second):
        assert answer.text == SCRIPT
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) < len(SCRIPT) / 5
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["etag"] == "x"
    assert source.asked == 1


def test_what_may_change_is_asked_for_again() -> None:
    source = Source(cache_control="no-cache")
    assert [source.client.get("/static/js/a.js").text for _ in range(2)] == [SCRIPT] * 2
    assert source.asked == 2


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/js/a.js", {"accept-encoding": "identity"}),
        ("/static/js/a.js", {"range": "bytes=0-9"}),
        ("/static/js/a.js", {"if-none-match": "x"}),
        ("/static/small.js", {}),
        ("/static/missing.js", {}),
        ("/page", {}),
    ],
)
def test_everything_else_passes_untouched(path: str, headers: dict[str, str]) -> None:
    assert "content-encoding" not in Source().client.get(path, headers=headers).headers


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/home", "/"),
        ("/home?prompt=a%20b&layer=3", "/?prompt=a%20b&layer=3"),
        ("/home/", "/"),
        ("/attention/heads?prompt=x", "/attention-heads?prompt=x"),
        ("/a/b/c", "/a-b-c"),
        ("/attention/heads/", "/attention-heads"),
        ("/a//evil.test/b", "/a-evil.test-b"),
    ],
)
def test_an_address_that_no_browser_could_open_is_sent_on(asked: str, target: str) -> None:
    async def never(scope: object, receive: object, send: object) -> None:
        raise AssertionError("passed through")

    client = TestClient(SendOn(never), base_url="http://here.test", follow_redirects=False)
    answer = client.get(asked, headers={"accept": "text/html,*/*"})
    assert answer.status_code == 302
    assert urljoin(f"http://here.test{asked}", answer.headers["location"]) == f"http://here.test{target}"


@pytest.mark.parametrize(
    "path",
    ["/", "/attention", "/atention", "/static/js/a.js", "/glassformer/export/png/x", "/_stcore/health"],
)
def test_other_addresses_are_left_alone(path: str) -> None:
    client = TestClient(SendOn(PlainTextResponse("here")))
    assert client.get(path, headers={"accept": "text/html"}).text == "here"
    assert client.get("/attention/_stcore/health").text == "here"  # a browser side that looks for its server
