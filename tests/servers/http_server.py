"""A server of HTTP whose paths are scripts: slow and broken bodies, redirects, errors that pass, no answer at all."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ("HttpServer", "run_http_server")


class HttpServer(ThreadingHTTPServer):
    """The server; ``release`` lets the slow answers go on, ``seen`` counts the requests by their path."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Script)
        self.release = threading.Event()
        self.seen: Counter[str] = Counter()
        self.open: set[socket.socket] = set()

    @property
    def netloc(self) -> str:
        """The host and the port, as the label ``server`` has them."""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """The base of its URLs."""
        return f"http://{self.netloc}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that have gone."""


class _Script(BaseHTTPRequestHandler):
    """``/status/404``, ``/redirect/2``, ``/slow``, ``/broken``, ``/broken-chunks``, ``/silent``, ``/reset`` …"""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer  # pyright: ignore[reportIncompatibleVariableOverride]  # no other server has it

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()
            return
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base has
        """Log nothing."""

    def answer(self) -> None:
        """Run the script of the path; a proxy's path is a whole URL."""
        path = urlsplit(self.path).path
        self.server.seen[path] += 1
        name, _, argument = path.lstrip("/").partition("/")
        body = self._read_body()
        script = getattr(self, f"_do_{name.replace('-', '_')}", self._do_ok)
        script(argument, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_BREW = answer

    def do_CONNECT(self) -> None:
        self._send(502)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status >= 200 and status != 204 and "Transfer_Encoding" not in headers:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_chunks(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def _begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _do_ok(self, _argument: str, _body: bytes) -> None:
        self._send(200, b"hello")

    def _do_status(self, argument: str, _body: bytes) -> None:
        self._send(int(argument))

    def _do_redirect(self, argument: str, _body: bytes) -> None:
        left = int(argument) - 1
        self._send(302, Location=f"/redirect/{left}" if left else "/ok")

    def _do_retry(self, argument: str, _body: bytes) -> None:
        """Answer 503 before the attempt with this number."""
        self._send(200 if self.server.seen[self.path] >= int(argument) else 503)

    def _do_echo(self, _argument: str, body: bytes) -> None:
        self._send(200, body)

    def _do_chunks(self, argument: str, _body: bytes) -> None:
        self._begin_chunks()
        self._send_chunks(*[b"x" * 10] * int(argument), b"")

    def _do_slow(self, _argument: str, _body: bytes) -> None:
        """Send one chunk, and the others when it is released."""
        self._begin_chunks()
        self._send_chunks(b"first")
        self.server.release.wait()
        self._send_chunks(b"second", b"")

    def _do_broken(self, _argument: str, _body: bytes) -> None:
        self._send(200, b"hello", 100)
        self.close_connection = True

    def _do_broken_chunks(self, _argument: str, _body: bytes) -> None:
        self._begin_chunks()
        self._send_chunks(b"hello")
        self.close_connection = True

    def _do_silent(self, _argument: str, _body: bytes) -> None:
        self.server.release.wait()
        self.close_connection = True

    def _do_reset(self, _argument: str, _body: bytes) -> None:
        self.close_connection = True

    def _do_close(self, _argument: str, _body: bytes) -> None:
        self._send(200, b"hello", Connection="close")

    def _do_upgrade(self, _argument: str, _body: bytes) -> None:
        self._send(101, Connection="upgrade", Upgrade="echo")
        self.wfile.write(self.rfile.readline())
        self.close_connection = True


@contextmanager
def run_http_server() -> Iterator[HttpServer]:
    """Run a server in a thread until the block ends."""
    with HttpServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()
            for connection in list(server.open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
