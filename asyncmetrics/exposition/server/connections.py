"""The connections of a server: accepting them, displacing idle ones, and containing their errors.

*Rules.*

1. Contain every error of a connection in its task: it must not end another connection.
2. Treat clients that fail, are silent or go away as no errors. Count every other error, and log the first.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from ssl import SSLContext, SSLError
from typing import cast, final

from anyio import (
    BrokenResourceError,
    CancelScope,
    EndOfStream,
    fail_after,
    sleep,
    to_thread,
    wait_readable,
)
from anyio.abc import ByteStream, SocketStream, TaskGroup, UNIXSocketStream
from anyio.lowlevel import checkpoint
from anyio.streams.tls import TLSStream

from asyncmetrics.errors import is_cancellation
from asyncmetrics.exposition.admission import Admission, Ticket
from asyncmetrics.exposition.server.connection import Connection, Timeouts
from asyncmetrics.exposition.server.tls import Certificates, Handshake
from asyncmetrics.loops import is_for_program, is_task_cancelled
from asyncmetrics.registry import Collectable
from asyncmetrics.registry.collectables import find_self_metrics
from asyncmetrics.typing import ASGIApp

__all__ = ("Connections",)

# Without file descriptors, accepting fails at once: a loop without a pause would take the whole processor.
_RETRY_SECONDS = 0.1
_SOCKET_GONE_ERRNOS = {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}
# Accepting more before the loop passes on would displace connections that have not read what their clients have sent:
# 8 at a time, or fewer where 8 are more than an eighth of the limit.
_ACCEPTED_AT_ONCE = 8
# A connection can be displaced once it waits for its client, a few passes of the loop after it was accepted. Twenty
# passes are more than it needs, and take an idle loop less than a millisecond.
_ADMISSION_ATTEMPTS = 20


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
        self._self_metrics = find_self_metrics(registry)
        self._admission = Admission(max_connections)

    async def accept_forever(self, listening: socket.socket, tasks: TaskGroup) -> None:
        """Accept connections until cancelled, and serve each in a task of ``tasks``.

        Raises `OSError` if ``listening`` is no socket any more.
        """
        while True:
            for _ in range(min(_ACCEPTED_AT_ONCE, max(1, self._admission.limit // _ACCEPTED_AT_ONCE))):
                await self._accept(listening, tasks)
            await checkpoint()

    async def _accept(self, listening: socket.socket, tasks: TaskGroup) -> None:
        try:
            connected = await _accept_connection(listening)
        except OSError as error:  # no file descriptors, or a client that has left the backlog
            if error.errno in _SOCKET_GONE_ERRNOS:
                raise
            self._admission.displace()
            await sleep(_RETRY_SECONDS)
            return
        ticket: Ticket | None = None
        scope = CancelScope()
        for _ in range(_ADMISSION_ATTEMPTS):
            ticket = self._admission.admit(scope.cancel)
            if ticket is not None:
                break
            await checkpoint()
        if ticket is None:
            connected.close()
        else:
            tasks.start_soon(self._serve, connected, scope, ticket, tasks)

    async def _serve(self, connected: socket.socket, scope: CancelScope, ticket: Ticket, tasks: TaskGroup) -> None:
        """Serve a connection to its end, and contain its errors."""
        stream: ByteStream | None = None
        with scope:
            try:
                stream = await _open_stream(connected)
                await Connection(self._app, await self._wrap_stream(stream, ticket), ticket, self._timeouts).serve()
            except OSError:
                pass  # the client has gone away or is silent, or the TLS handshake failed
            except BaseException as error:
                if is_cancellation(error) and await _is_cancelled(scope, tasks.cancel_scope):
                    raise
                if is_for_program(error):
                    raise
                self._self_metrics.count_internal_error("exposition.server")
            finally:
                self._admission.release(ticket)
                if stream is None:
                    connected.close()
                else:
                    with CancelScope(shield=True):  # for a moment: the loop must not end before the socket is closed
                        await stream.aclose()

    async def _wrap_stream(self, stream: ByteStream, ticket: Ticket) -> ByteStream:
        """Return ``stream``, or TLS over it if there are certificates."""
        if self._certificates is None:
            return stream
        with ticket.track_wait(0), fail_after(self._timeouts.client):
            # In a thread, as it reads files.
            context = await to_thread.run_sync(self._certificates.get_context, abandon_on_cancel=True)
            handshake = Handshake(context)
            try:
                return await TLSStream.wrap(stream, server_side=True, ssl_context=cast(SSLContext, handshake))
            except (BrokenResourceError, EndOfStream) as error:
                raise ConnectionResetError("the client is gone") from error
            except SSLError:
                if alert := handshake.read_alert():
                    with suppress(BrokenResourceError):
                        await stream.send(alert)
                raise


async def _is_cancelled(*scopes: CancelScope) -> bool:
    """Return whether a cancellation ends this task; if not, the application has raised it."""
    if any(scope.cancel_called for scope in scopes) or is_task_cancelled():
        return True
    # Before Python 3.11 a task does not know who cancels it. When its loop ends, the scope of the group is cancelled
    # only once the group's own task has run.
    with CancelScope(shield=True):
        await checkpoint()
    return any(scope.cancel_called for scope in scopes)


async def _accept_connection(listening: socket.socket) -> socket.socket:
    while True:
        try:
            connected, _ = listening.accept()
        except (BlockingIOError, InterruptedError):
            await wait_readable(listening)
        else:
            connected.setblocking(False)
            return connected


async def _open_stream(connected: socket.socket) -> ByteStream:
    is_unix = connected.family == getattr(socket, "AF_UNIX", None)
    try:
        return await (UNIXSocketStream if is_unix else SocketStream).from_socket(connected)
    except ValueError as error:  # anyio raises it for a socket whose client has reset the connection
        raise ConnectionResetError("the client is gone") from error
