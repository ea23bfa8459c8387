"""One HTTP/1.1 connection, served by an ASGI application: h11 between the wire and the application.

*Rules.*

1. Limit every wait for the client, so that a client that is silent or drips its bytes (Slowloris) holds a connection
   for a bounded time.
2. While the server waits for a request, let a new connection displace this one.
3. Close the connection after a refusal: only a scraper is worth a connection that is kept.
4. Let h11 bound a request's head, and never keep its body.
5. Take only a failed write for a client that has gone away: one that has closed its side may still read (RFC 9112,
   section 9.6).

*Theory of operation.*

1. The connection is idle. The server waits for a request: for the first one as long as a client may take, for a later
   one as long as a connection is kept.
2. The request's head has arrived. The application is called and its messages are sent.
3. The response is sent. The rest of the request's body is skipped, up to 64 KiB, and the connection is idle again.
4. The client has closed, the request was refused, or its body was not skipped. The server announces the end, waits for
   the client's own for up to a second, and closes.
5. A response was broken off. The server closes, in a way that the client takes for an error.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, final

import h11
from anyio import fail_after, move_on_after
from anyio.abc import ByteStream

from asyncmetrics.exposition.admission import STALLED_SECONDS, Ticket
from asyncmetrics.exposition.server.messages import EmptyBody, check_framing, make_events, make_scope
from asyncmetrics.exposition.server.wire import MAX_SKIPPED_BYTES, Wire
from asyncmetrics.typing import ASGIApp, Message

__all__ = ("Connection", "Timeouts")

# Twice h11's default, as proxies add their own cookies and headers.
_MAX_HEAD_BYTES = 32 * 1024
# A client that is alive closes within a round trip; a connection must not be held for a dead one.
_LINGER_SECONDS = 1.0

Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class Timeouts(NamedTuple):
    """How long a client may take, in seconds: for a request or a chunk, and between two requests."""

    client: float
    keep_alive: float


@final
class Connection:
    """A client's connection, whose requests are handed to ``app`` one after the other."""

    def __init__(self, app: ASGIApp, stream: ByteStream, ticket: Ticket, timeouts: Timeouts) -> None:
        self._app = app
        self._wire = Wire(stream)
        self._ticket = ticket
        self._timeouts = timeouts
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)

    async def serve(self) -> None:
        """Answer requests until the client closes or errs. Raises `OSError` if it has gone away or is silent."""
        try:
            await self._serve_requests()
        finally:
            if self._http.our_state is h11.SEND_BODY:
                self._mark_broken_response()

    async def _serve_requests(self) -> None:
        try:
            silence_seconds = self._timeouts.client
            while await self._serve_request(silence_seconds):
                silence_seconds = self._timeouts.keep_alive
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
        if self._http.our_state not in {h11.SEND_RESPONSE, h11.SEND_BODY}:
            with self._ticket.track_wait(0), move_on_after(_LINGER_SECONDS):
                await self._wire.end()

    async def _serve_request(self, silence_seconds: float) -> bool:
        """Answer one request; return whether another may follow."""
        with self._ticket.track_wait(0):
            request = await self._read_request(silence_seconds)
        if not isinstance(request, h11.Request):
            return False
        check_framing(request)
        # Such a client waits for a 100 before it sends its body. It gets none, as no body is needed.
        is_body_held_back = self._http.they_are_waiting_for_100_continue
        await self._app(make_scope(request, self._wire), EmptyBody().receive, self._send)
        if is_body_held_back or self._http.our_state is not h11.DONE:
            return False
        with self._ticket.track_wait(0):
            return await self._start_next_cycle()

    async def _read_request(self, silence_seconds: float) -> Event:
        event: Event = self._http.next_event()
        if event is not h11.NEED_DATA:
            return event
        with fail_after(silence_seconds):
            await self._read()
        with fail_after(self._timeouts.client):
            return await self._read_event()

    async def _read_event(self) -> Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._read()
        return event

    async def _read(self) -> None:
        self._http.receive_data(await self._wire.read())

    async def _start_next_cycle(self) -> bool:
        """Make the connection idle again; return False if the rest of the request's body is too long for that."""
        await self._discard_body()
        if self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _discard_body(self) -> None:
        left = MAX_SKIPPED_BYTES
        with fail_after(self._timeouts.client):
            while left > 0 and self._http.their_state is h11.SEND_BODY:
                event = await self._read_event()
                left -= len(event.data) if isinstance(event, h11.Data) else 0

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer a request that is not HTTP/1.1, unless a response has started."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await self._send({"type": "http.response.start", "status": error.error_status_hint, "headers": headers})
        await self._send({"type": "http.response.body"})

    def _mark_broken_response(self) -> None:
        """Reset the connection for an HTTP/1.0 client, which would take half a body for a whole one.

        Its body ends with the connection, while HTTP/1.1 has chunks and a last one.
        """
        if self._http.their_http_version != b"1.1":
            self._wire.reset_at_close()

    async def _send(self, message: Message) -> None:
        data = b"".join(self._http.send(event) or b"" for event in make_events(message))
        with self._ticket.track_wait(STALLED_SECONDS), fail_after(self._timeouts.client):
            await self._wire.write(data)
