"""The sizes of bodies and the time to the first byte: the probe that measures them, and their metrics."""

from __future__ import annotations

from time import perf_counter
from typing import Any, final

from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.labels import RequestLabels
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.middleware.options import MiddlewareOptions
from asyncmetrics.typing import Message, Receive, Scope, Send

__all__ = ("BodyMetrics", "BodyProbe")

_MOST_DIGITS = 18  # of a Content-Length that is believed: an exabyte
_BODILESS = frozenset({204, 304})  # RFC 9110, sections 15.3.5 and 15.4.5


@final
class BodyMetrics:
    """The histograms of bodies that the options ask for."""

    def __init__(self, factory: MetricFactory, options: MiddlewareOptions) -> None:
        def make_histogram(name: str, documentation: str) -> Histogram:
            return factory.make_histogram(name, documentation, "method", "route")

        self._first_byte = self._request = self._response = None
        if options["first_byte"]:
            name = "http_server_time_to_first_byte_seconds"
            self._first_byte = make_histogram(name, "Time from the request to the first byte of a response's body.")
        if options["body_sizes"]:
            name = "http_server_request_body_size_bytes"
            self._request = make_histogram(name, "Size of request bodies, as received.")
            name = "http_server_response_body_size_bytes"
            self._response = make_histogram(name, "Size of response bodies, as sent.")

    def record(self, probe: BodyProbe, scope: Scope, started: float, labels: tuple[str, ...]) -> None:
        """Observe what a probe measured of a request that began at ``started``."""
        if self._first_byte is not None and probe.first_byte is not None:
            self._first_byte.find(labels).observe(probe.first_byte - started)
        if self._request is not None and self._response is not None:
            self._request.find(labels).observe(probe.get_request_bytes(scope))
            self._response.find(labels).observe(probe.get_response_bytes(scope))


@final
class BodyProbe:
    """Pass messages between one exchange and its server, and measure their bodies."""

    __slots__ = ("_headers", "_labels", "_receive", "_received", "_send", "_sent", "_status", "first_byte")

    def __init__(self, labels: RequestLabels, receive: Receive, send: Send) -> None:
        self._labels = labels
        self._receive = receive
        self._send = send
        self._received: int | None = None
        self._sent = 0
        self._headers: Any = None  # of the response
        self._status: int | None = None
        self.first_byte: float | None = None

    async def receive(self) -> Message:
        """Pass the next event on."""
        message = await self._receive()
        try:
            if message["type"] == "http.request":
                self._received = (self._received or 0) + len(message.get("body") or b"")
        except Exception:  # noqa: BLE001  # the middleware passes a malformed message on unchanged
            self._labels.count_failure("body")
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on. The time is taken before: a slow client may take long to receive the whole message."""
        at = perf_counter()
        await self._send(message)
        try:
            self._note(message, at)
        except Exception:  # noqa: BLE001  # as in `receive`
            self._labels.count_failure("body")

    def get_request_bytes(self, scope: Scope) -> int:
        """Return the size of the request's body: as received, or as announced if the application did not read it."""
        return _read_content_length(scope.get("headers")) or 0 if self._received is None else self._received

    def get_response_bytes(self, scope: Scope) -> int:
        """Return the size of the response's body; 0 where HTTP has no body, even if the application sent one."""
        return 0 if scope.get("method") == "HEAD" or self._status in _BODILESS else self._sent

    def _note(self, message: Message, at: float) -> None:
        match message["type"]:
            case "http.response.start":
                self._status = message.get("status")
                self._headers = message.get("headers")
                return
            case "http.response.body":
                size = len(message.get("body") or b"")
            case "http.response.zerocopysend":
                count = message.get("count")
                size = (_read_content_length(self._headers) or 0) if count is None else count
            case "http.response.pathsend":
                size = _read_content_length(self._headers) or 0
            case _:
                return
        self._sent += size
        if size and self.first_byte is None:
            self.first_byte = at


def _read_content_length(headers: Any) -> int | None:
    """Return the length that headers announce; their pairs may be lists, and their values any bytes."""
    for name, value in headers or ():
        if name.lower() == b"content-length":
            digits = value.strip(b" \t")
            if len(digits) <= _MOST_DIGITS and digits.isdigit():
                return int(digits)
    return None
