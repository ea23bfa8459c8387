"""The sizes of bodies and the time to the first byte: what a `BodyProbe` sees pass, and the metrics made of it."""

from __future__ import annotations

from time import perf_counter
from typing import Any, final

from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.labels import Labelling
from asyncmetrics.middleware.metrics import Families
from asyncmetrics.typing import Message, Receive, Scope, Send

__all__ = ("BodyMetrics", "BodyProbe")

_MOST_DIGITS = 18  # of a Content-Length that is believed: an exabyte
_BODILESS = frozenset({204, 304})  # RFC 9110, sections 15.3.5 and 15.4.5


@final
class BodyMetrics:
    """Those of the optional histograms of bodies that were asked for."""

    def __init__(self, families: Families, *, first_byte: bool, body_sizes: bool) -> None:
        def histogram(name: str, documentation: str) -> Histogram:
            return families.histogram(name, documentation, "method", "route")

        self._first_byte = self._request = self._response = None
        if first_byte:
            name = "http_server_time_to_first_byte_seconds"
            self._first_byte = histogram(name, "Time from the request to the first byte of a response's body.")
        if body_sizes:
            name = "http_server_request_body_size_bytes"
            self._request = histogram(name, "Size of request bodies, as received.")
            name = "http_server_response_body_size_bytes"
            self._response = histogram(name, "Size of response bodies, as sent.")

    def record(self, probe: BodyProbe, scope: Scope, started: float, labels: tuple[str, ...]) -> None:
        """Take down what a probe saw of a request that began at ``started``."""
        if self._first_byte is not None and probe.first_byte is not None:
            self._first_byte.labels(*labels).observe(probe.first_byte - started)
        if self._request is not None and self._response is not None:
            self._request.labels(*labels).observe(probe.request_bytes(scope))
            self._response.labels(*labels).observe(probe.response_bytes(scope))


@final
class BodyProbe:
    """Stand between one exchange and its server, and see its bodies pass."""

    __slots__ = ("_labelling", "_promised", "_receive", "_received", "_send", "_sent", "_status", "first_byte")

    def __init__(self, labelling: Labelling, receive: Receive, send: Send) -> None:
        self._labelling = labelling
        self._receive = receive
        self._send = send
        self._received: int | None = None
        self._sent = 0
        self._promised: int | None = None
        self._status: int | None = None
        self.first_byte: float | None = None

    async def receive(self) -> Message:
        """Pass the next event on."""
        message = await self._receive()
        try:
            if message["type"] == "http.request":
                self._received = (self._received or 0) + len(message.get("body") or b"")
        except Exception:  # noqa: BLE001  # a server's odd message is the application's to judge
            self._labelling.failed("body")
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on; its first byte leaves before a slow client has taken the whole of it."""
        at = perf_counter()
        await self._send(message)
        try:
            self._note(message, at)
        except Exception:  # noqa: BLE001  # an application's odd message is the server's to judge
            self._labelling.failed("body")

    def request_bytes(self, scope: Scope) -> int:
        """Return the size of the request's body: what was received, or what was announced if nobody read it."""
        return _content_length(scope.get("headers")) or 0 if self._received is None else self._received

    def response_bytes(self, scope: Scope) -> int:
        """Return how many bytes of body were sent; none where HTTP has none, whatever the application sent."""
        return 0 if scope.get("method") == "HEAD" or self._status in _BODILESS else self._sent

    def _note(self, message: Message, at: float) -> None:
        match message["type"]:
            case "http.response.start":
                self._status = message.get("status")
                self._promised = _content_length(message.get("headers"))
                return
            case "http.response.body":
                size = len(message.get("body") or b"")
            case "http.response.zerocopysend":
                count = message.get("count")
                size = (self._promised or 0) if count is None else count
            case "http.response.pathsend":
                size = self._promised or 0
            case _:
                return
        self._sent += size
        if size and self.first_byte is None:
            self.first_byte = at


def _content_length(headers: Any) -> int | None:
    """Return the length that headers announce; their pairs may be lists, and their values anything."""
    for name, value in headers or ():
        if name.lower() == b"content-length":
            digits = value.strip(b" \t")
            if len(digits) <= _MOST_DIGITS and digits.isdigit():
                return int(digits)
    return None
