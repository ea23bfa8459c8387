"""WebSocket connections and their metrics. `asyncmetrics.middleware.exchange` has the rules.

A connection ends when either side closes it, or when the whole of its rejection has been sent.
"""

from __future__ import annotations

from typing import NamedTuple, final

from asyncmetrics.metrics.calls import Calls
from asyncmetrics.middleware.active import ActiveConnections, get_shared
from asyncmetrics.middleware.exchange import Exchange
from asyncmetrics.middleware.labels import RequestLabels
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.middleware.options import MiddlewareOptions
from asyncmetrics.middleware.scope import EXCEPTION_KEY
from asyncmetrics.model.http_values import limit_close_code, limit_status
from asyncmetrics.typing import Incrementer, Message, Receive, Scope, Send

__all__ = ("WebSocketExchange", "WebSocketMetrics")

_ACCEPTED = "accepted"
_ABANDONED = "abandoned"
# Close codes, RFC 6455, section 7.4.1.
_NORMAL = 1000
_NO_CODE = 1005
_VANISHED = 1006
# Normal, going away, without a code (a browser's plain close()), service restart: no fault of the application.
_NO_FAULTS = frozenset({1000, 1001, 1005, 1012})


@final
class WebSocketMetrics:
    """The metrics of WebSocket, which all middleware of one registry share, with the labels of one middleware."""

    def __init__(self, labels: RequestLabels, factory: MetricFactory, options: MiddlewareOptions) -> None:
        self.labels = labels
        duration = factory.make_histogram(
            "websocket_server_connection_duration_seconds",
            "Time from the handshake to the end of a connection.",
            "route",
            "outcome",
            "close_code",
        )
        self.messages = factory.make_counter(
            "websocket_server_messages_total", "WebSocket messages, by direction.", "route", "direction"
        )
        self.message_bytes = factory.make_counter(
            "websocket_server_message_bytes_total",
            "Payload bytes of WebSocket messages, text as UTF-8.",
            "route",
            "direction",
        )
        exceptions = factory.make_counter(
            "websocket_server_exceptions_total",
            "Exceptions that left the application in a connection.",
            "route",
            "type",
        )
        names = labels.list_names("route")
        active = get_shared(ActiveConnections, labels.registry, options, names, self._list_ended)
        self.active = active.members
        self.calls = Calls(duration, exceptions, active.counts)

    def _list_ended(self) -> list[tuple[str, ...]]:
        """Return the labels of ended connections, without their outcomes, close codes and context labels."""
        extras = len(self.labels.extra_names)
        return [(route, *others[:extras]) for route, _, _, *others in self.calls.durations.label_values()]


class _Direction(NamedTuple):
    """The two counters of one direction of one connection."""

    messages: Incrementer
    message_bytes: Incrementer
    context: tuple[str, ...]

    def count_message(self, message: Message) -> None:
        self.messages.inc()
        text = message.get("text")
        if text is None:
            self.message_bytes.inc(len(message.get("bytes") or b""))
        else:
            self.message_bytes.inc(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))


@final
class WebSocketExchange(Exchange[WebSocketMetrics]):
    """One connection, from its handshake on."""

    _outcome: str  # with its close code, set by `_close`
    _code: int | None
    _from_client: _Direction | None
    _to_client: _Direction | None
    _accepted: bool
    _refusal: int

    __slots__ = ("_accepted", "_code", "_from_client", "_outcome", "_refusal", "_to_client")

    @staticmethod
    def make(metrics: WebSocketMetrics, scope: Scope, receive: Receive, send: Send) -> WebSocketExchange:
        """Return the exchange of a connection that begins."""
        self = WebSocketExchange()
        self._from_client = None
        self._to_client = None
        self._accepted = False
        self._refusal = 500  # a server's response for an application that neither accepts nor rejects
        self.begin(metrics, "", scope, receive, send)
        return self

    async def receive(self) -> Message:
        """Pass the next event on, and count it."""
        message = await self._receive()
        try:
            self._note_received(message)
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            self._metrics.labels.count_failure("websocket")
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, and count it."""
        try:
            await self._send(message)
        except OSError:  # the client has disconnected; the application gets the error
            self._disconnect(_VANISHED)
            raise
        try:
            self._note_sent(message)
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            self._metrics.labels.count_failure("websocket")

    def _finish(self) -> None:
        """End a connection that is still open: the server drops it now, without a close code."""
        error = self._scope.get(EXCEPTION_KEY)
        if error is not None:
            self._count_exception(error)
        if self._accepted:
            self._close(_ACCEPTED, _VANISHED)
        elif self._disconnected:
            self._close(_ABANDONED)
        else:
            self._close(f"rejected_{limit_status(self._refusal)}")

    def _is_no_fault(self, error: BaseException) -> bool:
        """Return whether ``error`` is no fault; such an exception also says that the connection is closed."""
        if _is_disconnect(error):
            self._disconnect(getattr(error, "code", None))
        elif Exchange._is_no_fault(self, error):
            self._disconnected = True
        else:
            return False
        return True

    def _note_received(self, message: Message) -> None:
        match message["type"]:
            case "websocket.receive":
                self._from_client = self._find_direction("received", self._from_client)
                self._from_client.count_message(message)
            case "websocket.disconnect":
                self._disconnect(message.get("code"))

    def _note_sent(self, message: Message) -> None:
        match message["type"]:
            case "websocket.send":
                self._to_client = self._find_direction("sent", self._to_client)
                self._to_client.count_message(message)
            case "websocket.accept":
                self._accepted = True
                self.keep_span()
            case "websocket.close" if self._accepted:
                self._close(_ACCEPTED, message.get("code") or _NORMAL)
            case "websocket.close":
                self._close("rejected_403")
            case "websocket.http.response.start":
                self._refusal = message.get("status") or 0
            case "websocket.http.response.body" if not message.get("more_body"):
                self._close(f"rejected_{limit_status(self._refusal)}")

    def _disconnect(self, code: int | None) -> None:
        """End the connection: the client has closed it with ``code``."""
        self._disconnected = True
        if self._accepted:
            self._close(_ACCEPTED, code or _NO_CODE)
        else:
            self._close(_ABANDONED)

    def _find_direction(self, name: str, known: _Direction | None) -> _Direction:
        """Return the counters of a direction for a message: ``known``, unless the context labels have changed.

        The router has run before the first message, so the route is final.
        """
        metrics = self._metrics
        context: tuple[str, ...] = ()
        if metrics.labels.context_names:
            context = (
                metrics.labels.convert_context(self.route.read_bindings()) if self._context is None else self._context
            )
        if known is not None and known.context == context:
            return known
        extra = metrics.labels.read_extras(self._scope)
        labels = (metrics.labels.find_final_route(self._scope), name, *extra, *context)
        return _Direction(metrics.messages.labels(*labels), metrics.message_bytes.labels(*labels), context)

    def _close(self, outcome: str, code: int | None = None) -> None:
        """End the connection, unless it has ended with another outcome before."""
        if not self.ended:
            self._outcome = outcome
            self._code = code
            self._end()

    def _record(self, route: str, seconds: float) -> None:
        close_code = "" if self._code is None else limit_close_code(self._code)
        extra = self._metrics.labels.read_extras(self._scope)
        durations = self._metrics.calls.durations
        durations.labels(route, self._outcome, close_code, *extra, *self._read_context()).observe(seconds)


def _is_disconnect(error: BaseException) -> bool:
    """Return whether this is Starlette's exception for a client that has closed the connection without an error."""
    return type(error).__name__ == "WebSocketDisconnect" and getattr(error, "code", None) in _NO_FAULTS
