"""The exposition on its own port or Unix socket: a small HTTP/1.1 server, with its own thread and event loop.

It serves the application of `make_asgi_app`, so a scrape takes nothing from the program's own loop but the interpreter.

* `start`: `start_http_server`, from its options to a server that runs.
* `server`: the thread, and its end.
* `listening`: the socket that it listens on, whose errors `os_errors` explains.
* `tls`: TLS, with certificates that are loaded again.
* `connections`: accepts connections and displaces idle ones.
* `connection`: one HTTP/1.1 connection.
* `messages`: between HTTP/1.1 and ASGI.
* `wire`: the stream of a connection.
"""

from __future__ import annotations

from asyncmetrics.exposition.server.server import MetricsServer
from asyncmetrics.exposition.server.start import RunningServer, start_http_server, start_wsgi_server

__all__ = ("MetricsServer", "RunningServer", "start_http_server", "start_wsgi_server")
