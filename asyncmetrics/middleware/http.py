"""HTTP requests and their responses, and their metrics. `asyncmetrics.middleware.exchange` has the rules.

A `BodyProbe` stands between the exchange and its server if an option asks for the sizes or times of bodies. Without
one, a message costs nothing for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from time import perf_counter
from typing import Any, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Histogram
from asyncmetrics.metrics.calls import Calls
from asyncmetrics.metrics.totals import RequestTotals
from asyncmetrics.middleware.active import ActiveRequests, get_shared
from asyncmetrics.middleware.bodies import BodyMetrics, BodyProbe
from asyncmetrics.middleware.client_totals import ClientTotals
from asyncmetrics.middleware.exceptions import is_abandoned
from asyncmetrics.middleware.exchange import Exchange
from asyncmetrics.middleware.labels import RequestLabels, RequestRoute
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.middleware.options import MiddlewareOptions
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ON_LOOP_KEY
from asyncmetrics.middleware.streams import StreamMetrics, is_event_stream, may_be_event_stream
from asyncmetrics.model.http_values import METHODS, STATUSES, limit_method, limit_status
from asyncmetrics.typing import SCRAPE_KEY, Message, Receive, Scope, Send

__all__ = ("HttpExchange", "HttpMetrics")


_OTHER = 0  # no status of HTTP
_CLIENT_CLOSED_REQUEST = 499  # nginx's code for it: RFC 9110 has none
_BODY = "http.response.body"
_START = "http.response.start"
_TRAILERS = "http.response.trailers"
# The other messages that may be the last of a response, and the key that says whether more follow.
_LAST_MESSAGES = {_TRAILERS: "more_trailers", "http.response.zerocopysend": "more_body", "http.response.pathsend": ""}
# The exceptions that frameworks raise when they find that the client has disconnected.
_DISCONNECTS = frozenset({"ClientDisconnect", "ClientDisconnected", "ClientDisconnectedError"})


@final
class HttpMetrics:
    """The metrics of HTTP, which all middleware of one registry share, with the labels of one middleware."""

    def __init__(self, labels: RequestLabels, factory: MetricFactory, options: MiddlewareOptions) -> None:
        self.labels = labels
        duration = factory.make_histogram(
            "http_server_request_duration_seconds",
            "Time from the request to the end of its response.",
            "method",
            "route",
            "status",
        )
        self.streams = StreamMetrics(factory, options)
        self.stream_after = self.streams.after
        exceptions = factory.make_counter(
            "http_server_exceptions_total",
            "Exceptions that left the application, background tasks included.",
            "route",
            "type",
        )
        self.bodies = None
        if options["first_byte"] or options["body_sizes"]:
            self.bodies = BodyMetrics(factory, options)
        self.background = None
        if options["background"]:
            self.background = factory.make_histogram(
                "http_server_background_duration_seconds",
                "Time from the end of a response to the application's return.",
                "route",
            )
        self.on_loop = None
        if options["on_loop"]:
            self.on_loop = factory.make_histogram(
                "http_server_on_loop_duration_seconds",
                "Time that the event loop ran the code of a request, until the application's return.",
                "route",
            )
        self.totals = ClientTotals(factory, labels.registry) if options["client_totals"] else None
        self.is_plain = self.bodies is None and self.totals is None and labels.is_plain
        """Whether a request is measured by its duration alone, without labels of the user."""
        names = labels.list_names("method", "route")
        ended = self._list_ended, self._list_ended_streams
        active = get_shared(ActiveRequests, labels.registry, options, names, *ended)
        self.active = active.members
        self.calls = Calls(duration, exceptions, active.counts)
        self.find_duration = duration.find

    def _list_ended(self) -> Iterator[tuple[str, ...]]:
        """Yield the labels of ended requests and streams, without their statuses and context labels."""
        yield from self._cut(self.calls.durations)
        yield from self._list_ended_streams()

    def _list_ended_streams(self) -> Iterator[tuple[str, ...]]:
        return self._cut(self.streams.durations)

    def _cut(self, durations: Histogram) -> Iterator[tuple[str, ...]]:
        extras = len(self.labels.extra_names)
        for method, route, _, *others in durations.label_values():
            yield (method, route, *others[:extras])


@final
class HttpExchange(Exchange[HttpMetrics]):
    """One request and its response."""

    totals: RequestTotals  # neither this nor the next one is set unless an option asks for it
    _probe: BodyProbe
    _status: int | None
    _trailers: bool
    _responding: float  # when the response started, by ``perf_counter``; set before `_start`
    # None before the start of the response, then its message. Once its headers are read: whether it is an event stream.
    _start: Message | bool | None

    __slots__ = ("_probe", "_responding", "_start", "_status", "_trailers", "totals")

    @staticmethod
    def make(metrics: HttpMetrics, scope: Scope, receive: Receive, send: Send) -> HttpExchange:
        """Return the exchange of a request that begins."""
        labels = metrics.labels
        self = HttpExchange()
        # The statements of Exchange.begin, without its call: benchmarks/middleware.py.
        try:
            self.method = METHODS[scope["method"]]
        except (KeyError, TypeError) as error:
            pass_interruption(error)
            self.method = limit_method(scope.get("method"))
        self.route = route = RequestRoute()
        route.labels = labels
        route.scope = self._scope = scope
        self._metrics = metrics
        self._receive = receive
        self._send = send
        self._disconnected = self._trailers = False
        self._status = self._start = None
        self.ended = 0.0
        if not metrics.is_plain:
            if labels.context_names:
                route.names, route.newest, self._context = labels.context_names, None, None
            if metrics.bodies is not None:
                self._probe_bodies(metrics)
            if metrics.totals is not None:
                self.totals = RequestTotals()
        self.started = perf_counter()
        metrics.active[self] = None
        return self

    def _probe_bodies(self, metrics: HttpMetrics) -> None:
        self._probe = probe = BodyProbe(metrics.labels, self._receive, self._send)
        self._receive, self._send = probe.receive, probe.send

    async def receive(self) -> Message:
        """Pass the next event on; a disconnect counts only before the response is complete."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.ended:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on; the last message of the response ends the exchange."""
        kind = message["type"]
        was_disconnected = self._disconnected
        try:
            await self._send(message)
        except BaseException as error:
            self._note_failed_send(message, error, was_disconnected=was_disconnected)
            raise
        if kind == _BODY:
            # message.get("more_body") takes 25 ns longer where there is no such key, as in most messages.
            if not self._trailers and not ("more_body" in message and message["more_body"]):  # noqa: RUF019
                # Only a disconnect before the last message counts: see `_note_failed_send`.
                if was_disconnected:
                    self._end("client_closed")
                else:
                    self._end()
            elif self._start.__class__ is not bool:
                self._read_start()
                self.keep_span()
        elif kind == _START:  # a start that the server did not reject
            self._responding = perf_counter()
            self._start = message
            try:  # message.get("status") takes longer
                status = message["status"]
            except KeyError:
                status = _OTHER
            self._status = _CLIENT_CLOSED_REQUEST if was_disconnected else status
            if "trailers" in message:
                self._trailers = bool(message["trailers"])
        elif (
            kind in _LAST_MESSAGES
            and not message.get(_LAST_MESSAGES[kind])
            and (kind == _TRAILERS or not self._trailers)
        ):
            self._end("client_closed" if was_disconnected else "completed")

    def _note_failed_send(self, message: Message, error: BaseException, *, was_disconnected: bool) -> None:
        self.keep_span()
        if isinstance(error, OSError):  # the client has disconnected; the application gets the error
            self._disconnected = True
        elif was_disconnected or self._trailers or not is_abandoned(error):
            return
        # hypercorn reports a disconnect while it sends the last message, for which Starlette cancels the sending.
        elif message["type"] == _BODY and not message.get("more_body"):
            self._end()

    def _finish(self) -> None:
        """End the exchange if no response has ended it; record what is known at the end of the application only."""
        scope, metrics = self._scope, self._metrics
        if EXCEPTION_KEY in scope and (self._start is None or _is_failure(self._status)):
            self._count_faults(scope[EXCEPTION_KEY])
        late: list[tuple[Histogram, float]] = []
        if self.ended:
            if metrics.background is not None:
                late.append((metrics.background, perf_counter() - self.ended))
        else:
            if self._start is None:
                self._status = _CLIENT_CLOSED_REQUEST if self._disconnected else 500
            else:
                self._read_start()
            self._end("client_closed" if self._disconnected else "failed")
        if metrics.on_loop is not None and ON_LOOP_KEY in scope:
            late.append((metrics.on_loop, scope.pop(ON_LOOP_KEY).end()))
        if late and SCRAPE_KEY not in scope:
            self._record_late(late)

    def is_stream(self, now: float) -> bool:
        """Return whether the response is a stream at ``now``; a scrape calls this in any thread."""
        self._read_start()
        return self._start is not None and (self._start is True or now - self._responding > self._metrics.stream_after)

    def _read_start(self) -> None:
        """Replace the start of the response by whether its headers say that it is an event stream."""
        start, metrics = self._start, self._metrics
        if start is None or isinstance(start, bool):
            return
        try:
            self._start = metrics.streams.is_enabled and is_event_stream(start)
        except Exception:  # noqa: BLE001  # headers in odd shapes
            self._start = False
            metrics.labels.count_failure("stream")

    def read_labels(self) -> tuple[str, ...]:
        """Return the route as far as it is known, and the values of the extra labels; nothing for a scrape."""
        return () if SCRAPE_KEY in self._scope else Exchange.read_labels(self)

    def _is_no_fault(self, error: BaseException) -> bool:
        return Exchange._is_no_fault(self, error) or type(error).__name__ in _DISCONNECTS

    def _end(self, outcome: str = "completed") -> None:
        if self.ended:
            return
        self.ended = now = perf_counter()
        metrics = self._metrics
        scope = self._scope
        labels = metrics.labels
        try:
            del metrics.active[self]
            # What `Exchange._end` does, without the calls of functions: benchmarks/middleware.py.
            try:
                final = labels.resolve_final(scope)
            except Exception:  # noqa: BLE001  # see RequestLabels.find_route
                final = labels.count_failure("route")
            route = self.route
            route.final = final
            if labels.has_exemplars:
                self._prepare_asking()
            route.scope = None
            if SCRAPE_KEY in scope:
                return
            start: Any = self._start
            if start.__class__ is dict and may_be_event_stream(start):  # a body in one message
                self._read_start()
            seconds = now - self.started
            if self._start is True or (seconds > metrics.stream_after and self.is_stream(now)):
                self._record_stream(final, outcome, seconds)
                return
            try:
                status = STATUSES[self._status]  # type: ignore[index]  # it may be anything
            except (KeyError, TypeError) as error:
                pass_interruption(error)
                status = limit_status(self._status)
            values: tuple[str, ...] = (self.method, final, status)
            if metrics.is_plain:
                metrics.find_duration(values).observe(seconds)
                return
            extra = labels.fixed_extras
            if extra is None:
                extra = labels.read_extras(scope)
            if labels.context_names:
                extra += self._read_context()
            metrics.find_duration(values + extra).observe(seconds)
            if metrics.totals is not None:
                metrics.totals.record(self.totals, final, extra)
            if metrics.bodies is not None:
                metrics.bodies.record(self._probe, scope, self.started, (self.method, final, *extra))
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            labels.count_failure("record")

    def _prepare_asking(self) -> None:
        """Keep what the metrics ask for exemplars, before the scope is released."""
        self._within = copy_context()
        if self._metrics.labels.keeps_headers:
            self.route.headers = self._scope.get("headers", ())

    def _record_stream(self, route: str, outcome: str, seconds: float) -> None:
        metrics = self._metrics
        extra = metrics.labels.read_extras(self._scope) + self._read_context()
        metrics.streams.durations.find((self.method, route, outcome, *extra)).observe(seconds)
        if metrics.totals is not None:
            self.totals.is_open = False  # the calls of hours would distort those of a request
        if metrics.bodies is not None:
            metrics.bodies.record(self._probe, self._scope, self.started, (self.method, route, *extra))

    def _record_late(self, late: Iterable[tuple[Histogram, float]]) -> None:
        """Observe what is known when the application has returned."""
        labels = self._metrics.labels
        try:
            values = (self.route(), *labels.read_extras(self._scope), *self._read_context())
            for histogram, seconds in late:
                histogram.find(values).observe(seconds)
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            labels.count_failure("record")


def _is_failure(status: object) -> bool:
    """Return whether the application did not choose this status: 5xx, or a 499, which replaces any status."""
    return isinstance(status, int) and status >= _CLIENT_CLOSED_REQUEST
