"""One HTTP/1.1 connection, served by an ASGI application: h11 between an asyncio stream and the application.

*Rules.* Every wait for the client has a limit, so that a silent or dripping one holds a connection for a bounded time
(Slowloris); a request's head is bounded by h11, its body is never kept. A client that has closed its side may still
read (RFC 9112, section 9.6), so only a failed write says that it is gone.
"""

from __future__ import annotations

import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeAlias, final
from urllib.parse import unquote

import h11
from anyio import fail_after, move_on_after, sleep_forever

from asyncmetrics.typing import ASGIApp, Message, Scope

__all__ = ("KEEP_ALIVE_SECONDS", "Connection")

# Longer than the usual scrape intervals (15 s to 1 min), so that a scraper keeps its connection.
KEEP_ALIVE_SECONDS = 150.0
_MAX_HEAD = 32 * 1024
_MAX_SKIPPED_BODY = 64 * 1024
_READ = 64 * 1024
_CLOSING_SECONDS = 1.0
_log = logging.getLogger("asyncmetrics")

Event: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


@final
class Connection:
    """A client's connection: requests one after the other, each handed to ``app``."""

    def __init__(self, app: ASGIApp, reader: StreamReader, writer: StreamWriter, timeout_seconds: float) -> None:
        self._app = app
        self._reader = reader
        self._writer = writer
        self._timeout = timeout_seconds
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)

    async def serve(self) -> None:
        """Answer requests until the client closes, errs, or is silent for too long; then close."""
        try:
            await self._serve()
            with move_on_after(self._timeout):
                self._writer.close()
                await self._writer.wait_closed()
        except OSError:
            pass  # the client is gone, or was silent for too long (TimeoutError)
        except Exception:  # noqa: BLE001  # one connection must not cost the others theirs
            _log.exception("a response broke off")
        finally:
            await self._abort()

    async def _serve(self) -> None:
        try:
            silence = self._timeout
            while await self._exchange(silence):
                silence = KEEP_ALIVE_SECONDS
        except h11.RemoteProtocolError as error:
            await self._refuse(error)

    async def _abort(self) -> None:
        connected = self._writer.get_extra_info("socket")
        if connected is not None and connected.fileno() != -1:  # asyncio's transports do not bear abort() after the end
            self._writer.transport.abort()
        # The transport lets go of its socket at a later turn of the loop, which may be about to end.
        with move_on_after(_CLOSING_SECONDS, shield=True), suppress(OSError):
            await self._writer.wait_closed()

    async def _exchange(self, silence_seconds: float) -> bool:
        """Answer one request; return whether another may follow."""
        request = await self._request(silence_seconds)
        if not isinstance(request, h11.Request):
            return False
        bodiless = self._http.they_are_waiting_for_100_continue  # and will go on waiting: nobody wants their body
        await self._app(_scope(request, self._writer), _Body().receive, self._send)
        return not bodiless and await self._ready_again()

    async def _request(self, silence_seconds: float) -> Event:
        event: Event = self._http.next_event()
        if event is not h11.NEED_DATA:
            return event
        with fail_after(silence_seconds):
            await self._read()
        with fail_after(self._timeout):
            return await self._event()

    async def _event(self) -> Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._read()
        return event

    async def _read(self) -> None:
        self._http.receive_data(await self._reader.read(_READ))

    async def _ready_again(self) -> bool:
        await self._skip_body()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _skip_body(self) -> None:
        left = _MAX_SKIPPED_BODY
        with fail_after(self._timeout):
            while left > 0 and self._http.their_state is h11.SEND_BODY:
                event = await self._event()
                left -= len(event.data) if isinstance(event, h11.Data) else 0

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is no HTTP/1.1 request, unless an answer is under way."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": error.error_status_hint, "headers": headers})
        await self._send({"type": "http.response.body"})

    async def _send(self, message: Message) -> None:
        self._write(message)
        with fail_after(self._timeout):
            await self._writer.drain()

    def _write(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"date", formatdate(usegmt=True).encode())]
            reason = HTTPStatus(message["status"]).phrase.encode()
            self._put(h11.Response(status_code=message["status"], headers=headers, reason=reason))
            return
        if body := message.get("body", b""):
            self._put(h11.Data(data=body))
        if not message.get("more_body", False):
            self._put(h11.EndOfMessage())

    def _put(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")


@final
class _Body:
    """A request's body as the application sees it: empty, and then nothing happens until the application is done."""

    def __init__(self) -> None:
        self._told = False

    async def receive(self) -> Message:
        if self._told:
            await sleep_forever()
        self._told = True
        return {"type": "http.request", "body": b"", "more_body": False}


def _scope(request: h11.Request, writer: StreamWriter) -> Scope:
    target, _, query = request.target.partition(b"?")
    address: Callable[[str], Any] = writer.get_extra_info
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "scheme": "http" if address("sslcontext") is None else "https",
        "path": unquote(target.decode("latin-1")),
        "raw_path": target,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": address("peername")[:2],
        "server": address("sockname")[:2],
    }
