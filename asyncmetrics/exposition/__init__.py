"""Where the metrics are read from: an ASGI or a WSGI application, a port of their own, a file, or plain bytes."""

from __future__ import annotations

from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import MAX_CONCURRENT, make_asgi_app
from asyncmetrics.exposition.latest import choose_encoder, generate_latest, gzip_accepted
from asyncmetrics.exposition.server import MetricsServer, RunningServer, start_http_server, start_wsgi_server
from asyncmetrics.exposition.textfile import write_to_textfile
from asyncmetrics.exposition.wsgi import make_wsgi_app

__all__ = (
    "MAX_CONCURRENT",
    "Auth",
    "MetricsServer",
    "RunningServer",
    "choose_encoder",
    "generate_latest",
    "gzip_accepted",
    "make_asgi_app",
    "make_wsgi_app",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
)
