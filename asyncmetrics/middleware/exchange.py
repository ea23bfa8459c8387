"""The base of HTTP requests and WebSocket connections: how they begin, which exceptions count, how they end.

*Rules.*

- Pass messages on unchanged and in order. Await only what the server and the application await anyway.
- Count each error of the middleware, and let none reach the application.
- End an exchange once. It ends when its last message has passed, or when the application returns or raises.

*Theory of operation.*

1. `Exchange.begin`: the exchange is active; gauges read its labels from another thread at any time from here on.
2. ``receive`` and ``send`` pass messages; the router writes the route into the scope. The last message ends the
   exchange: it is no longer active, its route is final, and its duration is recorded. Background tasks run after this.
3. The application raises: `fail` counts the exception, unless it is no fault of the application. Then, or when it
   returns, `finish` ends the exchange unless step 2 did.

A middleware for traces inside of this one has left its span in step 3. If the metrics ask for the span, step 2
therefore keeps a copy of the context of the application, in which step 3 runs. A function of the program is asked in
the present context instead, since the application may have set variables after its last message.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextvars import Context, copy_context
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from asyncmetrics.metrics.calls import Calls
from asyncmetrics.middleware.exceptions import flatten_group, is_abandoned
from asyncmetrics.middleware.labels import RequestLabels, RequestRoute
from asyncmetrics.middleware.scope import EXCEPTION_KEY
from asyncmetrics.typing import Receive, Scope, Send

__all__ = ("Exchange", "ExchangeMetrics")

M = TypeVar("M", bound="ExchangeMetrics")


class ExchangeMetrics(Protocol):
    """The metrics that both kinds of exchange have, and the labels of the middleware."""

    labels: RequestLabels
    calls: Calls

    @property
    def active(self) -> MutableMapping[Any, None]:
        """The exchanges that have not ended."""
        ...


class Exchange(Generic[M]):
    """One request or connection. The application gets its ``receive`` and ``send`` instead of the server's.

    The methods that raise `NotImplementedError` are abstract. The class is no ``abc.ABC`` and has no ``__init__``: an
    instance takes 30 ns less without them (benchmarks/middleware.py).
    """

    method: str
    """The method label; empty for a websocket."""
    route: RequestRoute
    """The route, for the context."""
    started: float
    """When it began, by ``perf_counter``."""
    ended: float
    """When it ended, by ``perf_counter``; 0.0 before."""

    # The values of the context labels; None before they are read. Not set if the middleware has no context labels.
    _context: tuple[str, ...] | None
    _within: Context | None  # that of the application; not set unless the metrics ask for exemplars

    __slots__ = (
        "_context",
        "_disconnected",
        "_metrics",
        "_receive",
        "_scope",
        "_send",
        "_within",
        "ended",
        "method",
        "route",
        "started",
    )

    def begin(self, metrics: M, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin an exchange whose attributes are not set."""
        self.method = method
        self.route = route = RequestRoute()
        route.labels = metrics.labels
        route.scope = scope
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._disconnected = False
        self.ended = 0.0
        if metrics.labels.context_names:
            route.names, route.newest, self._context = metrics.labels.context_names, None, None
        self.started = perf_counter()
        metrics.active[self] = None  # the last step: from here on a scrape in another thread may read this object

    def finish(self) -> None:
        """End the exchange if no message has ended it: the application has returned."""
        if self.ended and not self._metrics.labels.records_late and EXCEPTION_KEY not in self._scope:
            self._within = None  # nothing is left to record, and `_call_in_context` takes 250 ns
        else:
            self._call_in_context(self._finish)

    def fail(self, error: BaseException) -> None:
        """Count an exception that left the application, and finish."""
        self._call_in_context(self._fail, error)

    def keep_span(self) -> None:
        """Keep the context of a message for `finish` and `fail`, if they ask for the span."""
        if self._metrics.labels.reads_spans:
            self._within = copy_context()

    def _call_in_context(self, function: Callable[..., None], *args: object) -> None:
        context = getattr(self, "_within", None)
        if context is None:
            function(*args)
            return
        try:
            context.run(function, *args)
        finally:
            self._within = None  # a variable of it may have the request, which has this object

    def _finish(self) -> None:
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        # The exception that a framework wrote before is this one, or its cause: Litestar raises its own instead.
        if not self._count_faults(self._scope.pop(EXCEPTION_KEY, error)):
            self._disconnected = True
        self._finish()

    def read_labels(self) -> tuple[str, ...]:
        """Return the route as far as it is known, and the values of the extra labels."""
        labels = self._metrics.labels
        return labels.find_route(self._scope), *labels.read_extras(self._scope)

    def _count_faults(self, error: BaseException) -> bool:
        """Count an exception and return True, unless no part of it is a fault of the application."""
        try:
            is_fault = not all([self._is_no_fault(one) for one in flatten_group(error)])  # noqa: C419  # see `_is_no_fault`
        except Exception:  # noqa: BLE001  # an exception whose attributes cannot be read
            self._metrics.labels.count_failure("exception")
            is_fault = True
        if is_fault:
            self._count_exception(error)
        return is_fault

    def _count_exception(self, error: BaseException) -> None:
        metrics = self._metrics
        metrics.labels.count_exception(metrics.calls.exceptions, self._scope, error, self._read_context())

    def _read_context(self) -> tuple[str, ...]:
        """Return the values of the context labels at the end: all that is recorded of the exchange has the same."""
        labels = self._metrics.labels
        if not labels.context_names:
            return ()
        if self._context is None:
            values = self.route.end_bindings()
            self._context = labels.convert_context(values) if values else labels.unbound
        return self._context

    def _is_no_fault(self, error: BaseException) -> bool:
        """Return whether ``error`` only says that the client has disconnected, or that the application was cancelled.

        It is called for every part of a group: the exception of a disconnect also sets the state of a connection.
        """
        return (self._disconnected and isinstance(error, OSError)) or is_abandoned(error)

    def _end(self) -> None:
        """End the exchange at the first call; do nothing at others."""
        if self.ended:
            return
        self.ended = now = perf_counter()
        metrics = self._metrics
        metrics.active.pop(self, None)
        try:
            route = metrics.labels.find_final_route(self._scope)
            self.route.close(route)
            self._record(route, now - self.started)
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            metrics.labels.count_failure("record")

    def _record(self, route: str, seconds: float) -> None:
        """Observe the duration of an ended exchange."""
        raise NotImplementedError
