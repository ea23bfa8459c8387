"""The middleware that measures any ASGI application: its requests and its websockets, by route.

It belongs outside of everything else, since what wraps it is not measured: a 503 made by an exception handler, or a
CORS preflight answered early. `asyncmetrics.instrument` puts it there; ``app.add_middleware(MetricsMiddleware)`` works
as well, and misses those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, final

from asyncmetrics.context import enter_labels, leave_labels
from asyncmetrics.errors import DefinitionError
from asyncmetrics.metrics import Histogram
from asyncmetrics.middleware.http import Exchange, HttpMetrics
from asyncmetrics.middleware.labels import Conventions, ExtraLabel, Labelling, RouteCallable, not_awaited
from asyncmetrics.middleware.metrics import Buckets, Families
from asyncmetrics.middleware.scope import MEASURED_KEY, remove_root_path
from asyncmetrics.middleware.websocket import Connection, WebSocketMetrics
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("Buckets", "Conventions", "Exclusion", "ExtraLabel", "MetricsMiddleware", "RouteCallable")

Exclusion: TypeAlias = str | re.Pattern[str] | Callable[[Scope], bool]

_KINDS = frozenset({"http", "websocket"})


@final
class MetricsMiddleware:
    """Measure ``app``.

    ``exclude`` are requests and websockets that are not measured: paths (a slash at the end makes no difference),
    patterns that match the whole path, or predicates on the scope. A path begins after the root path of a proxy or a
    mount, as for a router. ``route`` returns the route label for a scope, or None to leave it to others: to whoever
    has written ``scope["asyncmetrics.route"]``, and then to the framework. It must return one of few values.
    ``buckets`` are those of HTTP's histograms of seconds, or a mapping from the names of any histograms to theirs.
    Several applications in one process share the metrics of a ``registry``.

    More is measured where it is asked for: ``first_byte`` the time to the first byte of a response's body (a response
    without one has none), ``body_sizes`` the bytes of requests and responses, ``background`` the time that the
    application takes after the end of a response.

    ``extra_labels`` puts labels on every family: a text, or a callable that is given the scope when a request ends
    (and, for what is under way, when it is read) and must return one of few values. ``context_labels`` are names that
    are read from the context when a request ends, on all families but those of what is under way.
    ``conventions="opentelemetry"`` names labels as OpenTelemetry does, and adds ``url_scheme``.

    While a request is handled, ``route`` and ``method`` are bound as context labels, which any metric may declare (a
    websocket has a route only). They end with the request, as does whatever it binds itself.

    A request that a `MetricsMiddleware` further out measures already is passed on untouched, as are lifespans. Scrapes
    are not counted, wherever the exposition is mounted. Nothing that goes wrong in here reaches the application: it is
    counted in ``asyncmetrics_internal_errors_total``.

    Raises `DefinitionError` for options that cannot be, and `DuplicateMetricError` if the registry has these metrics
    with other buckets or labels.

        >>> from asyncmetrics import CollectorRegistry
        >>> async def hello(scope, receive, send):
        ...     await send({"type": "http.response.start", "status": 200})
        ...     await send({"type": "http.response.body", "body": b"hello"})
        >>> options = {"exclude": ["/health"], "body_sizes": True, "extra_labels": {"service": "shop"}}
        >>> app = MetricsMiddleware(hello, registry=CollectorRegistry(), **options)
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry = REGISTRY,
        exclude: Iterable[Exclusion] = (),
        route: RouteCallable | None = None,
        buckets: Buckets = Histogram.DEFAULT_BUCKETS,
        first_byte: bool = False,
        body_sizes: bool = False,
        background: bool = False,
        extra_labels: Mapping[str, ExtraLabel] | None = None,
        context_labels: Iterable[str] = (),
        conventions: Conventions = "prometheus",
    ) -> None:
        self.app = app  # by the name that Starlette gives it, since whoever looks for routes goes through it
        self._exclusions = _exclusions(exclude)
        self._labelling = Labelling(
            registry, route=route, extra_labels=extra_labels, context_labels=context_labels, conventions=conventions
        )
        families = Families(self._labelling, buckets)
        self._http = HttpMetrics(
            self._labelling, families, first_byte=first_byte, body_sizes=body_sizes, background=background
        )
        self._websocket = WebSocketMetrics(self._labelling, families)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the server, as ASGI 3.0 has it."""
        kind = scope["type"]
        if kind not in _KINDS or MEASURED_KEY in scope or (self._exclusions and self._excluded(scope)):
            await self.app(scope, receive, send)
            return
        passing: Exchange | Connection
        if kind == "http":
            passing = Exchange(self._http, scope, receive, send)
        else:
            passing = Connection(self._websocket, scope, receive, send)
        scope[MEASURED_KEY] = passing.route
        token = enter_labels({"route": passing.route, "method": passing.method})
        try:
            await self.app(scope, passing.receive, passing.send)
        except BaseException as error:
            passing.raised(error)
            raise
        else:
            passing.returned()
        finally:
            leave_labels(token)

    def _excluded(self, scope: Scope) -> bool:
        return any(self._excludes(exclusion, scope) for exclusion in self._exclusions)

    def _excludes(self, exclusion: Callable[[Scope], object], scope: Scope) -> bool:
        try:
            return bool(exclusion(scope))
        except Exception:  # noqa: BLE001  # the user's predicate
            self._labelling.failed("exclude")
            return False


def _exclusions(exclude: Iterable[Exclusion]) -> list[Callable[[Scope], object]]:
    if isinstance(exclude, str):
        raise DefinitionError(
            "exclude", f"expected a sequence of paths, got the string {exclude!r}: write [{exclude!r}]"
        )
    return [_exclusion(item) for item in exclude]


def _exclusion(item: Exclusion) -> Callable[[Scope], object]:
    match item:
        case str() if item.startswith("/"):
            path = item.rstrip("/")
            return lambda scope: _path(scope).rstrip("/") == path
        case re.Pattern() if isinstance(item.pattern, str):
            return lambda scope: item.fullmatch(_path(scope))
        case _ if callable(item):
            return not_awaited("exclude", item)
    raise DefinitionError(
        "exclude",
        f"expected a path that begins with '/', a compiled pattern of text or a predicate on the scope, got {item!r}",
    )


def _path(scope: Scope) -> str:
    return remove_root_path(scope["path"], scope.get("root_path", ""))
