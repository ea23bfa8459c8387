"""`start_http_server`: from its options to a server that runs."""

from __future__ import annotations

import socket
import ssl
import threading
from functools import partial
from types import TracebackType
from typing import NamedTuple, final

from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import MAX_CONCURRENT, make_asgi_app
from asyncmetrics.exposition.failures import OnError
from asyncmetrics.exposition.server.connection import Timeouts
from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.listening import listen_on_port, listen_on_unix_socket
from asyncmetrics.exposition.server.server import MetricsServer
from asyncmetrics.exposition.server.tls import TLS, Certificates
from asyncmetrics.model.checks import (
    check_flag,
    check_limit,
    check_path,
    check_seconds,
    check_text,
    make_refusal,
    suggest_int,
)
from asyncmetrics.registry import REGISTRY, Collectable, check_registry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("RunningServer", "start_http_server", "start_wsgi_server")

# Far more than scrapers, far fewer than the 1024 file descriptors that a process usually has.
_MAX_CONNECTIONS = 100
# Prometheus' default scrape timeout: it would take no answer that comes later.
_TIMEOUT_SECONDS = 10.0
# Longer than the usual scrape intervals (15 s to 1 min), so that a scraper keeps its connection.
_KEEP_ALIVE_SECONDS = 150.0


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
    max_connections: int = _MAX_CONNECTIONS,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    keep_alive_seconds: float = _KEEP_ALIVE_SECONDS,
) -> RunningServer:
    """Serve ``registry`` on ``port`` (0 takes a free one) from a daemon thread, and return at once.

    Unlike prometheus_client it listens only on the loopback by default: ``addr="0.0.0.0"`` opens it to the network.
    ``uds`` is the path of a Unix socket to listen on instead.

    With a ``certfile`` it speaks TLS; clients' certificates are checked against ``client_cafile`` or ``client_capath``,
    and ``client_auth_required`` refuses clients that have none. Files that change are loaded again for the connections
    that come later.

    A client has ``timeout_seconds`` to send a request and to take each chunk, and may be silent between two requests
    for ``keep_alive_seconds``. If there are ``max_connections`` already, a new connection displaces the one that has
    waited longest for its client; if none waits, the new one is closed at once. ``on_error``, ``auth`` and
    ``max_concurrent`` are those of `make_asgi_app`; a predicate gets an ASGI scope here as well.

    Raises `OSError` if the port, the Unix socket or a certificate cannot be used, and `DefinitionError` for a wrong
    option.

    >>> with start_http_server(0) as server:
    ...     print(f"curl http://127.0.0.1:{server.port}/metrics")  # doctest: +ELLIPSIS
    curl http://127.0.0.1:.../metrics
    """
    check_registry(registry)
    _check_address(port, addr, uds)
    check_limit("max_connections", max_connections)
    timeouts = _make_timeouts(timeout_seconds, keep_alive_seconds)
    _check_files(certfile=certfile, keyfile=keyfile, client_cafile=client_cafile, client_capath=client_capath)
    check_flag("client_auth_required", client_auth_required)
    tls_clients = (client_cafile, client_capath, protocol, client_auth_required)
    certificates = _load_certificates(TLS(certfile, keyfile, *tls_clients, tls_min_version, tls_max_version), registry)
    app = make_asgi_app(
        registry,
        disable_compression,
        on_error=on_error,
        auth=auth,
        max_concurrent=max_concurrent,
        timeout_seconds=timeout_seconds,
    )
    connections = Connections(app, certificates, timeouts, max_connections, registry)
    listening = listen_on_port(addr, port) if uds is None else listen_on_unix_socket(uds)
    server = MetricsServer(listening, connections, registry)
    return RunningServer(server, server.start())


start_wsgi_server = start_http_server
"""prometheus_client's other name of it."""


def _check_address(port: object, addr: object, uds: object) -> None:
    if uds is not None and (not isinstance(uds, str) or not uds or "\0" in uds):
        raise DefinitionError("uds", f"expected the path of a Unix socket, got {show(uds)}")
    if uds is not None and port:
        raise DefinitionError("uds", f"expected no port beside the Unix socket {uds!r}, got {show(port)}")
    if uds is not None and not hasattr(socket, "AF_UNIX"):
        raise DefinitionError("uds", "this platform has no Unix sockets")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise make_refusal("port", "an int from 0 (any that is free) to 65535", port, suggest_int(port))
    check_text("addr", addr, "127.0.0.1")


def _check_files(**paths: object) -> None:
    for option, path in paths.items():
        if path is not None:
            check_path(option, path)


def _make_timeouts(timeout_seconds: float, keep_alive_seconds: float) -> Timeouts:
    check_seconds("timeout_seconds", timeout_seconds)
    check_seconds("keep_alive_seconds", keep_alive_seconds)
    return Timeouts(timeout_seconds, keep_alive_seconds)


def _load_certificates(tls: TLS, registry: Collectable) -> Certificates | None:
    if not tls.is_wanted:
        return None
    return Certificates(tls, partial(get_self_metrics(registry).count_internal_error, "exposition.certificates"))
