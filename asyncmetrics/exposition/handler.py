"""The exposition for a server of the standard library's `http.server` that a program has already."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

from asyncmetrics.exposition.wsgi import make_wsgi_app
from asyncmetrics.registry import REGISTRY, Collectable, check_registry

__all__ = ("MetricsHandler",)


class MetricsHandler(BaseHTTPRequestHandler):
    """Serve ``registry`` on every path: ``ThreadingHTTPServer(("127.0.0.1", 8000), MetricsHandler)``.

    `start_http_server` needs no server of your own, times out silent clients and limits their number.
    """

    registry: Collectable = REGISTRY

    @classmethod
    def factory(cls, registry: Collectable) -> type[MetricsHandler]:
        """Return a handler class that serves ``registry``. Raises `DefinitionError` for what is no registry."""
        check_registry(registry)
        return type(cls.__name__, (cls,), {"registry": registry})

    def handle(self) -> None:
        """Handle a connection. A client that goes away is no error; socketserver would print a traceback each time."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer with the exposition, as `make_wsgi_app` does."""
        path, _, query = self.path.partition("?")
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        environ |= {"REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query}
        for chunk in make_wsgi_app(self.registry)(environ, self._start_response):
            self.wfile.write(chunk)

    do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there are several scrapes a minute."""

    def _start_response(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.send_response(int(status[:3]))
        for name, value in (*headers, ("Connection", "close")):  # closing ends a body of unknown length
            self.send_header(name, value)
        self.end_headers()
