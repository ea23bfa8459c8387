"""The wrapper that every integration puts around an application: the middleware, and the exposition around that."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast, final

from asyncmetrics.exposition import make_asgi_app
from asyncmetrics.integrations.options import InstrumentOptions
from asyncmetrics.middleware import MetricsMiddleware, MiddlewareOptions
from asyncmetrics.middleware.options import MIDDLEWARE_DEFAULTS
from asyncmetrics.middleware.scope import remove_root_path
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("Outermost",)


@final
class Outermost:
    """Answer requests to the path of the exposition, even if ``app`` has such a route, and measure all others.

    ``options`` are complete: `check_options` has returned them.
    """

    def __init__(self, app: ASGIApp, options: InstrumentOptions) -> None:
        path = options["path"]
        self._path = None if path is None else path.rstrip("/")
        self._exposition = make_asgi_app(
            options["registry"], auth=options["auth"], max_concurrent=options["max_concurrent"]
        )
        # The last step, since it registers metrics, which a wrong option above must not leave behind.
        own = {name: value for name, value in options.items() if name in MIDDLEWARE_DEFAULTS}
        self._app = MetricsMiddleware(app, **cast(MiddlewareOptions, own))

    def wrap(self, app: ASGIApp) -> Outermost:
        """Measure ``app`` from now on, which is the same application with another stack of middleware."""
        self._app.app = app
        return self

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection of the server, as ASGI 3.0 specifies.

        This is not a coroutine function: each request would go through one more coroutine (benchmarks/middleware.py).
        """
        path = self._path
        # The first test is cheap, and excludes almost all requests.
        if path is not None and path in scope.get("path", "") and _is_for(scope, path):
            return self._exposition(scope, receive, send)
        return self._app(scope, receive, send)


def _is_for(scope: Scope, path: str) -> bool:
    """Return whether a request is for ``path`` below the root path, with or without a slash at the end."""
    requested: str = scope["path"]
    return scope["type"] == "http" and remove_root_path(requested, scope.get("root_path", "")).rstrip("/") == path
