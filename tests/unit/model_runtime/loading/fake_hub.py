"""A tiny stand-in for the hub on this machine, speaking the few requests that a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.tiny_checkpoints import COMMIT


@dataclass
class FakeHub:
    """Serves one folder as the repository `hub_id` at `COMMIT`."""

    hub_id: str
    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    refuse: tuple[int, str] | None = None  # status and the hub's error code, for every request
    silent: threading.Event | None = None  # set: answer only when it is set, as a dead line does
    sizes: dict[str, int] = field(default_factory=dict)  # sizes to claim instead of the true ones

    def files(self) -> dict[str, bytes]:
        files = (file for file in sorted(self.folder.rglob("*")) if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}

    def model_info(self) -> dict[str, object]:
        siblings = [
            {"rfilename": name, "size": self.sizes.get(name, len(content))}
            for name, content in self.files().items()
        ]
        return {"id": self.hub_id, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}

    def tree(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in self.files().items()
        ]


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(path)
            if hub.silent is not None:
                hub.silent.wait(30)
            if hub.refuse is not None:
                self.send(hub.refuse[0], b"{}", {"X-Error-Code": hub.refuse[1]}, with_body)
            elif path.startswith(f"/api/models/{hub.hub_id}/tree/"):
                self.send(200, json.dumps(hub.tree()).encode(), {}, with_body)
            elif path.startswith(f"/api/models/{hub.hub_id}"):
                self.send(200, json.dumps(hub.model_info()).encode(), {}, with_body)
            elif path.startswith(f"/{hub.hub_id}/resolve/{COMMIT}/"):
                content = hub.files()[path.removeprefix(f"/{hub.hub_id}/resolve/{COMMIT}/")]
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
                self.send(200, content, headers, with_body)
            else:
                self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)

        def send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output quiet."""

    return Handler


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve `hub` on a free local port; `hub.url` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        if hub.silent is not None:
            hub.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()
