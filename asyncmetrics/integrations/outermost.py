"""What every integration puts around an application: the middleware, and the exposition around that."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, final

from asyncmetrics.errors import DefinitionError
from asyncmetrics.exposition import MAX_CONCURRENT, Auth, make_asgi_app
from asyncmetrics.middleware import MetricsMiddleware
from asyncmetrics.middleware.scope import remove_root_path
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("Outermost", "check_path")


def check_path(path: str | None) -> None:
    """Raise `DefinitionError` unless the exposition can be served at ``path``, or nowhere (None)."""
    if path is not None and (not path.startswith("/") or not path.strip("/")):
        raise DefinitionError("path", f"expected a path such as '/metrics', or None, got {path!r}")


@final
class Outermost:
    """Answer requests to ``path`` with the exposition, whatever routes ``app`` has, and measure all others.

    ``auth`` and ``max_concurrent`` are those of `make_asgi_app`; ``options`` are those of `MetricsMiddleware`.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str | None,
        registry: CollectorRegistry,
        *,
        auth: Auth | None = None,
        max_concurrent: int = MAX_CONCURRENT,
        **options: Any,
    ) -> None:
        check_path(path)
        self._path = None if path is None else path.rstrip("/")
        self._exposition = make_asgi_app(registry, auth=auth, max_concurrent=max_concurrent)
        self._app = MetricsMiddleware(app, registry=registry, **options)  # the last, for it registers metrics

    def around(self, app: ASGIApp) -> Outermost:
        """Be around ``app`` from now on: the same application, put together anew."""
        self._app.app = app
        return self

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection of the server, as ASGI 3.0 has it.

        This is no coroutine of its own, which every request would go through (benchmarks/middleware.py).
        """
        wanted = self._path
        if wanted is not None and wanted in scope.get("path", "") and _is_for(scope, wanted):
            return self._exposition(scope, receive, send)
        return self._app(scope, receive, send)


def _is_for(scope: Scope, wanted: str) -> bool:
    path: str = scope["path"]
    return scope["type"] == "http" and remove_root_path(path, scope.get("root_path", "")).rstrip("/") == wanted
