"""One HTTP exchange as it passes, and the metrics that are made of it.

*Rules.* Messages pass unchanged, in order, with nothing awaited but what the server and the application await anyway.
What goes wrong in here is counted and never reaches the application. An exchange ends once: when the last message of
its response has been sent, or when the application returns or raises without one.

*Theory of operation.* The route is not known when a request begins, so the requests that are under way are kept in a
dict and grouped at the time of a scrape by what the router has written into their scopes by then.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TypeAlias, final
from weakref import WeakKeyDictionary

from asyncmetrics.errors import is_cancellation
from asyncmetrics.metrics import Counter, Histogram
from asyncmetrics.middleware._names import method_label, status_label
from asyncmetrics.middleware._routes import PENDING, UNMATCHED, RouteResolver
from asyncmetrics.model.families import GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.typing import Message, Receive, Scope, Send

__all__ = ("Exchange", "HttpMetrics", "RouteCallable")

RouteCallable: TypeAlias = Callable[[Scope], "str | None"]

_MAX_CHILDREN = 10_000
_CLIENT_CLOSED_REQUEST = 499  # nginx's code for it: RFC 9110 has none
_BODY = "http.response.body"
_START = "http.response.start"
_TRAILERS = "http.response.trailers"
# The other messages that may carry the last of a response, and the key that says whether more is to come.
_ENDINGS = {_TRAILERS: "more_trailers", "http.response.zerocopysend": "more_body", "http.response.pathsend": ""}
# What frameworks raise when they find that the client has gone.
_DISCONNECTS = frozenset({"ClientDisconnect", "ClientDisconnected"})


class _ActiveRequests:
    """The exchanges under way on one registry, and their collector."""

    def __init__(self, duration: Histogram) -> None:
        self.exchanges: dict[Exchange, None] = {}
        self._duration = duration

    def describe(self) -> list[Metric]:
        """Return the two families without samples."""
        return list(self._families())

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests are under way, and the age of the oldest, by what is known of their routes."""
        now = perf_counter()
        active: Tally[tuple[str, str]] = Tally()
        oldest: dict[str, float] = {}
        for method, route, _ in self._duration.label_values():
            active[method, route] = 0
        for exchange in list(self.exchanges):
            route = exchange.route_so_far()
            active[exchange.method, route] += 1
            oldest[route] = max(oldest.get(route, 0.0), now - exchange.started)
        counts, ages = self._families()
        for labels, count in active.items():
            counts.add_metric(labels, count)
        for route, age in oldest.items():
            ages.add_metric([route], age)
        yield counts
        yield ages

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "http_server_active_requests", "HTTP requests under way, by route.", labels=["method", "route"]
            ),
            GaugeMetricFamily(
                "http_server_oldest_active_request_seconds",
                "Age of the oldest HTTP request under way, by route.",
                labels=["route"],
            ),
        )


_ACTIVE: WeakKeyDictionary[CollectorRegistry, _ActiveRequests] = WeakKeyDictionary()


@final
class HttpMetrics:
    """The metrics that the middleware of one registry share, and how one middleware finds its routes."""

    def __init__(
        self, registry: CollectorRegistry, buckets: Iterable[float | str], route: RouteCallable | None
    ) -> None:
        self.registry = registry
        self.duration = Histogram(
            "http_server_request_duration_seconds",
            "Time from the request to the end of its response.",
            ["method", "route", "status"],
            registry=registry,
            buckets=buckets,
            max_children=_MAX_CHILDREN,
            exist_ok=True,
        )
        self.exceptions = Counter(
            "http_server_exceptions_total",
            "Exceptions that left the application, background tasks included.",
            ["route", "type"],
            registry=registry,
            max_children=_MAX_CHILDREN,
            exist_ok=True,
        )
        self.active = self._active().exchanges
        self._resolver = RouteResolver()
        self._route = route

    def route(self, scope: Scope) -> str:
        """Return the route of a request as far as it is known; `PENDING` until a router has seen it."""
        try:
            chosen = None if self._route is None else self._route(scope)
            return self._resolver.resolve(scope) if chosen is None else str(chosen)
        except Exception:  # noqa: BLE001  # the user's callable, or framework internals that moved
            return self.failed("route")

    def final_route(self, scope: Scope) -> str:
        """Return the route of a request that will not be routed any more."""
        route = self.route(scope)
        if route is not PENDING:
            return route
        try:
            return self._resolver.resolve_copied(scope)
        except Exception:  # noqa: BLE001  # framework internals that moved
            return self.failed("route")

    def failed(self, where: str) -> str:
        """Count the exception that is being handled as one of this middleware's own; return `UNMATCHED`."""
        try:
            self.registry.count_event("internal_errors", f"middleware.{where}")
        except Exception:  # noqa: BLE001, S110  # there is nowhere left to tell it
            pass
        return UNMATCHED

    def _active(self) -> _ActiveRequests:
        active = _ACTIVE.get(self.registry)
        if active is None:
            active = _ActiveRequests(self.duration)
            self.registry.register(active)
            _ACTIVE[self.registry] = active
        return active


@final
class Exchange:
    """One request and its response: what the middleware gives the application instead of ``receive`` and ``send``."""

    __slots__ = (
        "_disconnected",
        "_ended",
        "_metrics",
        "_receive",
        "_scope",
        "_send",
        "_status",
        "_trailers",
        "method",
        "started",
    )

    def __init__(self, metrics: HttpMetrics, scope: Scope, receive: Receive, send: Send) -> None:
        self.method = method_label(scope["method"])
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._trailers = False
        self._disconnected = False
        self._ended = False
        metrics.active[self] = None
        self.started = perf_counter()

    async def receive(self) -> Message:
        """Pass the next event on; a disconnect counts only before the response is complete."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._ended:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on, and end the exchange once its last one has gone."""
        kind = message["type"]
        if kind == _START:
            self._status = _CLIENT_CLOSED_REQUEST if self._disconnected else message.get("status")
            self._trailers = bool(message.get("trailers"))
        try:
            await self._send(message)
        except OSError:  # the client is gone, and whoever sent this is told
            self._disconnected = True
            if kind == _START:
                self._status = None
            raise
        if kind == _BODY:
            if not message.get("more_body") and not self._trailers:
                self._end()
        elif kind in _ENDINGS and not message.get(_ENDINGS[kind]):
            self._end()

    def returned(self) -> None:
        """Note that the application is done."""
        if self._ended:
            return
        if self._status is None:
            self._status = _CLIENT_CLOSED_REQUEST if self._disconnected else 500
        self._end()

    def raised(self, error: BaseException) -> None:
        """Note what left the application: after the response is complete it came from a background task."""
        gone = self._disconnected and isinstance(error, OSError)
        if is_cancellation(error) or gone or type(error).__name__ in _DISCONNECTS:
            self._disconnected = True
        else:
            self._count(error)
            if self._status is None:
                self._status = 500
        self.returned()

    def route_so_far(self) -> str:
        """Return what is known of the route by now."""
        return self._metrics.route(self._scope)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        seconds = perf_counter() - self.started
        metrics = self._metrics
        metrics.active.pop(self, None)
        try:
            route = metrics.final_route(self._scope)
            metrics.duration.labels(self.method, route, status_label(self._status or 0)).observe(seconds)
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            metrics.failed("record")

    def _count(self, error: BaseException) -> None:
        try:
            self._metrics.exceptions.labels(self._metrics.final_route(self._scope), type(error).__name__).inc()
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            self._metrics.failed("record")
