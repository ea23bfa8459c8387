"""The exposition on a port of its own: a small HTTP/1.1 server in its own thread, with its own event loop.

It serves the same application as `make_asgi_app`, so a scrape costs the program's own loop nothing but the interpreter.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple, final

from anyio import create_task_group, sleep
from anyio.abc import TaskGroup

from asyncmetrics.exposition._access import Auth
from asyncmetrics.exposition._http import Connection
from asyncmetrics.exposition._listening import TLS, listen
from asyncmetrics.exposition._rendering import OnError
from asyncmetrics.exposition.asgi import MAX_CONCURRENT, make_asgi_app
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.typing import ASGIApp

__all__ = ("MetricsServer", "RunningServer", "start_http_server", "start_wsgi_server")

_ACCEPT_AGAIN_SECONDS = 0.1


def start_http_server(
    port: int,
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
    disable_compression: bool = False,
    on_error: OnError = "skip",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    timeout_seconds: float = 10.0,
    max_connections: int = 100,
) -> RunningServer:
    """Serve what is in ``registry`` on ``port`` (0 takes a free one) from a daemon thread, and return at once.

    Unlike prometheus_client it listens on the loopback alone by default: ``addr="0.0.0.0"`` opens it to the network.
    With a ``certfile`` it speaks TLS; clients' certificates are checked against ``client_cafile`` or ``client_capath``,
    and ``client_auth_required`` refuses those who have none. A client has ``timeout_seconds`` for sending a request
    and for taking each chunk. Connections above ``max_connections`` are closed at once. ``on_error``, ``auth`` and
    ``max_concurrent`` are those of `make_asgi_app`; a predicate gets an ASGI scope here as well.
    Raises `OSError` if the port cannot be had or a certificate not be read.

    >>> with start_http_server(0) as server:
    ...     print(f"curl http://127.0.0.1:{server.port}/metrics")  # doctest: +ELLIPSIS
    curl http://127.0.0.1:.../metrics
    """
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
    app = make_asgi_app(registry, disable_compression, on_error=on_error, auth=auth, max_concurrent=max_concurrent)
    context = tls.context()
    server = MetricsServer(app, listen(addr, port), context, timeout_seconds, max_connections)
    return RunningServer(server, server.start())


start_wsgi_server = start_http_server


@final
class MetricsServer:
    """A server on a listening socket, which it owns. All methods may be called from any thread."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        tls: ssl.SSLContext | None,
        timeout_seconds: float,
        max_connections: int,
    ) -> None:
        self.server_address: tuple[str, int] = listening.getsockname()[:2]
        self._app = app
        self._listening = listening
        self._tls = tls
        self._timeout = timeout_seconds
        self._max_connections = max_connections
        self._connections = 0
        self._started: Future[None] = Future()
        self._stop: Callable[[], object] = listening.close
        self._thread = threading.Thread(target=self._run, name=f"asyncmetrics-port-{self.port}", daemon=True)

    @property
    def port(self) -> int:
        """The port that is served, also when 0 was asked for."""
        return self.server_address[1]

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
        """Close every connection and the port, and wait until the thread has ended; a second call does nothing."""
        try:
            self._stop()
        except RuntimeError:  # the loop is closed already
            pass
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    close = server_close = shutdown
    server_port = port  # as the standard library's servers call it

    def _run(self) -> None:
        try:
            with self._listening:
                asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        async with create_task_group() as tasks:
            self._stop = lambda: loop.call_soon_threadsafe(tasks.cancel_scope.cancel)
            self._started.set_result(None)
            await self._accept(loop, tasks)

    async def _accept(self, loop: asyncio.AbstractEventLoop, tasks: TaskGroup) -> None:
        while True:
            try:
                connected, _ = await loop.sock_accept(self._listening)
            except OSError:  # out of file descriptors, or a client that left the queue: wait for better times
                await sleep(_ACCEPT_AGAIN_SECONDS)
                continue
            if self._connections < self._max_connections:
                self._connections += 1
                tasks.start_soon(self._connection, connected)
            else:
                connected.close()

    async def _connection(self, connected: socket.socket) -> None:
        try:
            reader, writer = await _streams(connected, self._tls, self._timeout)
            await Connection(self._app, reader, writer, self._timeout).serve()
        except OSError:
            pass  # no TLS handshake came about, which is the client's business
        finally:
            connected.close()
            self._connections -= 1


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


async def _streams(
    connected: socket.socket, tls: ssl.SSLContext | None, timeout_seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connected, ssl=tls, ssl_handshake_timeout=timeout_seconds if tls else None
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
