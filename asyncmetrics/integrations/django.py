"""Django under ASGI: the middleware around the handler, and a middleware of Django's kind that writes the route.

Put `RouteMiddleware` first into the settings, and instrument the handler that ``get_asgi_application()`` returns::

    MIDDLEWARE = ["asyncmetrics.integrations.django.RouteMiddleware", ...]

    application = asyncmetrics.instrument(get_asgi_application())

`instrument` here has the arguments of `asyncmetrics.instrument`. Without the setting every route is ``<unmatched>``.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, final

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.options import (
    INSTRUMENT_DEFAULTS,
    InstrumentOptions,
    check_options,
    log_ignored_options,
)
from asyncmetrics.integrations.outermost import Outermost, find_outermost, uninstrument
from asyncmetrics.integrations.templates import make_template
from asyncmetrics.middleware.options import show_options
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.patching import replace_class
from asyncmetrics.typing import Receive, Scope, Send, Unpack

try:
    from asgiref.sync import markcoroutinefunction
    from django.core.handlers.asgi import ASGIHandler
    from django.core.signals import got_request_exception
    from django.urls import Resolver404, get_resolver
except ImportError as error:
    raise MissingExtraError("instrumenting a Django application", "django", "django") from error

__all__ = ("RouteMiddleware", "instrument", "uninstrument")

D = TypeVar("D", bound=ASGIHandler)


@final
class RouteMiddleware:
    """Write the route that Django resolved into the scope of the request, as the template of a path: ``/items/{pk}``.

    Its methods are coroutine functions, since Django runs any other in a thread. A request over WSGI has no scope and
    passes unchanged.
    """

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[Any], Awaitable[Any]]) -> None:
        self._get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        """Pass the request on, and write its route then: middleware inside may answer it without a call of the view."""
        response = await self._get_response(request)
        _write_route(request)
        return response

    async def process_view(self, request: Any, *_: object) -> None:
        """Write the route before the view runs, so that the active request has it."""
        _write_route(request)


def _write_route(request: Any) -> None:
    scope = getattr(request, "scope", None)
    route = getattr(getattr(request, "resolver_match", None), "route", None)
    if scope is not None and route is not None:
        set_scope_value(scope, ROUTE_KEY, make_template(f"/{route}"))


def _write_exception(request: Any) -> None:
    """Write the exception that Django handles, and turns into a 500, into the scope."""
    scope = getattr(request, "scope", None)
    if scope is not None:
        set_scope_value(scope, EXCEPTION_KEY, sys.exc_info()[1])


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: D, **options: Unpack[InstrumentOptions]) -> D:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing.

    ``app`` is the handler that ``get_asgi_application()`` returns, or one of a derived class.
    """
    complete = check_options(options)
    if find_outermost(app):
        log_ignored_options(app, options)
        return app
    outermost = Outermost(app, partial(type(app).__call__, app), complete, _has_route)

    async def __call__(_: object, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807
        await outermost(scope, receive, send)

    def write_exception(request: Any = None, **_: object) -> None:
        _write_exception(request)

    outermost.undo.callback(replace_class(app, __call__=__call__))
    got_request_exception.connect(write_exception)  # a weak reference: `undo` has the other one
    outermost.undo.callback(got_request_exception.disconnect, write_exception)
    outermost.register()
    return app


def _has_route(path: str) -> bool:
    """Return whether a route of the settings has no other path than ``path``, with or without a slash at the end."""
    return any(_find_route(path + slash).rstrip("/?") == path for slash in ("", "/"))


def _find_route(path: str) -> str:
    try:
        return make_template(f"/{get_resolver().resolve(path).route}")
    except Resolver404:
        return ""
