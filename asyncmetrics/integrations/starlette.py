"""Starlette: the middleware around everything that Starlette itself puts around an application.

`instrument` here takes the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from typing import Any, TypeVar, final
from weakref import WeakSet

from asyncmetrics.errors import DefinitionError, MissingExtraError
from asyncmetrics.exposition import make_asgi_app
from asyncmetrics.middleware import MetricsMiddleware
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

try:
    from starlette.applications import Starlette
except ImportError as error:
    raise MissingExtraError("instrumenting a Starlette application", "starlette", "starlette") from error

__all__ = ("instrument",)

S = TypeVar("S", bound=Starlette)

_INSTRUMENTED: WeakSet[Starlette] = WeakSet()


def instrument(app: S, *, path: str | None = "/metrics", registry: CollectorRegistry = REGISTRY, **options: Any) -> S:
    """Measure ``app``, serve its metrics at ``path`` (None: nowhere), and return it; a second call does nothing.

    ``options`` are those of `MetricsMiddleware`.
    """
    if path is not None and (not path.startswith("/") or not path.strip("/")):
        raise DefinitionError("path", f"expected a path such as '/metrics', or None, got {path!r}")
    if app in _INSTRUMENTED:
        return app
    build = app.build_middleware_stack

    def outside(stack: ASGIApp) -> ASGIApp:
        measured: ASGIApp = MetricsMiddleware(stack, registry=registry, **options)
        return measured if path is None else _WithExposition(measured, path, make_asgi_app(registry))

    app.build_middleware_stack = lambda: outside(build())  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # it has served already
        app.middleware_stack = outside(app.middleware_stack)
    _INSTRUMENTED.add(app)
    return app


@final
class _WithExposition:
    """Answer requests to one path with the exposition, whatever routes the application has."""

    def __init__(self, app: ASGIApp, path: str, exposition: ASGIApp) -> None:
        self._app = app
        self._path = path.rstrip("/")
        self._exposition = exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen = self._exposition if scope["type"] == "http" and self._is_asked_for(scope) else self._app
        await chosen(scope, receive, send)

    def _is_asked_for(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if not path.rstrip("/").endswith(self._path):
            return False
        return path.removeprefix(scope.get("root_path", "")).rstrip("/") == self._path
