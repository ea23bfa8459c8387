"""The exposition from a thread of its own, with its own event loop: a small HTTP/1.1 server.

It serves the same application as `make_asgi_app`, so a scrape costs the program's own loop nothing but the interpreter.

*Rules.* Nothing that a connection does ends the server (`_connections`). Where the thread ends all the same, that is
logged and counted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import NamedTuple, final

import anyio
from anyio import create_task_group, to_thread

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import MAX_CONCURRENT, make_asgi_app
from asyncmetrics.exposition.failures import OnError
from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.http import Timeouts
from asyncmetrics.exposition.server.listening import inode_of, listen, listen_unix, remove_unix
from asyncmetrics.exposition.server.tls import TLS, Certificates
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("MetricsServer", "RunningServer", "start_http_server", "start_wsgi_server")

_END_SECONDS = 1.0
# Longer than the usual scrape intervals (15 s to 1 min), so that a scraper keeps its connection.
_KEEP_ALIVE_SECONDS = 150.0
_log = logging.getLogger("asyncmetrics")


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
    max_connections: int = 100,
    timeout_seconds: float = 10.0,
    keep_alive_seconds: float = _KEEP_ALIVE_SECONDS,
) -> RunningServer:
    """Serve what is in ``registry`` on ``port`` (0 takes a free one) from a daemon thread, and return at once.

    Unlike prometheus_client it listens on the loopback alone by default: ``addr="0.0.0.0"`` opens it to the network.
    ``uds`` is the path of a Unix socket to listen on instead.

    With a ``certfile`` it speaks TLS; clients' certificates are checked against ``client_cafile`` or ``client_capath``,
    and ``client_auth_required`` refuses clients that have none. Files that change are loaded again for the connections
    that come later.

    A client has ``timeout_seconds`` for sending a request and for taking each chunk, and may be silent between two
    requests for ``keep_alive_seconds``. Beyond ``max_connections`` a newcomer displaces the connection that has waited
    longest for its client; where none waits, the newcomer is closed at once. ``on_error``, ``auth`` and
    ``max_concurrent`` are those of `make_asgi_app`; a predicate gets an ASGI scope here as well.

    Raises `OSError` if the port or the Unix socket cannot be had or a certificate not be read, and `DefinitionError`
    for options that make no sense.

    >>> with start_http_server(0) as server:
    ...     print(f"curl http://127.0.0.1:{server.port}/metrics")  # doctest: +ELLIPSIS
    curl http://127.0.0.1:.../metrics
    """
    _check(port, uds, max_connections, timeout_seconds, keep_alive_seconds)
    tls = TLS(
        certfile,
        keyfile,
        client_cafile,
        client_capath,
        protocol,
        client_auth_required,
        tls_min_version,
        tls_max_version,
    )
    certificates = None
    if tls.is_wanted:
        certificates = Certificates(
            tls, partial(get_self_metrics(registry).count_internal_error, "exposition.certificates")
        )
    app = make_asgi_app(
        registry,
        disable_compression,
        on_error=on_error,
        auth=auth,
        max_concurrent=max_concurrent,
        timeout_seconds=timeout_seconds,
    )
    timeouts = Timeouts(timeout_seconds, keep_alive_seconds)
    connections = Connections(app, certificates, timeouts, max_connections, registry)
    listening = listen(addr, port) if uds is None else listen_unix(uds)
    server = MetricsServer(listening, connections, registry)
    return RunningServer(server, server.start())


start_wsgi_server = start_http_server


def _check(port: int, uds: str | None, max_connections: int, *seconds: float) -> None:
    if uds is not None and (not isinstance(uds, str) or not uds or "\0" in uds):
        raise DefinitionError("uds", f"expected the path of a Unix socket, got {uds!r}")
    if uds is not None and port:
        raise DefinitionError("uds", f"expected no port beside the Unix socket {uds!r}, got {port!r}")
    if max_connections < 1:
        raise DefinitionError("max_connections", f"expected 1 or more, got {max_connections!r}")
    for name, value in zip(("timeout_seconds", "keep_alive_seconds"), seconds, strict=True):
        if not value > 0:
            raise DefinitionError(name, f"expected more than 0 seconds, got {value!r}")


@final
class MetricsServer:
    """A server on a listening socket, which it owns. All methods may be called from any thread."""

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        registry: Collectable,
    ) -> None:
        address = listening.getsockname()
        self.server_address: tuple[str, int] | str = address if isinstance(address, str) else address[:2]
        self._inode = inode_of(address) if isinstance(address, str) else 0
        self._listening = listening
        self._connections = connections
        self._registry = registry
        self._started: Future[None] = Future()
        self._is_free: Future[bool] = Future()  # at the end: whether nothing keeps the thread
        self._stop: Callable[[], object] = listening.close
        self._thread = threading.Thread(target=self._run, name=f"asyncmetrics-port-{self.port}", daemon=True)

    @property
    def port(self) -> int:
        """The port that is served, also when 0 was asked for; 0 on a Unix socket."""
        return 0 if isinstance(self.server_address, str) else self.server_address[1]

    def start(self) -> threading.Thread:
        """Start serving and return the thread that does."""
        try:
            self._thread.start()
        except RuntimeError:  # no thread to be had
            self._listening.close()
            raise
        self._started.result()
        return self._thread

    def shutdown(self) -> None:
        """Close every connection and the port, and wait until the thread has ended; a second call does nothing.

        A collector that ignores that it is cancelled is not waited for: the thread, a daemon, ends after it.
        """
        try:
            self._stop()
        except RuntimeError:  # the loop is closed already
            pass
        if self._thread.is_alive() and self._thread is not threading.current_thread() and self._is_free.result():
            self._thread.join()

    close = server_close = shutdown
    server_port = port  # as the standard library's servers call it

    def _run(self) -> None:
        try:
            anyio.run(self._serve)
        except BaseException as error:  # noqa: BLE001  # it is kept for the caller, or logged and counted
            if not self._started.done():
                self._started.set_exception(error)
            else:
                _log.exception("%s: the metrics are served no longer", self._thread.name)
                get_self_metrics(self._registry).count_internal_error("exposition.server.thread")
            self._remove_socket()
        finally:
            self._listening.close()
            if not self._is_free.done():
                self._is_free.set_result(True)

    def _remove_socket(self) -> None:
        if isinstance(self.server_address, str):
            remove_unix(self.server_address, self._inode)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        with self._listening:
            async with create_task_group() as tasks:
                self._stop = lambda: loop.call_soon_threadsafe(tasks.cancel_scope.cancel)
                self._started.set_result(None)
                await self._connections.accept(self._listening, tasks)
        await to_thread.run_sync(self._remove_socket)
        self._is_free.set_result(await _end_tasks())


async def _end_tasks() -> bool:
    """Cancel the collectors that are still at work, and return whether they have ended within a second."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    held = (await asyncio.wait(others, timeout=_END_SECONDS))[1] if others else ()
    return not held


@final
class RunningServer(NamedTuple):
    """What `start_http_server` returns: ``server, thread = …`` as with prometheus_client, or a context manager."""

    server: MetricsServer
    thread: threading.Thread

    @property
    def port(self) -> int:
        """The port that is served, also when 0 was asked for."""
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
