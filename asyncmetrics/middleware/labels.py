"""The labels of one middleware: their names by convention, the route, and the labels that the user adds.

*Rule.* Let no exception of a user's function or of a framework's internals leave this module: count it, and use a label
value that says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar, final

from asyncmetrics.context import to_label_value
from asyncmetrics.context.exemplars import name_source
from asyncmetrics.context.names import declare_labels
from asyncmetrics.context.request import RequestBindings
from asyncmetrics.errors import DefinitionError
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Counter
from asyncmetrics.middleware.options import ExtraLabel, MiddlewareOptions, RouteCallable
from asyncmetrics.middleware.routes.resolver import PENDING, UNMATCHED, RouteResolver
from asyncmetrics.middleware.scope import MeasuredRequest
from asyncmetrics.model.checks import list_texts
from asyncmetrics.model.descriptor import ExemplarProvider
from asyncmetrics.model.http_values import limit_scheme
from asyncmetrics.model.names import check_label_names
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import Scope

__all__ = ("RequestLabels", "RequestRoute", "check_sync")

F = TypeVar("F", bound=Callable[..., object])


# OpenTelemetry's semantic conventions for HTTP. Prometheus has underscores where they have dots.
_OPENTELEMETRY = {
    "method": "http_request_method",
    "route": "http_route",
    "status": "http_response_status_code",
    "type": "error_type",
}
_NAMES_BY_CONVENTION: dict[str, dict[str, str]] = {"prometheus": {}, "opentelemetry": _OPENTELEMETRY}


# All labels of the middleware's metrics, and the label of a histogram's buckets.
_NAMES = ("method", "route", "status", "type", "outcome", "close_code", "direction", "le")


def check_sync(option: str, function: F) -> F:
    """Return a function that is the value of ``option``.

    Raises `DefinitionError` if it is not callable, or a coroutine function: the middleware does not await it.
    """
    called: Any = function
    if callable(called) and not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__)):
        return function
    raise DefinitionError(option, f"expected a function of the scope that is no coroutine function, got {function!r}")


def _read_scheme(scope: Scope) -> str:
    return limit_scheme(scope.get("scheme", "ws" if scope["type"] == "websocket" else "http"))


def _find_route(own: RouteCallable, resolve: Callable[[Scope], str], scope: Scope) -> str:
    """Return the route that the user's function returns, or else what ``resolve`` returns."""
    route = own(scope)
    return resolve(scope) if route is None else str(route)


