"""A Pushgateway of the test's own: it keeps what it gets, and refuses or hangs if it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ("Gateway", "run_gateway")


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.may_answer.wait()
        self.server.requests.append((self.command, self.path, dict(self.headers), body.decode()))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


class Gateway(ThreadingHTTPServer):
    """A server that keeps its requests: the method, the path, the headers and the body of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.status = 202
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def run_gateway() -> Iterator[Gateway]:
    """Run a gateway until the end of the block."""
    gateway = Gateway()
    thread = threading.Thread(target=gateway.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield gateway
    finally:
        gateway.may_answer.set()
        gateway.shutdown()
        thread.join()
        gateway.server_close()
