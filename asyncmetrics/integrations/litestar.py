"""Litestar: the middleware goes around Litestar's own exception handler, CORS and router.

`instrument` here has the arguments of `asyncmetrics.instrument`. Litestar writes into the scope which route it chose.
It writes nothing for a path that has no handler for the method: a 405 is ``<unmatched>``, as a 404 is.
"""

from __future__ import annotations

from typing import Any, TypeVar, final

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.companions import Companions
from asyncmetrics.integrations.options import (
    INSTRUMENT_DEFAULTS,
    InstrumentOptions,
    check_options,
    log_ignored_options,
)
from asyncmetrics.integrations.outermost import Outermost, find_outermost, uninstrument
from asyncmetrics.middleware import RouteCallable
from asyncmetrics.middleware.options import show_options
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send, Unpack

try:
    from litestar import Litestar
    from litestar.exceptions import HTTPException, LitestarException, WebSocketException
    from litestar.routes import WebSocketRoute
except ImportError as error:
    raise MissingExtraError("instrumenting a Litestar application", "litestar", "litestar") from error

__all__ = ("instrument", "uninstrument")

L = TypeVar("L", bound=Litestar)


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: L, **options: Unpack[InstrumentOptions]) -> L:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing."""
    complete = check_options(options)
    if find_outermost(app):
        log_ignored_options(app, options)
        return app
    application: Any = app
    inner = application.asgi_handler
    complete["route"] = _RouteReader(application, complete["route"])
    outermost = Outermost(app, _write_causes(inner), complete, lambda path: _has_route(application, path))
    application.asgi_handler = outermost
    application.after_exception.append(_write_exception)
    if outermost.companions is not None:
        _follow_lifespans(application, outermost, outermost.companions)

    def restore() -> None:
        application.after_exception.remove(_write_exception)
        if application.asgi_handler is outermost:
            application.asgi_handler = inner

    outermost.undo.callback(restore)
    outermost.register()
    outermost.warn_of_own_route()
    return app


def _follow_lifespans(app: Any, outermost: Outermost, companions: Companions) -> None:
    """Start and stop the companions with lifespans, which Litestar does not pass to its ``asgi_handler``."""
    app.on_startup.insert(0, companions.begin_lifespan)
    app.on_shutdown.append(companions.end_lifespan)
    outermost.undo.callback(app.on_startup.remove, companions.begin_lifespan)
    outermost.undo.callback(app.on_shutdown.remove, companions.end_lifespan)


def _has_route(app: Any, path: str) -> bool:
    return any(route.path.rstrip("/") == path for route in app.routes if not isinstance(route, WebSocketRoute))


async def _write_exception(error: Exception, scope: Any) -> None:
    """Write an exception that Litestar turns into a response into the scope, unless it is a response by intention."""
    if not isinstance(error, (HTTPException, WebSocketException)):
        set_scope_value(scope, EXCEPTION_KEY, error)


def _write_causes(app: ASGIApp) -> ASGIApp:
    """Wrap ``app`` to write the cause of an exception into the scope.

    If a handler fails after the response has started, Litestar raises its own exception from the handler's.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except LitestarException as error:
            scope.setdefault(EXCEPTION_KEY, _find_cause(error))
            raise

    return call


def _find_cause(error: BaseException) -> BaseException:
    while type(error) is LitestarException and error.__cause__ is not None:
        error = error.__cause__
    return error


@final
class _RouteReader:
    """Read the route that Litestar's router has written into a scope."""

    def __init__(self, app: Any, own: RouteCallable | None) -> None:
        self._app = app
        self._own = own
        self._mounts: dict[int, list[str]] = {}

    def __call__(self, scope: Scope) -> str | None:
        route = None if self._own is None else self._own(scope)
        if route is not None or ROUTE_KEY in scope:
            return route
        handler = scope.get("route_handler")
        # The path template of a mount is that of the root, or "" if the application has no handler there.
        if getattr(handler, "is_mount", False):
            return f"{self._find_mount(handler, scope)}/{{path}}"
        return scope.get("path_template") or None

    def _find_mount(self, handler: Any, scope: Scope) -> str:
        """Return the path at which ``handler`` is mounted; the path of the request chooses between several."""
        paths = self._mounts.get(id(handler)) or self._list_mounts(handler)
        if len(paths) == 1:
            return paths[0]
        path = scope.get("raw_path", b"").decode("ascii", "replace").removeprefix(scope.get("root_path", ""))
        return next((mount for mount in paths if f"{path}/".startswith(f"{mount}/")), paths[0])

    def _list_mounts(self, handler: Any) -> list[str]:
        """Return the paths at which ``handler`` is mounted, the longest first.

        They come from the application's routes, since ``handler.paths`` lack the prefixes of routers.
        """
        for route in self._app.routes:
            if getattr(route, "route_handler", None) is not None:
                paths = self._mounts.setdefault(id(route.route_handler), [])
                paths[:] = sorted({*paths, route.path.rstrip("/")}, key=len, reverse=True)
        return self._mounts.get(id(handler)) or sorted(path.rstrip("/") for path in handler.paths)
