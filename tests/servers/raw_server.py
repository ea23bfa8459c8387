"""A server that sends any bytes, for what no honest server sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.patience import PATIENCE_SECONDS

__all__ = ("RawServer",)


class RawServer:
    """Read the head of each request into ``requests``, send ``answer``, or what it yields, and close."""

    def __init__(self, answer: bytes | Callable[[], Iterable[bytes]]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer if callable(answer) else lambda: [answer]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        self._thread = threading.Thread(target=self._run, name="raw-server")
        self._thread.start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.settimeout(PATIENCE_SECONDS)
            with client, suppress(OSError):
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            data = client.recv(65536)
            if not data:
                return
            request += data
        self.requests.append(request)
        for piece in self._answer():
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
