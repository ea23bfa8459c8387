"""One WebSocket connection as it passes, and the metrics that are made of it.

*Rules.* As for HTTP: messages pass unchanged, nothing is awaited but what is awaited anyway, and what goes wrong in
here is counted and never reaches the application. A connection ends once: when either side has closed it, when its
refusal has been sent, or when the application returns or raises.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple, final

from asyncmetrics.middleware.active import ActiveConnections, shared
from asyncmetrics.middleware.exceptions import parts, was_given_up
from asyncmetrics.middleware.label_values import bound_close_code, bound_status
from asyncmetrics.middleware.labels import Labelling, RequestRoute
from asyncmetrics.middleware.metrics import Families
from asyncmetrics.middleware.scope import EXCEPTION_KEY
from asyncmetrics.typing import Message, Receive, Scope, Send

__all__ = ("Connection", "WebSocketMetrics")

_ACCEPTED = "accepted"
_ABANDONED = "abandoned"
_NORMAL = 1000
_NO_CODE = 1005
_VANISHED = 1006
# Closed as meant, gone away, closed without a code (a browser's plain close()), server restarting: nobody's fault.
_NO_FAULTS = frozenset({1000, 1001, 1005, 1012})


@final
class WebSocketMetrics:
    """The metrics of WebSocket that the middleware of one registry share."""

    def __init__(self, labelling: Labelling, families: Families) -> None:
        self.labelling = labelling
        self.duration = families.histogram(
            "websocket_server_connection_duration_seconds",
            "Time from the handshake to the end of a connection.",
            "route",
            "outcome",
            "close_code",
        )
        self.messages = families.counter(
            "websocket_server_messages_total", "Messages over WebSocket, by direction.", "route", "direction"
        )
        self.message_bytes = families.counter(
            "websocket_server_message_bytes_total", "Bytes of their payloads, text as UTF-8.", "route", "direction"
        )
        self.exceptions = families.counter(
            "websocket_server_exceptions_total",
            "Exceptions that left the application in a connection.",
            "route",
            "type",
        )
        names = labelling.names("route")
        self.active = shared(ActiveConnections, labelling.registry, names, self._seen).members

    def _seen(self) -> list[tuple[str, ...]]:
        """Return the labels of the connections that have ended: without how they did, and what the context said."""
        extras = len(self.labelling.extras)
        return [(route, *others[:extras]) for route, _, _, *others in self.duration.label_values()]


class _Direction(NamedTuple):
    """The two counters of one direction of one connection."""

    messages: Any
    message_bytes: Any

    def take(self, message: Message) -> None:
        self.messages.inc()
        text = message.get("text")
        if text is None:
            self.message_bytes.inc(len(message.get("bytes") or b""))
        else:
            self.message_bytes.inc(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))


@final
class Connection:
    """One connection: what the middleware gives the application instead of ``receive`` and ``send``."""

    __slots__ = (
        "_accepted",
        "_disconnected",
        "_ended",
        "_from_client",
        "_metrics",
        "_receive",
        "_refusal",
        "_scope",
        "_send",
        "_to_client",
        "method",
        "route",
        "started",
    )

    def __init__(self, metrics: WebSocketMetrics, scope: Scope, receive: Receive, send: Send) -> None:
        self.method = ""
        self.route = RequestRoute(metrics.labelling, scope)
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._from_client: _Direction | None = None
        self._to_client: _Direction | None = None
        self._accepted = False
        self._refusal = 500  # what servers answer for an application that neither accepts nor refuses
        self._disconnected = False
        self._ended = False
        self.started = perf_counter()
        metrics.active[self] = None  # the last of all: from here on a scrape in another thread may read it

    async def receive(self) -> Message:
        """Pass the next event on."""
        message = await self._receive()
        try:
            self._note_received(message)
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            self._metrics.labelling.failed("websocket")
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        try:
            await self._send(message)
        except OSError:  # the client is gone, and whoever sent this is told
            self._gone(_VANISHED)
            raise
        try:
            self._note_sent(message)
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            self._metrics.labelling.failed("websocket")

    def returned(self) -> None:
        """Note that the application is done; a server then drops what it has left open, without a close code."""
        answered = self._scope.get(EXCEPTION_KEY)
        if answered is not None:
            self._metrics.labelling.count_exception(self._metrics.exceptions, self._scope, answered)
        if self._accepted:
            self._end(_ACCEPTED, _VANISHED)
        elif self._disconnected:
            self._end(_ABANDONED)
        else:
            self._end(f"rejected_{bound_status(self._refusal)}")

    def raised(self, error: BaseException) -> None:
        """Note what left the application: how a client closed, or that it did, is no exception."""
        error = self._scope.pop(EXCEPTION_KEY, error)  # what a framework has told of before is this, or its cause
        try:
            faults = [part for part in parts(error) if not self._is_no_fault(part)]
        except Exception:  # noqa: BLE001  # one that cannot even be looked at
            self._metrics.labelling.failed("exception")
            faults = [error]
        if faults:
            self._metrics.labelling.count_exception(self._metrics.exceptions, self._scope, error)
        self.returned()

    def _is_no_fault(self, error: BaseException) -> bool:
        gone = self._disconnected and isinstance(error, OSError)
        if _is_disconnect(error):
            self._gone(getattr(error, "code", None))
        elif was_given_up(error) or gone:
            self._disconnected = True
        else:
            return False
        return True

    def labels_so_far(self) -> tuple[str, ...]:
        """Return what is known of the route by now, and the values of the user's own labels."""
        labelling = self._metrics.labelling
        return labelling.route(self._scope), *labelling.extra_values(self._scope)

    def _note_received(self, message: Message) -> None:
        match message["type"]:
            case "websocket.receive":
                if self._from_client is None:
                    self._from_client = self._direction("received")
                self._from_client.take(message)
            case "websocket.disconnect":
                self._gone(message.get("code"))

    def _note_sent(self, message: Message) -> None:
        match message["type"]:
            case "websocket.send":
                if self._to_client is None:
                    self._to_client = self._direction("sent")
                self._to_client.take(message)
            case "websocket.accept":
                self._accepted = True
            case "websocket.close" if self._accepted:
                self._end(_ACCEPTED, message.get("code") or _NORMAL)
            case "websocket.close":
                self._end("rejected_403")
            case "websocket.http.response.start":
                self._refusal = message.get("status") or 0
            case "websocket.http.response.body" if not message.get("more_body"):
                self._end(f"rejected_{bound_status(self._refusal)}")

    def _gone(self, code: int | None) -> None:
        self._disconnected = True
        if self._accepted:
            self._end(_ACCEPTED, code or _NO_CODE)
        else:
            self._end(_ABANDONED)

    def _direction(self, name: str) -> _Direction:
        """Bind the counters of a direction, once the router has run."""
        metrics = self._metrics
        extra = metrics.labelling.extra_values(self._scope)
        labels = (metrics.labelling.final_route(self._scope), name, *extra)
        return _Direction(metrics.messages.labels(*labels), metrics.message_bytes.labels(*labels))

    def _end(self, outcome: str, code: int | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        seconds = perf_counter() - self.started
        metrics = self._metrics
        metrics.active.pop(self, None)
        try:
            route = metrics.labelling.final_route(self._scope)
            self.route.settle(route)
            close_code = "" if code is None else bound_close_code(code)
            extra = metrics.labelling.extra_values(self._scope)
            metrics.duration.labels(route, outcome, close_code, *extra).observe(seconds)
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            metrics.labelling.failed("record")


def _is_disconnect(error: BaseException) -> bool:
    """Tell whether this is Starlette's way to say that the client has closed the connection, as clients may."""
    return type(error).__name__ == "WebSocketDisconnect" and getattr(error, "code", None) in _NO_FAULTS
