"""One HTTP exchange as it passes, and the metrics that are made of it.

*Rules.* Messages pass unchanged, in order, with nothing awaited but what the server and the application await anyway.
What goes wrong in here is counted and never reaches the application. An exchange ends once: when the last message of
its response has been sent, or when the application returns or raises without one.

*Theory of operation.* Between the exchange and its server stands a `BodyProbe` if bodies are to be measured, so that
nobody else pays for it. The route is settled when the response has ended, which is before background tasks run.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import final

from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.active import ActiveRequests, shared
from asyncmetrics.middleware.bodies import BodyMetrics, BodyProbe
from asyncmetrics.middleware.exceptions import parts, was_given_up
from asyncmetrics.middleware.label_values import bound_method, bound_status
from asyncmetrics.middleware.labels import Labelling, RequestRoute
from asyncmetrics.middleware.metrics import Families
from asyncmetrics.middleware.scope import EXCEPTION_KEY
from asyncmetrics.typing import SCRAPE_KEY, Message, Receive, Scope, Send

__all__ = ("Exchange", "HttpMetrics")


_CLIENT_CLOSED_REQUEST = 499  # nginx's code for it: RFC 9110 has none
_BODY = "http.response.body"
_START = "http.response.start"
_TRAILERS = "http.response.trailers"
# The other messages that may carry the last of a response, and the key that says whether more is to come.
_ENDINGS = {_TRAILERS: "more_trailers", "http.response.zerocopysend": "more_body", "http.response.pathsend": ""}
# What frameworks raise when they find that the client has gone.
_DISCONNECTS = frozenset({"ClientDisconnect", "ClientDisconnected", "ClientDisconnectedError"})


@final
class HttpMetrics:
    """The metrics of HTTP that the middleware of one registry share, and how one middleware labels them."""

    def __init__(
        self,
        labelling: Labelling,
        families: Families,
        *,
        first_byte: bool = False,
        body_sizes: bool = False,
        background: bool = False,
    ) -> None:
        self.labelling = labelling
        self.duration = families.histogram(
            "http_server_request_duration_seconds",
            "Time from the request to the end of its response.",
            "method",
            "route",
            "status",
        )
        self.exceptions = families.counter(
            "http_server_exceptions_total",
            "Exceptions that left the application, background tasks included.",
            "route",
            "type",
        )
        self.bodies = None
        if first_byte or body_sizes:
            self.bodies = BodyMetrics(families, first_byte=first_byte, body_sizes=body_sizes)
        self.background = None
        if background:
            self.background = families.histogram(
                "http_server_background_duration_seconds",
                "Time from the end of a response to the application's return.",
                "route",
            )
        names = labelling.names("method", "route")
        self.active = shared(ActiveRequests, labelling.registry, names, self._seen).members

    def _seen(self) -> Iterator[tuple[str, ...]]:
        """Yield the labels of the requests that have ended: without their statuses, and what the context said."""
        extras = len(self.labelling.extras)
        for method, route, _, *others in self.duration.label_values():
            yield (method, route, *others[:extras])


@final
class Exchange:
    """One request and its response: what the middleware gives the application instead of ``receive`` and ``send``."""

    __slots__ = (
        "_disconnected",
        "_ended",
        "_metrics",
        "_probe",
        "_receive",
        "_scope",
        "_send",
        "_status",
        "_trailers",
        "method",
        "route",
        "started",
    )

    def __init__(self, metrics: HttpMetrics, scope: Scope, receive: Receive, send: Send) -> None:
        self.method = bound_method(scope.get("method"))
        self._metrics = metrics
        self._scope = scope
        self._probe = None
        if metrics.bodies is not None:
            self._probe = probe = BodyProbe(metrics.labelling, receive, send)
            receive, send = probe.receive, probe.send
        self._receive = receive
        self._send = send
        self.route = RequestRoute(metrics.labelling, scope)
        self._status: int | None = None
        self._trailers = False
        self._disconnected = False
        self._ended = 0.0
        self.started = perf_counter()
        metrics.active[self] = None  # the last of all: from here on a scrape in another thread may read it

    async def receive(self) -> Message:
        """Pass the next event on; a disconnect counts only before the response is complete."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._ended:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, and end the exchange once its last one has gone."""
        kind = message["type"]
        gone = self._disconnected
        try:
            await self._send(message)
        except OSError:  # the client is gone, and whoever sent this is told
            self._disconnected = True
            raise
        if kind == _BODY:
            if not message.get("more_body") and not self._trailers:
                self._end()
        elif kind == _START:  # one that the server did not refuse
            self._status = _CLIENT_CLOSED_REQUEST if gone else message.get("status") or 0
            self._trailers = bool(message.get("trailers"))
        elif kind in _ENDINGS and not message.get(_ENDINGS[kind]) and (kind == _TRAILERS or not self._trailers):
            self._end()

    def returned(self) -> None:
        """Note that the application is done."""
        if EXCEPTION_KEY in self._scope and _is_failure(self._status):
            self._count_unless_no_fault(self._scope[EXCEPTION_KEY])
        if self._ended:
            if self._metrics.background is not None and SCRAPE_KEY not in self._scope:
                self._count_background(self._metrics.background)
            return
        if self._status is None:
            self._status = _CLIENT_CLOSED_REQUEST if self._disconnected else 500
        self._end()

    def raised(self, error: BaseException) -> None:
        """Note what left the application: after the response is complete it came from a background task."""
        # What a framework has told of before is this, or what this came of: Litestar raises one of its own instead.
        if not self._count_unless_no_fault(self._scope.pop(EXCEPTION_KEY, error)):
            self._disconnected = True
        self.returned()

    def labels_so_far(self) -> tuple[str, ...]:
        """Return what is known of the route by now, and the values of the user's own labels; nothing for a scrape."""
        if SCRAPE_KEY in self._scope:
            return ()
        labelling = self._metrics.labelling
        return labelling.route(self._scope), *labelling.extra_values(self._scope)

    def _count_unless_no_fault(self, error: BaseException) -> bool:
        """Count an exception, unless all there is to it is that the client has gone; tell whether it was counted."""
        try:
            faults = not all(map(self._is_no_fault, parts(error)))
        except Exception:  # noqa: BLE001  # one that cannot even be looked at
            self._metrics.labelling.failed("exception")
            faults = True
        if faults:
            self._metrics.labelling.count_exception(self._metrics.exceptions, self._scope, error)
        return faults

    def _is_no_fault(self, error: BaseException) -> bool:
        gone = self._disconnected and isinstance(error, OSError)
        return gone or was_given_up(error) or type(error).__name__ in _DISCONNECTS

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = now = perf_counter()
        metrics = self._metrics
        metrics.active.pop(self, None)
        labelling = metrics.labelling
        try:
            scope = self._scope
            route = labelling.final_route(scope)
            self.route.settle(route)
            if SCRAPE_KEY in scope:
                return
            extra = labelling.extra_values(scope) if labelling.fixed is None else labelling.fixed
            status = bound_status(self._status)
            # Without a star where it may be: to unpack nothing costs as much as to find the child.
            labels = metrics.duration.labels
            child = labels(self.method, route, status, *extra) if extra else labels(self.method, route, status)
            child.observe(now - self.started)
            if self._probe is not None and metrics.bodies is not None:
                metrics.bodies.record(self._probe, scope, self.started, (self.method, route, *extra))
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            labelling.failed("record")

    def _count_background(self, background: Histogram) -> None:
        labelling = self._metrics.labelling
        try:
            seconds = perf_counter() - self._ended
            background.labels(self.route(), *labelling.extra_values(self._scope)).observe(seconds)
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            labelling.failed("record")


def _is_failure(status: object) -> bool:
    """Tell whether a response is no answer that an application chose: of a 499 nobody knows what it would have been."""
    return status is None or (isinstance(status, int) and status >= _CLIENT_CLOSED_REQUEST)
