"""`serve_metrics`: the server in the application's own event loop, on asyncio and on trio.

*Theory of operation.*

1. `serve_metrics` checks the options. Nothing listens.
2. ``await`` or ``async with``: a thread loads the certificates and opens the socket, since both may block. A detached
   task then accepts connections, and serves each in a task of its own.
3. `LoopServer.close`, or the end of the loop, cancels the task. It closes all connections, then the socket, and removes
   a Unix socket's file. Collectors of other loops are cancelled there.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import final

from anyio import CancelScope, create_task_group, to_thread

from asyncmetrics.errors import LoopError
from asyncmetrics.exposition.access import Auth
from asyncmetrics.exposition.asgi import MAX_CONCURRENT
from asyncmetrics.exposition.failures import OnError
from asyncmetrics.exposition.server.connections import Connections
from asyncmetrics.exposition.server.listening import read_inode, remove_unix_socket
from asyncmetrics.exposition.server.options import (
    KEEP_ALIVE_SECONDS,
    MAX_CONNECTIONS,
    TIMEOUT_SECONDS,
    ServerOptions,
    make_options,
)
from asyncmetrics.exposition.server.tls import TLS
from asyncmetrics.loops import LoopCall, find_home
from asyncmetrics.registry import REGISTRY, Collectable
from asyncmetrics.registry.collectables import find_self_metrics

__all__ = ("LoopServer", "ServedMetrics", "serve_metrics")

_log = logging.getLogger("asyncmetrics")


@final
class LoopServer:
    """A server that runs in a task of the event loop that started it."""

    def __init__(self, listening: socket.socket, inode: int, connections: Connections, registry: Collectable) -> None:
        address = listening.getsockname()
        self.server_address: tuple[str, int] | str = address if isinstance(address, str) else address[:2]
        self._inode = inode
        self._listening = listening
        self._connections = connections
        self._registry = registry
        self._home = find_home()
        self._scope = CancelScope()
        self._task = LoopCall(self._serve)
        self._task.start(None)

    @property
    def port(self) -> int:
        """The port that the server listens on, even if 0 was asked for; 0 on a Unix socket."""
        return 0 if isinstance(self.server_address, str) else self.server_address[1]

    def close(self) -> None:
        """Close the port and every connection, from any thread; do not wait until that is done."""
        if self._home is not None:
            with suppress(LoopError):
                self._home.call_soon(self._scope.cancel)

    async def aclose(self) -> None:
        """Close the port and every connection, and wait until that is done."""
        self._scope.cancel()
        with CancelScope(shield=True):  # for a moment: no connection waits for its client any more
            await self._task.wait_async(None)

    async def _serve(self) -> None:
        try:
            with self._listening, self._scope:
                async with create_task_group() as tasks:
                    await self._connections.accept_forever(self._listening, tasks)
        except Exception:  # noqa: BLE001  # it must not end the application: it is logged and counted
            _log.exception("the port %s is closed, the metrics are no longer served there", self.server_address)
            find_self_metrics(self._registry).count_internal_error("exposition.server.task")
        finally:
            if isinstance(self.server_address, str):
                with CancelScope(shield=True):  # for a moment
                    await to_thread.run_sync(remove_unix_socket, self.server_address, self._inode)


@final
class ServedMetrics:
    """What `serve_metrics` returns, to be awaited or entered by ``async with``."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._server: LoopServer | None = None
        self._is_entered = False

    def __await__(self) -> Generator[object, None, LoopServer]:
        return self._start().__await__()

    async def __aenter__(self) -> LoopServer:
        if self._is_entered:
            message = "serve_metrics() was entered twice: call serve_metrics() again for another server"
            raise RuntimeError(message)
        self._is_entered = True
        self._server = await self._start()
        return self._server

    async def __aexit__(
        self, _: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            await self._server.aclose()

    async def _start(self) -> LoopServer:
        connections = await to_thread.run_sync(self._options.make_connections)
        opened: list[tuple[socket.socket, int]] = []
        try:
            await to_thread.run_sync(self._listen, opened)
        except BaseException:
            for listening, _ in opened:  # cancelled after the thread has opened it
                listening.close()
            raise
        return LoopServer(*opened[0], connections, self._options.registry)

    def _listen(self, opened: list[tuple[socket.socket, int]]) -> None:
        """Add the socket to ``opened``, with its inode if it is a Unix socket."""
        listening = self._options.listen()
        opened.append((listening, read_inode(self._options.uds) if self._options.uds is not None else 0))


def serve_metrics(
    port: int = 0,
    addr: str = "127.0.0.1",
    registry: Collectable = REGISTRY,
    *,
    certfile: str | None = None,
    keyfile: str | None = None,
    client_cafile: str | None = None,
    client_capath: str | None = None,
    client_auth_required: bool = False,
    tls_min_version: ssl.TLSVersion | None = None,
    tls_max_version: ssl.TLSVersion | None = None,
    uds: str | None = None,
    disable_compression: bool = False,
    on_error: OnError = "skip",
    auth: Auth | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    max_connections: int = MAX_CONNECTIONS,
    timeout_seconds: float = TIMEOUT_SECONDS,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    live: bool = False,
) -> ServedMetrics:
    """Serve ``registry`` on ``port`` (0 takes a free one) from the running event loop, on asyncio and on trio.

    ``server = await serve_metrics(9000)`` serves until ``await server.aclose()``, or until the loop ends;
    ``async with serve_metrics(9000) as server:`` serves for the block. ``server.port`` is the port. Nothing holds the
    loop: scrapes take turns on it, as with `make_asgi_app`. A program whose loop may be busy for long is served better
    by `start_http_server`, which has its own thread. The options are those of `start_http_server`.

    Raises `DefinitionError` for a wrong option at the call, and `OSError` when the server starts if the port, the Unix
    socket or a certificate cannot be used.

        >>> import anyio
        >>> async def main() -> None:
        ...     async with serve_metrics() as server:
        ...         print(f"curl http://127.0.0.1:{server.port}/metrics")
        >>> anyio.run(main)  # doctest: +ELLIPSIS
        curl http://127.0.0.1:.../metrics
    """
    tls = TLS(
        certfile,
        keyfile,
        client_cafile,
        client_capath,
        ssl.PROTOCOL_TLS_SERVER,
        client_auth_required,
        tls_min_version,
        tls_max_version,
    )
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
    return ServedMetrics(options)
