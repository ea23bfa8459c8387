"""Django under ASGI: the middleware around the handler, and a middleware of Django's own that tells the route.

Put the one first of all into the settings, and the other around what Django's ``get_asgi_application()`` returns::

    MIDDLEWARE = ["asyncmetrics.integrations.django.RouteMiddleware", ...]

    application = asyncmetrics.instrument(get_asgi_application())

`instrument` here takes the arguments of `asyncmetrics.instrument`. Without the setting every route is ``<unmatched>``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, final
from weakref import WeakSet

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.outermost import Outermost, check_path
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import Receive, Scope, Send

try:
    from asgiref.sync import markcoroutinefunction
    from django.core.handlers.asgi import ASGIHandler
    from django.core.signals import got_request_exception
except ImportError as error:
    raise MissingExtraError("instrumenting a Django application", "django", "django") from error

__all__ = ("RouteMiddleware", "instrument")

D = TypeVar("D", bound=ASGIHandler)

_INSTRUMENTED: WeakSet[ASGIHandler] = WeakSet()


@final
class RouteMiddleware:
    """Write the route that Django resolved, with a slash before it, into the scope of the request.

    It is a coroutine throughout, so it costs no thread under ASGI. A request of WSGI has no scope and passes.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[Any], Awaitable[Any]]) -> None:
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        """Pass the request on; a middleware further in may have answered it after it was resolved."""
        response = await self._get_response(request)
        _tell_route(request)
        return response

    async def process_view(self, request: Any, *_: object) -> None:
        """Tell the route before the view runs, so that what is under way can be told by it."""
        _tell_route(request)


def _tell_route(request: Any) -> None:
    scope = getattr(request, "scope", None)
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    if scope is not None and route is not None:
        set_scope_value(scope, ROUTE_KEY, f"/{route}")


def _tell_exception(request: Any = None, **_: object) -> None:
    """Write into the scope which exception Django makes a 500 of, while that is being handled."""
    scope = getattr(request, "scope", None)
    if scope is not None:
        set_scope_value(scope, EXCEPTION_KEY, sys.exc_info()[1])


def instrument(app: D, *, path: str | None = "/metrics", registry: CollectorRegistry = REGISTRY, **options: Any) -> D:
    """Measure ``app``, serve its metrics at ``path`` (None: nowhere), and return it; a second call does nothing.

    ``app`` is what ``get_asgi_application()`` returns, or another handler of its kind. ``options`` are those of
    `MetricsMiddleware`.
    """
    check_path(path)
    if app not in _INSTRUMENTED:
        handler: Any = app
        kind: Any = type(app)
        handler.__class__ = _called_through(kind, Outermost(partial(kind.__call__, app), path, registry, **options))
        got_request_exception.connect(_tell_exception, dispatch_uid="asyncmetrics")
        _INSTRUMENTED.add(app)
    return app


def _called_through(kind: type, outermost: Outermost) -> type:
    """Return a class as ``kind`` that only calls differently: a call looks at the class, never at the instance."""

    async def __call__(_: object, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        await outermost(scope, receive, send)

    return type(kind.__name__, (kind,), {"__call__": __call__, "__module__": kind.__module__, "__doc__": kind.__doc__})
