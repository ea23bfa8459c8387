"""`start_http_server`: from its options to a server that runs."""

from __future__ import annotations

import ssl
import threading
from types import TracebackType
from typing import NamedTuple, final

from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import MAX_CONCURRENT
from asyncmetrics.exposition.failures import OnError
from asyncmetrics.exposition.server.options import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, TIMEOUT_SECONDS, make_options
from asyncmetrics.exposition.server.server import MetricsServer
from asyncmetrics.exposition.server.tls import TLS
from asyncmetrics.registry import REGISTRY, Collectable

__all__ = ("RunningServer", "start_http_server", "start_wsgi_server")


@final
class RunningServer(NamedTuple):
    """A server and its thread: ``server, thread = …`` as with prometheus_client, or a context manager."""

    server: MetricsServer
    thread: threading.Thread

    @property
    def port(self) -> int:
        """The port that the server listens on, even if 0 was asked for."""
        return self.server.port

    def close(self) -> None:
        """Close every connection and the port, and wait until the thread has ended."""
        self.server.shutdown()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(
        self, _: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


def start_http_server(
    port: int = 0,
    addr: str = "127.0.0.1",
    registry: Collectable = REGISTRY,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
    tls_min_version: ssl.TLSVersion | None = None,
    tls_max_version: ssl.TLSVersion | None = None,
    *,
    uds: str | None = None,
    disable_compression: bool = False,
    on_error: OnError = "skip",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    max_connections: int = MAX_CONNECTIONS,
    timeout_seconds: float = TIMEOUT_SECONDS,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    live: bool = False,
) -> RunningServer:
    """Serve ``registry`` on ``port`` (0 takes a free one) from a daemon thread, and return at once.

    Unlike prometheus_client it listens only on the loopback by default: ``addr="0.0.0.0"`` opens it to the network.
    ``uds`` is the path of a Unix socket to listen on instead.

    With a ``certfile`` it speaks TLS; clients' certificates are checked against ``client_cafile`` or ``client_capath``,
    and ``client_auth_required`` refuses clients that have none. Files that change are loaded again for the connections
    that come later.

    A client has ``timeout_seconds`` to send a request and to take each chunk, and may be silent between two requests
    for ``keep_alive_seconds``. If there are ``max_connections`` already, a new connection displaces the one that has
    waited longest for its client; if none waits, the new one is closed at once. ``on_error``, ``auth``,
    ``max_concurrent`` and ``live`` are those of `make_asgi_app`; a predicate gets an ASGI scope here as well.

    Async collectors run on the loops that they belong to (`CollectorRegistry.register`), the other ones on the loop of
    this server; `serve_metrics` serves from the loop of the application.

    Raises `OSError` if the port, the Unix socket or a certificate cannot be used, and `DefinitionError` for a wrong
    option.

    >>> with start_http_server(0) as server:
    ...     print(f"curl http://127.0.0.1:{server.port}/metrics")  # doctest: +ELLIPSIS
    curl http://127.0.0.1:.../metrics
    """
    clients = (client_cafile, client_capath, protocol, client_auth_required)
    tls = TLS(certfile, keyfile, *clients, tls_min_version, tls_max_version)
    options = make_options(
        port,
        addr,
        uds,
        registry,
        tls,
        max_connections,
        timeout_seconds,
        keep_alive_seconds,
        disable_compression=disable_compression,
        on_error=on_error,
        auth=auth,
        max_concurrent=max_concurrent,
        live=live,
    )
    connections = options.make_connections()
    listening = options.listen()
    server = MetricsServer(listening, connections, registry)
    return RunningServer(server, server.start())


start_wsgi_server = start_http_server
"""prometheus_client's other name of it."""
