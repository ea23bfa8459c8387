"""The middleware that measures any ASGI application: duration, requests under way, exceptions, by route.

It belongs outside of everything else, since what wraps it is not measured: a 503 made by an exception handler, or a
CORS preflight answered early. `asyncmetrics.instrument` puts it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware._http import Exchange, HttpMetrics, RouteCallable
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("Exclusion", "MetricsMiddleware")

Exclusion: TypeAlias = str | re.Pattern[str] | Callable[[Scope], bool]

_MEASURED = "asyncmetrics.measured"


@final
class MetricsMiddleware:
    """Measure ``app``.

    ``exclude`` are requests that are not measured: paths (a slash at the end makes no difference), patterns that match
    the whole path, or predicates on the scope. ``route`` returns the route label for a scope, or None to leave it to
    the framework; it wins over everything else and must return one of few values. ``buckets`` are those of the
    duration, in seconds. Several applications in one process share the metrics of a ``registry``.

    A request that a `MetricsMiddleware` further out measures already is passed on untouched, as are websockets and
    lifespans. Nothing that goes wrong in here reaches the application: it is counted in
    ``asyncmetrics_internal_errors_total``.

    Raises `DuplicateMetricError` if the registry has these metrics with other buckets.

        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> app = MetricsMiddleware(hello, exclude=["/health"])
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry = REGISTRY,
        exclude: Iterable[Exclusion] = (),
        route: RouteCallable | None = None,
        buckets: Iterable[float | str] = Histogram.DEFAULT_BUCKETS,
    ) -> None:
        self._app = app
        self._metrics = HttpMetrics(registry, buckets, route)
        self._exclusions = _exclusions(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, as ASGI 3.0 has it."""
        if scope["type"] != "http" or _MEASURED in scope or (self._exclusions and self._excluded(scope)):
            await self._app(scope, receive, send)
            return
        scope[_MEASURED] = True
        exchange = Exchange(self._metrics, scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.raised(error)
            raise
        exchange.returned()

    def _excluded(self, scope: Scope) -> bool:
        try:
            return any(excludes(scope) for excludes in self._exclusions)
        except Exception:  # noqa: BLE001  # the user's predicate
            self._metrics.failed("exclude")
            return False


def _exclusions(exclude: Iterable[Exclusion]) -> list[Callable[[Scope], object]]:
    if isinstance(exclude, str):
        raise DefinitionError(
            "exclude", f"expected a sequence of paths, got the string {exclude!r}: write [{exclude!r}]"
        )
    return [_exclusion(item) for item in exclude]


def _exclusion(item: Exclusion) -> Callable[[Scope], object]:
    match item:
        case str():
            path = item.rstrip("/")
            return lambda scope: scope["path"].rstrip("/") == path
        case re.Pattern():
            return lambda scope: item.fullmatch(scope["path"])
        case _ if callable(item):
            return item
    raise DefinitionError("exclude", f"expected a path, a compiled pattern or a predicate on the scope, got {item!r}")