@final
class RequestLabels:
    """The labels of one middleware.

    ``extra_names`` are the last labels of the gauges of active requests and connections. All other metrics of the
    middleware have ``context_names`` after them.
    """

    def __init__(self, options: MiddlewareOptions) -> None:
        conventions, route = options["conventions"], options["route"]
        self.registry = options["registry"]
        self._self_metrics = get_self_metrics(self.registry)
        self.context_names = check_label_names(
            "context_labels", list_texts("context_labels", options["context_labels"], "label names")
        )
        self.unbound = ("",) * len(self.context_names)
        """The values of the context labels if none is bound."""
        self._convention = _NAMES_BY_CONVENTION[conventions]
        resolver = RouteResolver(partial(self.count_failure, "route"))
        self._resolve, self.resolve_final = (
            resolve if route is None else partial(_find_route, check_sync("route", route), resolve)
            for resolve in (resolver.resolve, resolver.resolve_final)
        )
        own: dict[str, ExtraLabel] = {"url_scheme": _read_scheme} if conventions == "opentelemetry" else {}
        extra = {**own, **(options["extra_labels"] or {})}
        # Check against the names of all metrics now, since no metric is registered yet.
        known = [self._convention.get(name, name) for name in _NAMES]
        check_label_names("extra_labels", (*known, *extra))
        check_label_names("context_labels", (*known, *extra, *self.context_names))
        self.extra_names = tuple(extra)
        self._values = tuple(
            check_sync("extra_labels", value) if callable(value) else value for value in extra.values()
        )
        self.fixed_extras = None if any(map(callable, self._values)) else tuple(map(str, self._values))
        """The values of the extra labels, if no function returns one of them."""
        self.records_late = options["background"] or options["on_loop"]
        """Whether something is recorded when the application has returned."""
        self.has_exemplars = False
        """Whether the metrics ask for exemplars."""
        self.reads_spans = False
        """Whether they ask for the current span."""
        self.keeps_headers = False
        """Whether what is recorded at the end of an exchange may ask for the headers of the request."""
        self.is_plain = not extra and not self.context_names
        """Whether the metrics have no labels of the user."""
        declare_labels(("route", "method", *self.context_names))

    def ask(self, provider: ExemplarProvider | None) -> None:
        """Let exchanges keep what ``provider`` needs, which the metrics ask: another middleware may have chosen it."""
        self.has_exemplars = provider is not None
        self.reads_spans = name_source(provider) is not None
        self.keeps_headers = name_source(provider) == "traceparent"

    def list_names(self, *names: str) -> list[str]:
        """Return label names by the convention, followed by the names of the extra labels."""
        return [*(self._convention.get(name, name) for name in names), *self.extra_names]

    def read_extras(self, scope: Scope) -> tuple[str, ...]:
        """Return the values of the extra labels for an exchange. The value of a function that fails is empty."""
        if self.fixed_extras is not None:
            return self.fixed_extras
        return tuple([self._read_extra(value, scope) for value in self._values])

    def find_route(self, scope: Scope) -> str:
        """Return the route of an exchange as far as it is known: `PENDING` until a router has chosen it."""
        try:
            return self._resolve(scope)
        except Exception:  # noqa: BLE001  # the user's function, or internals of a framework that changed
            return self.count_failure("route")

    def find_final_route(self, scope: Scope) -> str:
        """Return the route of an exchange that no router will see any more."""
        try:
            return self.resolve_final(scope)
        except Exception:  # noqa: BLE001  # see find_route
            return self.count_failure("route")

    def convert_context(self, values: list[object]) -> tuple[str, ...]:
        """Return the values of context labels as text. The value of a function that fails is empty."""
        return tuple([value if type(value) is str and value.isascii() else self._read_bound(value) for value in values])

    def count_exception(
        self, exceptions: Counter, scope: Scope, error: BaseException, context: tuple[str, ...]
    ) -> None:
        """Count an exception that left the application, by route and type; ``context`` are the context labels."""
        try:
            route = self.find_final_route(scope)
            exceptions.labels(route, type(error).__name__, *self.read_extras(scope), *context).inc()
        except Exception:  # noqa: BLE001  # no error of a metric reaches the application
            self.count_failure("record")

    def count_failure(self, where: str) -> str:
        """Count the exception that is being handled as an error of the middleware; return `UNMATCHED`.

        An exception of a signal handler is for the program: it is raised again.
        """
        if (error := sys.exc_info()[1]) is not None:
            pass_interruption(error)
        try:
            self._self_metrics.count_internal_error(f"middleware.{where}")
        except Exception:  # noqa: BLE001, S110  # there is no other place to count it
            pass
        return UNMATCHED

    def _read_bound(self, value: object) -> str:
        try:
            return to_label_value(value)
        except Exception as error:  # noqa: BLE001  # the user's function
            pass_interruption(error)
            self._self_metrics.count_internal_error("context_labels")
            return ""

    def _read_extra(self, value: ExtraLabel, scope: Scope) -> str:
        try:
            return str(value(scope) if callable(value) else value)
        except Exception:  # noqa: BLE001  # the user's function
            self.count_failure("extra_labels")
            return ""


@final
class RequestRoute(RequestBindings, MeasuredRequest):
    """The route of one request as a context label: read when a metric needs it, and kept when the request has ended.

    Contexts are copied into tasks, which may outlive the request by far. All that they keep of it is this object. It
    also has what is bound for the request, if the middleware has context labels.
    """

    __slots__ = ("final", "headers", "labels", "scope")

    # Set by the exchange: a class with ``__init__`` takes twice the time (benchmarks/middleware.py).
    labels: RequestLabels
    scope: Scope | None
    """The scope, or None once the exchange has ended."""
    final: str
    """The route, once the exchange has ended."""
    headers: Iterable[tuple[bytes, bytes]]
    """The headers of the request, once the exchange has ended, if `RequestLabels.keeps_headers`; not set otherwise."""

    def __call__(self) -> str:
        """Return the route as far as it is known."""
        scope = self.scope
        if scope is None:
            return self.final
        route = self.labels.find_route(scope)
        if route is PENDING:  # no router has seen it, or one has seen a copy of the scope
            route = self.labels.find_final_route(scope)
            return PENDING if route is UNMATCHED else route
        return route

    def close(self, route: str) -> None:
        """Keep the final route, and release the scope."""
        self.final = route
        if self.labels.keeps_headers and self.scope is not None:
            self.headers = self.scope.get("headers", ())
        self.scope = None

    def set_scope_value(self, key: str, value: object) -> None:
        """Set a value of the scope that is measured, unless it is set or the request has ended."""
        scope = self.scope
        if scope is not None:
            scope.setdefault(key, value)
