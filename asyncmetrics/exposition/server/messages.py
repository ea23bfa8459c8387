"""Between HTTP/1.1 and ASGI: a request of h11 as a scope and an empty body, and ASGI's messages as events of h11."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import final
from urllib.parse import unquote

import h11
from anyio import sleep_forever

from asyncmetrics.exposition.server.wire import Wire
from asyncmetrics.typing import Message, Scope

__all__ = ("EmptyBody", "check_framing", "make_events", "make_scope")


def check_framing(request: h11.Request) -> None:
    """Refuse a request with two lengths, by which it could be smuggled past a proxy (RFC 9112, section 6.1)."""
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding", error_status_hint=400)


def make_scope(request: h11.Request, wire: Wire) -> Scope:
    """Return the ASGI scope of ``request``, which has come over ``wire``."""
    target, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "scheme": "https" if wire.is_tls else "http",
        "path": unquote(target.decode("latin-1")),
        "raw_path": target,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": wire.get_remote_address(),
        "server": wire.get_local_address(),
    }


@final
class EmptyBody:
    """The body of every request as the application receives it: empty, since no body is kept."""

    def __init__(self) -> None:
        self._is_received = False

    async def receive(self) -> Message:
        """Return an empty body once, and then wait until the application has ended and cancels this."""
        if self._is_received:
            await sleep_forever()
        self._is_received = True
        return {"type": "http.request", "body": b"", "more_body": False}


def make_events(message: Message) -> list[h11.Event]:
    """Return the events of h11 that send an ASGI ``message``."""
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
