"""An OTLP server on a real socket that keeps what it is sent, read by the decoder of opentelemetry-proto."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.bridges.otlp.decoding import decode_body

__all__ = ("OtlpServer", "run_otlp_server")


class OtlpServer(ThreadingHTTPServer):
    """``answers`` are ``(status, headers, body)`` of the next requests; after them each is taken."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, dict[str, str], object]] = []

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        return f"http://127.0.0.1:{self.server_port}/v1/metrics"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OtlpServer  # pyright: ignore[reportIncompatibleVariableOverride]  # no other server has it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.path, headers, decode_body(body)))
        status, more, answer = self.server.answers.pop(0) if self.server.answers else (200, {}, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing to stderr."""


@contextmanager
def run_otlp_server() -> Iterator[OtlpServer]:
    """Run the server in a thread until the block ends."""
    server = OtlpServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
