"""The connections of a server: who gets one, who makes room, and what becomes of what a connection raises.

*Rules.* Nothing that one connection does ends another: its task keeps whatever is raised in it. Clients that fail, are
silent or go away are no errors; all else is counted, and logged once.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import final

from anyio import BrokenResourceError, CancelScope, EndOfStream, fail_after, sleep, to_thread
from anyio.abc import ByteStream, SocketStream, TaskGroup, UNIXSocketStream
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSStream

from asyncmetrics.errors import is_cancellation
from asyncmetrics.exposition.admission import Admission, Ticket
from asyncmetrics.exposition.server.http import Connection, Timeouts
from asyncmetrics.exposition.server.tls import Certificates
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import ASGIApp

__all__ = ("Connections",)

_ACCEPT_AGAIN_SECONDS = 0.1
_NO_SOCKET = {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}  # the listening socket is gone
# Few enough that each of the connections has read what its client sent before newcomers could displace it.
_ACCEPTED_AT_ONCE = 8
_TURNS = 20


@final
class Connections:
    """At most ``max_connections`` at a time, each served by ``app``; over TLS if there are ``certificates``."""

    def __init__(
        self,
        app: ASGIApp,
        certificates: Certificates | None,
        timeouts: Timeouts,
        max_connections: int,
        registry: Collectable,
    ) -> None:
        self._app = app
        self._certificates = certificates
        self._timeouts = timeouts
        self._self_metrics = get_self_metrics(registry)
        self._admission = Admission(max_connections)

    async def accept(self, listening: socket.socket, tasks: TaskGroup) -> None:
        """Accept connections for ever, and serve each in a task of ``tasks``.

        Raises `OSError` when ``listening`` is no socket any more.
        """
        while True:
            for _ in range(min(_ACCEPTED_AT_ONCE, max(1, self._admission.limit // _ACCEPTED_AT_ONCE))):
                await self._accept(listening, tasks)
            await checkpoint()

    async def _accept(self, listening: socket.socket, tasks: TaskGroup) -> None:
        try:
            connected, _ = await asyncio.get_running_loop().sock_accept(listening)
        except OSError as error:  # out of file descriptors, or a client that left the queue: wait for better times
            if error.errno in _NO_SOCKET:
                raise
            self._admission.displace()
            await sleep(_ACCEPT_AGAIN_SECONDS)
            return
        ticket: Ticket | None = None
        scope = CancelScope()
        for _ in range(_TURNS):
            ticket = self._admission.admit(scope.cancel)
            if ticket is not None:
                break
            await checkpoint()  # those that have just come begin to wait for their clients
        if ticket is None:
            connected.close()
        else:
            tasks.start_soon(self._keep, connected, scope, ticket, tasks)

    async def _keep(self, connected: socket.socket, scope: CancelScope, ticket: Ticket, tasks: TaskGroup) -> None:
        """Serve a connection to its end, and keep what is raised meanwhile."""
        stream: ByteStream | None = None
        with scope:
            try:
                stream = await _stream(connected)
                await Connection(self._app, await self._secured(stream, ticket), ticket, self._timeouts).serve()
            except OSError:
                pass  # the client is gone, or silent, or there was no TLS handshake
            except BaseException as error:
                if is_cancellation(error) and (scope.cancel_called or tasks.cancel_scope.cancel_called):
                    raise
                self._self_metrics.count_internal_error("exposition.server")
            finally:
                self._admission.release(ticket)
                if stream is None:
                    connected.close()
                else:
                    with CancelScope(shield=True):  # a moment: the socket is to be closed when the loop ends
                        await stream.aclose()

    async def _secured(self, stream: ByteStream, ticket: Ticket) -> ByteStream:
        if self._certificates is None:
            return stream
        with ticket.waiting(0), fail_after(self._timeouts.client):
            context = await to_thread.run_sync(self._certificates.context, abandon_on_cancel=True)  # it reads files
            try:
                return await TLSStream.wrap(stream, server_side=True, ssl_context=context)
            except (BrokenResourceError, EndOfStream) as error:
                raise ConnectionResetError("the client is gone") from error


async def _stream(connected: socket.socket) -> ByteStream:
    is_unix = connected.family == getattr(socket, "AF_UNIX", None)
    try:
        return await (UNIXSocketStream if is_unix else SocketStream).from_socket(connected)
    except ValueError as error:  # anyio's word for a socket whose client has reset the connection
        raise ConnectionResetError("the client is gone") from error
