"""One HTTP/1.1 connection, served by an ASGI application: h11 between a stream and the application.

*Rules.* Every wait for the client has a limit, so that a silent or dripping one holds a connection for a bounded time
(Slowloris), and while the server waits for a request a newcomer may have the connection. A refusal closes it: only a
scraper is worth a kept connection. A request's head is bounded by h11, its body is never kept. A client that has closed
its side may still read (RFC 9112, section 9.6), so only a failed write says that it is gone.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias, final
from urllib.parse import unquote

import h11
from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    TypedAttributeLookupError,
    fail_after,
    move_on_after,
    sleep_forever,
)
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from asyncmetrics.exposition.admission import STALLED_SECONDS, Ticket
from asyncmetrics.typing import ASGIApp, Message, Scope

__all__ = ("Connection", "Timeouts")

_MAX_HEAD = 32 * 1024
_MAX_SKIPPED_BODY = 64 * 1024
_LINGER_SECONDS = 1.0
_NO_LINGER = struct.pack("ii", 1, 0)

Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class Timeouts(NamedTuple):
    """How long a client may take, in seconds: for a request or a chunk, and between two requests."""

    client: float
    keep_alive: float


@final
class Connection:
    """A client's connection: requests one after the other, each handed to ``app``."""

    def __init__(self, app: ASGIApp, stream: ByteStream, ticket: Ticket, timeouts: Timeouts) -> None:
        self._app = app
        self._wire = _Wire(stream)
        self._ticket = ticket
        self._timeouts = timeouts
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)

    async def serve(self) -> None:
        """Answer requests until the client closes or errs. Raises `OSError` if it is gone, or silent for too long."""
        try:
            await self._serve()
        finally:
            if self._http.our_state is h11.SEND_BODY:
                self._break_off()

    async def _serve(self) -> None:
        try:
            silence = self._timeouts.client
            while await self._exchange(silence):
                silence = self._timeouts.keep_alive
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
        if self._http.our_state not in {h11.SEND_RESPONSE, h11.SEND_BODY}:
            with self._ticket.waiting(0), move_on_after(_LINGER_SECONDS):
                await self._wire.end()

    async def _exchange(self, silence_seconds: float) -> bool:
        """Answer one request; return whether another may follow."""
        with self._ticket.waiting(0):
            request = await self._request(silence_seconds)
        if not isinstance(request, h11.Request):
            return False
        _check_framing(request)
        bodiless = self._http.they_are_waiting_for_100_continue  # and will go on waiting: nobody wants their body
        await self._app(self._wire.scope(request), _Body().receive, self._send)
        if bodiless or self._http.our_state is not h11.DONE:
            return False
        with self._ticket.waiting(0):
            return await self._ready_again()

    async def _request(self, silence_seconds: float) -> Event:
        event: Event = self._http.next_event()
        if event is not h11.NEED_DATA:
            return event
        with fail_after(silence_seconds):
            await self._read()
        with fail_after(self._timeouts.client):
            return await self._event()

    async def _event(self) -> Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._read()
        return event

    async def _read(self) -> None:
        self._http.receive_data(await self._wire.read())

    async def _ready_again(self) -> bool:
        await self._skip_body()
        if self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _skip_body(self) -> None:
        left = _MAX_SKIPPED_BODY
        with fail_after(self._timeouts.client):
            while left > 0 and self._http.their_state is h11.SEND_BODY:
                event = await self._event()
                left -= len(event.data) if isinstance(event, h11.Data) else 0

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP/1.1 request, unless an answer is under way."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await self._send({"type": "http.response.start", "status": error.error_status_hint, "headers": headers})
        await self._send({"type": "http.response.body"})

    def _break_off(self) -> None:
        """See to it that half a body is not taken for a whole one, where only the connection's end ends it."""
        if self._http.their_http_version != b"1.1":
            self._wire.reset_at_close()

    async def _send(self, message: Message) -> None:
        data = b"".join(self._http.send(event) or b"" for event in _events(message))
        with self._ticket.waiting(STALLED_SECONDS), fail_after(self._timeouts.client):
            await self._wire.write(data)


@final
class _Wire:
    """A stream whose end is ``b""`` and whose faults are `OSError`."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        try:
            return await self._stream.receive()
        except EndOfStream:
            return b""
        except (BrokenResourceError, ClosedResourceError) as error:
            raise ConnectionResetError("the client is gone") from error

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (BrokenResourceError, ClosedResourceError) as error:
            raise ConnectionResetError("the client is gone") from error

    async def end(self) -> None:
        """Say that nothing follows, and take what the client still sends: to close before would reset the connection.

        The client might lose the answer with it (RFC 9112, section 9.6).
        """
        if isinstance(self._stream, TLSStream):
            with suppress(BrokenResourceError, ClosedResourceError, EndOfStream):  # a client need not say goodbye
                await self._stream.aclose()
            return
        await self._stream.send_eof()
        left = _MAX_SKIPPED_BODY
        while left > 0 and (data := await self.read()):
            left -= len(data)

    def reset_at_close(self) -> None:
        """Have the client see an error when the stream is closed."""
        connected = self._stream.extra(SocketAttribute.raw_socket)  # noqa: S610  # anyio's extra, not Django's
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)

    def scope(self, request: h11.Request) -> Scope:
        """Return the ASGI scope of a request."""
        target, _, query = request.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": request.http_version.decode("ascii"),
            "method": request.method.decode("ascii"),
            "scheme": "https" if isinstance(self._stream, TLSStream) else "http",
            "path": unquote(target.decode("latin-1")),
            "raw_path": target,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": self._address(SocketAttribute.remote_address),
            "server": self._address(SocketAttribute.local_address),
        }

    def _address(self, which: Any) -> tuple[str, int | None] | None:
        """Return an address as ASGI has it: a Unix socket's has no port, and a client may be gone or have none."""
        try:
            address = self._stream.extra(which)  # noqa: S610  # as above
        except (OSError, TypedAttributeLookupError):
            return None
        if isinstance(address, str):
            return (address, None) if address else None
        return tuple(address[:2])


@final
class _Body:
    """A request's body as the application sees it: empty, and then nothing happens until the application is done."""

    def __init__(self) -> None:
        self._is_received = False

    async def receive(self) -> Message:
        if self._is_received:
            await sleep_forever()
        self._is_received = True
        return {"type": "http.request", "body": b"", "more_body": False}


def _check_framing(request: h11.Request) -> None:
    """Refuse a request with two lengths, by which it could be smuggled past a proxy (RFC 9112, section 6.1)."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding", error_status_hint=400)


def _events(message: Message) -> list[h11.Event]:
    """Return what an ASGI message means in HTTP."""
    if message["type"] == "http.response.start":
        status: int = message["status"]
        headers = [*message["headers"], (b"date", formatdate(usegmt=True).encode())]
        if status >= HTTPStatus.BAD_REQUEST:
            headers.append((b"connection", b"close"))
        return [h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())]
    events: list[h11.Event] = []
    if body := message.get("body", b""):
        events.append(h11.Data(data=body))
    if not message.get("more_body", False):
        events.append(h11.EndOfMessage())
    return events
