"""The door for what a browser sends: of Streamlit's messages, the ones this app has a use for.

Anybody may open a socket and send any message that Streamlit knows. Some act on the whole process (clear the
caches of all visitors, watch files) or tell of this machine (its git repository). The app needs five of them;
all others end here, and so does every uploaded file: no page asks for one.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

_MESSAGES = frozenset({"rerun_script", "stop_script", "app_heartbeat"})
# What a page asks for outside a run: a file that is made when it is saved, more rows of a table.
_OPERATIONS = frozenset({"deferred_file", "dataframe_chunk"})
_NO_UPLOADS = "This app takes no files."


class MessageDoor:
    """ASGI middleware: drops a socket's messages that no page needs, and answers uploads with 403 unread."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "/_stcore/upload_file" in scope["path"]:
            await PlainTextResponse(_NO_UPLOADS, 403)(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.app(scope, lambda: _next_wanted(receive), send)
        else:
            await self.app(scope, receive, send)


async def _next_wanted(receive: Receive) -> Message:
    """The next event of a socket that is not an unwanted message."""
    while True:
        message = await receive()
        frame = message.get("bytes")
        if message["type"] != "websocket.receive" or frame is None or wanted(frame):
            return message


def wanted(frame: bytes) -> bool:
    """Whether a frame goes on to Streamlit, which itself closes a socket that sends no message of its own."""
    message = BackMsg()
    try:
        message.ParseFromString(frame)
    except DecodeError:
        return True
    kind = message.WhichOneof("type")
    if kind == "backend_operation_request":
        return message.backend_operation_request.WhichOneof("payload") in _OPERATIONS
    return kind in _MESSAGES
