"""A proxy on this machine that counts what really went over the wire, compressed frames and all."""

from __future__ import annotations

import socket
import threading


class CountingProxy:
    """Forwards `url` to a server on 127.0.0.1 and counts the bytes that the browser received."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.received = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                browser, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, counts in ((browser, server, False), (server, browser, True)):
                threading.Thread(target=self._pump, args=(source, sink, counts), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while content := source.recv(65536):
                if counts:
                    with self._lock:
                        self.received += len(content)
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # the other side went away
            source.close()
