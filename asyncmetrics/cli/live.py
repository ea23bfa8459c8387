"""``asyncmetrics live URL``: serve the live page of any exporter to the browser of this computer."""

from __future__ import annotations

import secrets
import sys
import threading
import time
import webbrowser
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from asyncio import CancelledError
from types import TracebackType
from typing import NamedTuple, final

import anyio

from asyncmetrics.cli.proxy.application import LiveProxy
from asyncmetrics.cli.proxy.upstream import Upstream
from asyncmetrics.cli.sources import add_url, make_target
from asyncmetrics.errors import SourceError
from asyncmetrics.exposition.live.serving import LIVE_SUFFIX
from asyncmetrics.exposition.server.connection import Timeouts
from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.listening import listen_on_port
from asyncmetrics.exposition.server.server import MetricsServer
from asyncmetrics.registry import CollectorRegistry

__all__ = ("DESCRIPTION", "LiveServer", "add_arguments", "run", "start_live_server")

DESCRIPTION = """\
Show the metrics of a URL in the browser, as they change. The server may be written in any language: it must expose the
text format of Prometheus, or OpenMetrics.

  asyncmetrics live http://127.0.0.1:8000/metrics
  asyncmetrics live https://shop.example/metrics --token "$TOKEN" --open

The command prints one URL and serves it until Ctrl-C. Only this computer can open the URL, which has a random token.
The page reads the metrics through the command, which adds the credentials and shows them to no page. The command reads
no other URL, follows no redirect, and uses no proxy of the environment.

Other users of this computer can see the arguments of a command, and so the credentials among them and, with --open, the
URL that the browser is started with.
"""

_ADDRESS = "127.0.0.1"
_TOKEN_BYTES = 24
_TIMEOUTS = Timeouts(client=10.0, keep_alive=150.0)
_MAX_CONNECTIONS = 32  # a browser opens six to one server
_WAIT_SECONDS = 1.0  # Windows handles Ctrl-C only between two waits


def add_arguments(parser: ArgumentParser) -> None:
    """Add the URL, and the options of the server."""
    add_url(parser)
    parser.add_argument("--port", type=_parse_port, default=0, metavar="N", help="the port (default: one that is free)")
    parser.add_argument("--open", action="store_true", help="open the page in the default browser")


def run(options: Namespace) -> int:
    """Serve the page until the user interrupts the command.

    Raises `ScrapeError` if the metrics cannot be read now, and `SourceError` if the port cannot be used.
    """
    upstream = Upstream(make_target(options.url, options))
    try:
        anyio.run(upstream.fetch)
    except CancelledError as error:  # on Python 3.10 anyio ends with this after Ctrl-C
        raise KeyboardInterrupt from error
    with start_live_server(upstream, options.port) as served:
        sys.stdout.write(f"{served.url}\n")
        sys.stdout.flush()
        if options.open:
            webbrowser.open(served.url)
        while served.is_serving():
            time.sleep(_WAIT_SECONDS)  # an interrupted `Thread.join` takes the thread for ended, up to Python 3.12
    return 1  # nothing but an interruption ends it well


@final
class LiveServer(NamedTuple):
    """A server of the live page, its thread, and the URL of the page: a context manager that ends it."""

    url: str
    server: MetricsServer
    thread: threading.Thread

    def is_serving(self) -> bool:
        """Return whether the thread runs, which logs why it ends."""
        return self.thread.is_alive()

    def __enter__(self) -> LiveServer:
        return self

    def __exit__(
        self, _: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.server.shutdown()


def start_live_server(upstream: Upstream, port: int = 0) -> LiveServer:
    """Serve the page of ``upstream`` from a thread, on the loopback. Raises `SourceError` if the port is not free."""
    try:
        listening = listen_on_port(_ADDRESS, port)
    except OSError as error:
        raise SourceError("--port", error.strerror or str(error)) from error
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    registry = CollectorRegistry()  # of the server's own errors, which are logged too
    connections = Connections(LiveProxy(upstream, token, port), None, _TIMEOUTS, _MAX_CONNECTIONS, registry)
    server = MetricsServer(listening, connections, registry)
    return LiveServer(f"http://{_ADDRESS}:{port}/{token}{LIVE_SUFFIX}", server, server.start())


def _parse_port(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > 65535:
        raise ArgumentTypeError(f"expected a port from 0 (any that is free) to 65535, got {text!r}")
    return int(text)
