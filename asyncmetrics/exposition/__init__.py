"""Every way to read the metrics of this process: under ASGI or WSGI, on a separate port, as a file, or as bytes.

The ways:

* `asgi`: `make_asgi_app`, an application for any ASGI server or framework.
* `wsgi`: `make_wsgi_app`, the same for WSGI hosts.
* `server`: `start_http_server`, a thread that serves the ASGI application on its own port or Unix socket, and
  `serve_metrics`, which does it on the running loop.
* `handler`: `MetricsHandler`, for servers of the standard library's ``http.server``.
* `latest`: `generate_latest`, one exposition as bytes, and `choose_encoder`.
* `textfile`: `write_to_textfile`, one exposition as a file, for node_exporter.

The modules behind them, in the order in which a request to ``/metrics`` passes them under ASGI. Under WSGI it passes
only `access`, `response`, `rendering` and, after a fault, `failures`, so the scrapes at a time have no limit.

* `access`: checks the credentials of the client.
* `live`: answers requests for the live page, an HTML document that reads the metrics in the browser.
* `response`: chooses status, headers, format and compression (gzip: `formats.negotiation.is_gzip_accepted`).
* `admission`: limits the scrapes at a time, and displaces one that makes no progress.
* `scrape`: gathers, renders in turns of the loop (`asyncmetrics.pacing`), and sends.
* `gathering`: shares the calls of collectors between scrapes, each with its own deadline.
* `collector_calls`: calls one collector or gauge function, in a thread or on the loop that it belongs to.
* `rendering`: renders families to chunks of bytes, and compresses them with gzip.
* `client`: sends the chunks, and notices that the client has gone away.
* `failures`: has the option ``on_error``, counts and logs a failed scrape.

A name is imported from its module at its first use, so that a program pays only for the ways it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmetrics.exposition.access import Auth
    from asyncmetrics.exposition.asgi import MAX_CONCURRENT, make_asgi_app
    from asyncmetrics.exposition.latest import choose_encoder, generate_latest, gzip_accepted
    from asyncmetrics.exposition.server import (
        LoopServer,
        MetricsServer,
        RunningServer,
        serve_metrics,
        start_http_server,
        start_wsgi_server,
    )
    from asyncmetrics.exposition.textfile import write_to_textfile
    from asyncmetrics.exposition.wsgi import make_wsgi_app

__all__ = (
    "MAX_CONCURRENT",
    "Auth",
    "LoopServer",
    "MetricsServer",
    "RunningServer",
    "choose_encoder",
    "generate_latest",
    "gzip_accepted",
    "make_asgi_app",
    "make_wsgi_app",
    "serve_metrics",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
)

_MODULES = {
    "MAX_CONCURRENT": "asgi",
    "Auth": "access",
    "LoopServer": "server",
    "MetricsServer": "server",
    "RunningServer": "server",
    "choose_encoder": "latest",
    "generate_latest": "latest",
    "gzip_accepted": "latest",
    "make_asgi_app": "asgi",
    "make_wsgi_app": "wsgi",
    "serve_metrics": "server",
    "start_http_server": "server",
    "start_wsgi_server": "server",
    "write_to_textfile": "textfile",
}


if not TYPE_CHECKING:  # a type checker would accept any name of a module that has __getattr__

    def __getattr__(name: str) -> object:
        """Import the module of ``name`` (PEP 562), and keep the value so that this is called once for each name."""
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
