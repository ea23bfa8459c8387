"""The exposition on its own port or Unix socket: a small HTTP/1.1 server, in its own thread or on the program's loop.

It serves the application of `make_asgi_app`. With its own thread and event loop, a scrape takes nothing from the
program's loop but the interpreter.

* `start`: `start_http_server`, with its own thread.
* `server`: the thread, and its end.
* `serve`: `serve_metrics`, in a task of the program's loop.
* `options`: the options of both, checked.
* `listening`: the socket that it listens on, whose errors `os_errors` explains.
* `tls`: TLS, with certificates that are loaded again.
* `connections`: accepts connections and displaces idle ones.
* `connection`: one HTTP/1.1 connection.
* `messages`: between HTTP/1.1 and ASGI.
* `wire`: the stream of a connection.
"""

from __future__ import annotations

from asyncmetrics.exposition.server.serve import LoopServer, serve_metrics
from asyncmetrics.exposition.server.server import MetricsServer
from asyncmetrics.exposition.server.start import RunningServer, start_http_server, start_wsgi_server

__all__ = ("LoopServer", "MetricsServer", "RunningServer", "serve_metrics", "start_http_server", "start_wsgi_server")
