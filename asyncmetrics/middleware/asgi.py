"""The middleware that measures any ASGI application: its requests and its websockets, by route.

Put it outside of all other middleware, since it does not measure the responses that others make around it: the 503 of
an exception handler, or the answer of CORS middleware to a preflight. `asyncmetrics.instrument` puts it there.
``app.add_middleware(MetricsMiddleware)`` works as well, and misses those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, final

from asyncmetrics.context import enter_labels
from asyncmetrics.context.bound import BOUND, REQUEST
from asyncmetrics.metrics.totals import TOTALS
from asyncmetrics.middleware.applications import check_application
from asyncmetrics.middleware.http import HttpExchange, HttpMetrics
from asyncmetrics.middleware.labels import RequestLabels, check_sync
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.middleware.options import (
    MIDDLEWARE_DEFAULTS,
    Exclusion,
    MiddlewareOptions,
    check_values,
    complete_options,
    show_options,
)
from asyncmetrics.middleware.scope import EXCEPTION_KEY, MEASURED_KEY, remove_root_path
from asyncmetrics.middleware.websocket import WebSocketExchange, WebSocketMetrics
from asyncmetrics.model.checks import list_items, make_refusal
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send, Unpack

if TYPE_CHECKING:
    from asyncmetrics.middleware.on_loop import OnLoopApp

__all__ = ("MetricsMiddleware",)

# Found once, not for each request: benchmarks/middleware.py.
_get_bound, _set_bound, _reset_bound = BOUND.get, BOUND.set, BOUND.reset
_make_http_exchange = HttpExchange.make


@final
class MetricsMiddleware:
    """Measure ``app``. `MiddlewareOptions` explains the options:

    - ``registry``: the registry of the metrics.
    - ``exclude``: the requests and websockets that are not measured.
    - ``route``: a function that returns the route of a scope.
    - ``buckets``, ``native``: the buckets of the histograms, and whether they are native histograms too.
    - ``first_byte``, ``body_sizes``, ``background``: measure the time to the first byte of a response's body, the sizes
      of bodies, the time that the application takes after a response.
    - ``on_loop``: measure how long the event loop runs the code of each request, without all that it waits for.
    - ``client_totals``: measure how many calls of clients each request makes, and how long they take together.
    - ``stream_after``: when a response becomes a stream, which has a histogram of its own.
    - ``worker_label``: expose the durations of each worker apart.
    - ``exemplars``: where the exemplars come from.
    - ``namespace``: a prefix of the names of all metrics.
    - ``extra_labels``, ``context_labels``: labels that are added to the metrics.
    - ``conventions``: ``"opentelemetry"`` names the labels as OpenTelemetry does.

    While the application handles a request, ``route`` and ``method`` are bound as context labels, which any metric may
    declare (a websocket has a route only). All labels that are bound during the request end with it.

    The middleware does not measure a request that another `MetricsMiddleware` around it measures already, scrapes of an
    exposition inside the application, or lifespans. No error of the middleware reaches the application:
    ``asyncmetrics_internal_errors_total`` counts it.

    Raises `TypeError` for an unknown option, `DefinitionError` for a wrong value of an option, and
    `DuplicateMetricError` if the registry has these metrics with other buckets, labels or ``exemplars``.

        >>> from asyncmetrics import CollectorRegistry
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> options = {"exclude": ["/health"], "body_sizes": True, "extra_labels": {"service": "shop"}}
        >>> app = MetricsMiddleware(hello, registry=CollectorRegistry(), **options)
    """  # noqa: D400  # a list follows

    @show_options(MiddlewareOptions, MIDDLEWARE_DEFAULTS)
    def __init__(self, app: ASGIApp, **options: Unpack[MiddlewareOptions]) -> None:
        check_application(app)
        complete = complete_options("MetricsMiddleware", options, MIDDLEWARE_DEFAULTS)
        check_values(complete)
        self.app = app  # Starlette's name for it: a search for routes follows this attribute
        self._on_loop: OnLoopApp | None = None
        if complete["on_loop"]:
            from asyncmetrics.middleware.on_loop import OnLoopApp  # asyncio takes 40 ms to import

            self.app = self._on_loop = OnLoopApp(app)
        self._exclusions = _make_predicates(complete["exclude"])
        self._labels = RequestLabels(complete)
        self._reads_context = bool(self._labels.context_names)
        self._opens_totals = complete["client_totals"]
        metrics = MetricFactory(self._labels, complete)
        self._http = HttpMetrics(self._labels, metrics, complete)
        self._websocket = WebSocketMetrics(self._labels, metrics, complete)
        self._labels.ask(self._http.calls.durations.descriptor.exemplars)
        self._finishes = self._labels.records_late or self._labels.has_exemplars

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, as ASGI 3.0 specifies."""
        kind = scope["type"]
        is_http = kind == "http"
        if (
            not (is_http or kind == "websocket")
            or MEASURED_KEY in scope
            or (self._exclusions and self._is_excluded(scope))
        ):
            await self.app(scope, receive, send)
            return
        exchange: HttpExchange | WebSocketExchange
        if is_http:
            exchange = _make_http_exchange(self._http, scope, receive, send)
        else:
            exchange = WebSocketExchange.make(self._websocket, scope, receive, send)
        scope[MEASURED_KEY] = route = exchange.route
        labels: dict[object, object]
        if self._reads_context:
            labels = {"route": route, "method": exchange.method, REQUEST: route}
        else:
            labels = {"route": route, "method": exchange.method}
        token = enter_labels(labels) if _get_bound() else _set_bound(labels)
        opened = TOTALS.set(exchange.totals) if self._opens_totals and isinstance(exchange, HttpExchange) else None
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        else:
            if not exchange.ended or self._finishes or EXCEPTION_KEY in scope:
                exchange.finish()
        finally:
            try:
                _reset_bound(token)  # this undoes all other bindings since then as well
                if opened is not None:
                    TOTALS.reset(opened)
            except ValueError:  # a server ran the coroutine in another context, which has nothing to undo
                pass

    def replace_app(self, app: ASGIApp) -> None:
        """Call ``app`` for each connection from now on, measured as the one before."""
        if self._on_loop is None:
            self.app = app
        else:
            self._on_loop.app = app

    def release(self) -> ASGIApp:
        """Take back what ``on_loop`` has changed on event loops, and return the application that was measured."""
        if self._on_loop is None:
            return self.app
        self._on_loop.release()
        return self._on_loop.app

    def _is_excluded(self, scope: Scope) -> bool:
        return any(self._is_match(predicate, scope) for predicate in self._exclusions)

    def _is_match(self, predicate: Callable[[Scope], object], scope: Scope) -> bool:
        try:
            return bool(predicate(scope))
        except Exception:  # noqa: BLE001  # the user's predicate
            self._labels.count_failure("exclude")
            return False


def _make_predicates(exclude: Iterable[Exclusion]) -> list[Callable[[Scope], object]]:
    remedy = f"write [{exclude!r}]" if isinstance(exclude, (str, re.Pattern)) else ""
    items: Any = list_items("exclude", exclude, "a list of paths, patterns or predicates", remedy=remedy)
    return [_make_predicate(item) for item in items]


def _make_predicate(item: Exclusion) -> Callable[[Scope], object]:
    match item:
        case str() if item.startswith("/"):
            path = item.rstrip("/")
            return lambda scope: _get_local_path(scope).rstrip("/") == path
        case re.Pattern() if isinstance(item.pattern, str):
            return lambda scope: item.fullmatch(_get_local_path(scope))
        case _ if callable(item):
            return check_sync("exclude", item)
    expected = "a path that begins with '/', a compiled pattern of text or a predicate on the scope"
    remedy = f"write {'/' + item!r}" if isinstance(item, str) and item else ""
    raise make_refusal("exclude", expected, item, remedy)


def _get_local_path(scope: Scope) -> str:
    return remove_root_path(scope["path"], scope.get("root_path", ""))
