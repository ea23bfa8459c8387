"""Litestar: the middleware around Litestar's own handler of exceptions, CORS and the router.

`instrument` here takes the arguments of `asyncmetrics.instrument`. Litestar says which route it chose, but not where it
found that a path has no handler for a method: a 405 is ``<unmatched>``, as a 404 is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, final

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.outermost import Outermost, check_path
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

try:
    from litestar import Litestar
    from litestar.exceptions import HTTPException, LitestarException, WebSocketException
except ImportError as error:
    raise MissingExtraError("instrumenting a Litestar application", "litestar", "litestar") from error

__all__ = ("instrument",)

L = TypeVar("L", bound=Litestar)


def instrument(
    app: L,
    *,
    path: str | None = "/metrics",
    registry: CollectorRegistry = REGISTRY,
    route: Callable[[Scope], str | None] | None = None,
    **options: Any,
) -> L:
    """Measure ``app``, serve its metrics at ``path`` (None: nowhere), and return it; a second call does nothing.

    ``route`` and ``options`` are those of `MetricsMiddleware`.
    """
    check_path(path)
    application: Any = app
    inner = application.asgi_handler
    if not isinstance(inner, Outermost):
        told = _telling_causes(inner)
        application.asgi_handler = Outermost(told, path, registry, route=_Routes(application, route), **options)
        application.after_exception.append(_tell_exception)
    return app


async def _tell_exception(error: Exception, scope: Any) -> None:
    """Write into the scope what Litestar will answer itself, unless it was raised as an answer."""
    if not isinstance(error, (HTTPException, WebSocketException)):
        set_scope_value(scope, EXCEPTION_KEY, error)


def _telling_causes(app: ASGIApp) -> ASGIApp:
    """Wrap ``app`` to write into the scope what lies behind the exception that Litestar raises after a start."""

    async def telling(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except LitestarException as error:
            scope.setdefault(EXCEPTION_KEY, _cause(error))
            raise

    return telling


def _cause(error: BaseException) -> BaseException:
    while type(error) is LitestarException and error.__cause__ is not None:
        error = error.__cause__
    return error


@final
class _Routes:
    """Read from the scope what Litestar's router has written there."""

    def __init__(self, app: Any, chosen: Callable[[Scope], str | None] | None) -> None:
        self._app = app
        self._chosen = chosen
        self._mounts: dict[int, list[str]] = {}

    def __call__(self, scope: Scope) -> str | None:
        chosen = None if self._chosen is None else self._chosen(scope)
        if chosen is not None or ROUTE_KEY in scope:
            return chosen
        handler = scope.get("route_handler")
        # A mount has the template of the root, which is "" where nothing is routed there.
        if getattr(handler, "is_mount", False):
            return f"{self._mounted_at(handler, scope)}/{{path}}"
        return scope.get("path_template") or None

    def _mounted_at(self, handler: Any, scope: Scope) -> str:
        paths = self._mounts.get(id(handler)) or self._known(handler)
        if len(paths) == 1:
            return paths[0]
        path = scope.get("raw_path", b"").decode("ascii", "replace").removeprefix(scope.get("root_path", ""))
        return next((mount for mount in paths if f"{path}/".startswith(f"{mount}/")), paths[0])

    def _known(self, handler: Any) -> list[str]:
        """Return where ``handler`` is mounted, the longest path first; its own paths lack the prefixes of routers."""
        for route in self._app.routes:
            if getattr(route, "route_handler", None) is not None:
                paths = self._mounts.setdefault(id(route.route_handler), [])
                paths[:] = sorted({*paths, route.path.rstrip("/")}, key=len, reverse=True)
        return self._mounts.get(id(handler)) or sorted(path.rstrip("/") for path in handler.paths)
