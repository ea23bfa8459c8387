"""The labels of what one middleware measures: their names by convention, routes, and those that the user adds.

Nothing that a user's callable or a framework's internals raise leaves this module: it is counted, and costs a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Literal, TypeAlias, TypeVar, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Counter
from asyncmetrics.middleware.label_values import bound_scheme
from asyncmetrics.middleware.routes.resolver import PENDING, UNMATCHED, RouteResolver
from asyncmetrics.model.names import check_label_names
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import Scope

__all__ = ("Conventions", "ExtraLabel", "Labelling", "RequestRoute", "RouteCallable", "not_awaited")

Conventions: TypeAlias = Literal["prometheus", "opentelemetry"]
ExtraLabel: TypeAlias = "str | Callable[[Scope], object]"
RouteCallable: TypeAlias = Callable[[Scope], "str | None"]
F = TypeVar("F", bound=Callable[..., object])


# OpenTelemetry's semantic conventions for HTTP, with the underscores that Prometheus makes of their dots.
_OPENTELEMETRY = {
    "method": "http_request_method",
    "route": "http_route",
    "status": "http_response_status_code",
    "type": "error_type",
}
_RENAMED: dict[str, dict[str, str]] = {"prometheus": {}, "opentelemetry": _OPENTELEMETRY}


# The labels that one family or another has of itself, and a histogram's buckets.
_NAMES = ("method", "route", "status", "type", "outcome", "close_code", "direction", "le")


def not_awaited(option: str, function: F) -> F:
    """Return what an option gives to be called, or raise `DefinitionError`: nothing can be awaited there."""
    called: Any = function
    if callable(called) and not (iscoroutinefunction(called) or iscoroutinefunction(type(called).__call__)):
        return function
    raise DefinitionError(option, f"expected a function of the scope that is no coroutine function, got {function!r}")


def _scheme(scope: Scope) -> str:
    return bound_scheme(scope.get("scheme", "ws" if scope["type"] == "websocket" else "http"))


def _chosen(own: RouteCallable, resolve: Callable[[Scope], str], scope: Scope) -> str:
    chosen = own(scope)
    return resolve(scope) if chosen is None else str(chosen)


@final
class Labelling:
    """How one middleware labels: ``extras`` are the names of the labels that each of its families has at the end."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        route: RouteCallable | None = None,
        extra_labels: Mapping[str, ExtraLabel] | None = None,
        context_labels: Iterable[str] = (),
        conventions: Conventions = "prometheus",
    ) -> None:
        if conventions not in _RENAMED:
            raise DefinitionError("conventions", f"expected one of {sorted(_RENAMED)}, got {conventions!r}")
        self.registry = registry
        self._self_metrics = get_self_metrics(registry)
        self.context = check_label_names("context_labels", context_labels)
        self._renamed = _RENAMED[conventions]
        self._resolver = resolver = RouteResolver(partial(self.failed, "route"))
        self._find = (
            resolver.resolve if route is None else partial(_chosen, not_awaited("route", route), resolver.resolve)
        )
        own: dict[str, ExtraLabel] = {"url_scheme": _scheme} if conventions == "opentelemetry" else {}
        extra = {**own, **(extra_labels or {})}
        # Against every name there is, before any metric has been registered.
        known = [self._renamed.get(name, name) for name in _NAMES]
        check_label_names("extra_labels", (*known, *extra, *self.context))
        self.extras = tuple(extra)
        self._values = tuple(
            not_awaited("extra_labels", value) if callable(value) else value for value in extra.values()
        )
        self.fixed = None if any(map(callable, self._values)) else tuple(map(str, self._values))
        """The values of ``extras`` where no callable decides them."""

    def names(self, *names: str) -> list[str]:
        """Return label names by the convention, and those of the user after them."""
        return [*(self._renamed.get(name, name) for name in names), *self.extras]

    def extra_values(self, scope: Scope) -> tuple[str, ...]:
        """Return the values of ``extras`` for a connection; empty for a callable that fails."""
        if self.fixed is not None:
            return self.fixed
        return tuple([self._value(value, scope) for value in self._values])

    def route(self, scope: Scope) -> str:
        """Return the route of a connection as far as it is known; `PENDING` until a router has seen it."""
        try:
            return self._find(scope)
        except Exception:  # noqa: BLE001  # the user's callable, or framework internals that moved
            return self.failed("route")

    def final_route(self, scope: Scope) -> str:
        """Return the route of a connection that will not be routed any more."""
        try:
            route = self._find(scope)
            return self._resolver.resolve_copied(scope) if route is PENDING else route
        except Exception:  # noqa: BLE001  # as above
            return self.failed("route")

    def count_exception(self, exceptions: Counter, scope: Scope, error: BaseException) -> None:
        """Count what has left the application in a connection, by its route and type."""
        try:
            route = self.final_route(scope)
            exceptions.labels(route, type(error).__name__, *self.extra_values(scope)).inc()
        except Exception:  # noqa: BLE001  # no fault of a metric reaches the application
            self.failed("record")

    def failed(self, where: str) -> str:
        """Count the exception that is being handled as one of the middleware's own; return `UNMATCHED`."""
        try:
            self._self_metrics.count_internal_error(f"middleware.{where}")
        except Exception:  # noqa: BLE001, S110  # there is nowhere left to tell it
            pass
        return UNMATCHED

    def _value(self, value: ExtraLabel, scope: Scope) -> str:
        try:
            return str(value(scope) if callable(value) else value)
        except Exception:  # noqa: BLE001  # the user's callable
            self.failed("extra_labels")
            return ""


@final
class RequestRoute:
    """The route of one request as a context label: read when a metric asks, and kept once the request has ended.

    Contexts are copied into tasks that may live on for long. All that they keep of an ended request is this.
    """

    __slots__ = ("_labelling", "_route", "_scope")

    _route: str  # from the moment that there is no scope

    def __init__(self, labelling: Labelling, scope: Scope) -> None:
        self._labelling = labelling
        self._scope: Scope | None = scope

    def __call__(self) -> str:
        """Return what is known of the route by now."""
        scope = self._scope
        if scope is None:
            return self._route
        route = self._labelling.route(scope)
        if route is PENDING:  # no router has seen it, or one has seen a copy of the scope
            matched = self._labelling.final_route(scope)
            return PENDING if matched is UNMATCHED else matched
        return route

    def settle(self, route: str) -> None:
        """Keep the route, which is final, and let go of the scope."""
        self._route = route
        self._scope = None

    def __deepcopy__(self, _: object) -> RequestRoute:
        """Return this object: middleware that makes a deep copy of the scope still serves the same request."""
        return self

    def set_scope_value(self, key: str, value: object) -> None:
        """Set a value of the scope that is measured, unless it is set or the request has ended."""
        scope = self._scope
        if scope is not None:
            scope.setdefault(key, value)
