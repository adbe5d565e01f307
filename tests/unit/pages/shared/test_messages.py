"""What a visitor's socket may send: through a real Streamlit server in this process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from starlette.testclient import TestClient, WebSocketTestSession
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime, caching, get_instance

from pages.shared.server import server
from pages.shared.server.messages import wanted

# Streamlit leaves a session that has ended, and the event loop of its scripts, to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SCRIPT = "import streamlit as st\nst.write('drawn')\n"


def message(kind: str) -> BackMsg:
    """A message of one kind."""
    made = BackMsg()
    field = getattr(made, kind)
    if isinstance(field, bool):
        setattr(made, kind, True)
    else:
        field.SetInParent()
    return made


def operation(payload: str) -> BackMsg:
    made = BackMsg()
    getattr(made.backend_operation_request, payload).SetInParent()
    return made


KINDS = [field.name for field in BackMsg.DESCRIPTOR.fields]


def test_every_kind_of_message_that_streamlit_knows_was_thought_about() -> None:
    """A new version brings new ones: they are refused until somebody has looked at them."""
    kept = {kind for kind in KINDS if wanted(message(kind).SerializeToString())}
    assert kept == {"rerun_script", "stop_script", "app_heartbeat"}
    assert {"clear_cache", "load_git_info", "set_run_on_save", "file_urls_request"} <= {*KINDS}


def test_of_the_server_s_operations_two_are_used() -> None:
    payloads = BackMsg.DESCRIPTOR.fields_by_name["backend_operation_request"].message_type
    names = [field.name for field in payloads.oneofs_by_name["payload"].fields]
    kept = {name for name in names if wanted(operation(name).SerializeToString())}
    assert kept == {"deferred_file", "dataframe_chunk"}
    assert "install_skills" in names


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A server of a small page, behind our door."""
    script = tmp_path / "page.py"
    script.write_text(SCRIPT, encoding="utf-8")
    monkeypatch.setattr(Runtime, "_instance", None)  # one a process, and it stays after its end
    with TestClient(st.App(script, middleware=server.middleware())) as made:
        yield made
    del made
    Runtime._instance = None
    gc.collect()  # here, and not in some later test


def told(socket: WebSocketTestSession) -> ForwardMsg:
    made = ForwardMsg()
    made.ParseFromString(socket.receive_bytes())
    return made


def say(socket: WebSocketTestSession, made: BackMsg) -> None:
    socket.send_bytes(made.SerializeToString())


def until(socket: WebSocketTestSession, kind: str) -> list[ForwardMsg]:
    """What the server tells, up to the first message of a kind."""
    heard = [told(socket)]
    while heard[-1].WhichOneof("type") != kind:
        heard.append(told(socket))
    return heard


def test_no_message_clears_what_all_visitors_share(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[str] = []
    for cache in ("cache_data", "cache_resource"):
        monkeypatch.setattr(getattr(caching, cache), "clear", lambda cache=cache: cleared.append(cache))
    with client.websocket_connect("/_stcore/stream") as socket:
        for kind in ("clear_cache", "load_git_info", "set_run_on_save", "file_urls_request"):
            say(socket, message(kind))
        say(socket, message("app_heartbeat"))
        heard = until(socket, "heartbeat_ack")
        say(socket, message("rerun_script"))
        heard += until(socket, "script_finished")
    assert not cleared
    assert {one.WhichOneof("type") for one in heard} & {"new_session"}  # the page was drawn all the same
    assert not {one.WhichOneof("type") for one in heard} & {"git_info_changed", "file_urls_response"}


def test_uploads_are_refused_and_nothing_is_kept(client: TestClient) -> None:
    with client.websocket_connect("/_stcore/stream") as socket:
        say(socket, message("rerun_script"))
        heard = until(socket, "script_finished")
        session = next(one.new_session for one in heard if one.HasField("new_session")).initialize.session_id
        place = f"/_stcore/upload_file/{session}/file"
        # As the page sends it, with the token that Streamlit asks for against requests from other sites.
        client.get("/_stcore/health")
        token = {"X-Xsrftoken": client.cookies.get("_streamlit_xsrf", "")}
        answer = client.put(place, files={"f": ("a.txt", b"x" * 1000)}, headers=token)
        assert get_instance()._uploaded_file_mgr.get_files(session, ["file"]) == []
    assert answer.status_code == 403
    assert answer.text == "This app takes no files."
