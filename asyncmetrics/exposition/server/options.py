"""The options that `start_http_server` and `serve_metrics` share, from checks to what a server needs."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, final

from asyncmetrics.errors import DefinitionError, show
from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import make_asgi_app
from asyncmetrics.exposition.failures import OnError
from asyncmetrics.exposition.server.connection import Timeouts
from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.listening import listen_on_port, listen_on_unix_socket
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
from asyncmetrics.registry import Collectable, check_registry
from asyncmetrics.registry.collectables import find_self_metrics
from asyncmetrics.typing import ASGIApp, Unpack

__all__ = ("KEEP_ALIVE_SECONDS", "MAX_CONNECTIONS", "TIMEOUT_SECONDS", "ServerOptions", "make_options")

# Far more than scrapers, far fewer than the 1024 file descriptors that a process usually has.
MAX_CONNECTIONS = 100
# Prometheus' default scrape timeout: it would take no answer that comes later.
TIMEOUT_SECONDS = 10.0
# Longer than the usual scrape intervals (15 s to 1 min), so that a scraper keeps its connection.
KEEP_ALIVE_SECONDS = 150.0


class _AppOptions(TypedDict):
    """Options of `make_asgi_app`."""

    disable_compression: bool
    on_error: OnError
    auth: Auth | None
    max_concurrent: int
    live: bool


@final
@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Checked options. The methods may block: they read files and look up names."""

    port: int
    addr: str
    uds: str | None
    registry: Collectable
    tls: TLS | None
    max_connections: int
    timeouts: Timeouts
    app: ASGIApp

    def make_connections(self) -> Connections:
        """Return the connections of a new server. Raises `OSError` if a certificate cannot be used."""
        certificates = None
        if self.tls is not None:
            count_failure = partial(find_self_metrics(self.registry).count_internal_error, "exposition.certificates")
            certificates = Certificates(self.tls, count_failure)
        return Connections(self.app, certificates, self.timeouts, self.max_connections, self.registry)

    def listen(self) -> socket.socket:
        """Return a listening socket. Raises `OSError` if the port or the Unix socket cannot be used."""
        return listen_on_port(self.addr, self.port) if self.uds is None else listen_on_unix_socket(self.uds)


def make_options(
    port: int,
    addr: str,
    uds: str | None,
    registry: Collectable,
    tls: TLS,
    max_connections: int,
    timeout_seconds: float,
    keep_alive_seconds: float,
    **app_options: Unpack[_AppOptions],
) -> ServerOptions:
    """Check the options. Raises `DefinitionError` for a wrong one."""
    check_registry(registry)
    _check_address(port, addr, uds)
    check_limit("max_connections", max_connections)
    check_seconds("timeout_seconds", timeout_seconds)
    check_seconds("keep_alive_seconds", keep_alive_seconds)
    _check_tls(tls)
    app = make_asgi_app(registry, timeout_seconds=timeout_seconds, **app_options)
    timeouts = Timeouts(timeout_seconds, keep_alive_seconds)
    return ServerOptions(port, addr, uds, registry, tls if tls.is_wanted else None, max_connections, timeouts, app)


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


def _check_tls(tls: TLS) -> None:
    for option in ("certfile", "keyfile", "client_cafile", "client_capath"):
        path = getattr(tls, option)
        if path is not None:
            check_path(option, path)
    check_flag("client_auth_required", tls.client_auth_required)
