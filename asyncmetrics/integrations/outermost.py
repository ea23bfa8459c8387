"""The wrapper that every integration puts around an application: the middleware, and the exposition around that.

*Theory of operation.* An `Outermost` is also the record of one instrumented application.

1. ``instrument`` creates an `Outermost`, and puts it where the framework calls it instead of the application. Each
   change of the application adds the step that takes it back to `Outermost.undo`.
2. `Outermost.register` ends that. From here on `find_outermost` finds the record, so a second call changes nothing.
3. ``uninstrument`` calls `Outermost.release`, which takes the steps back. Another wrapper may hold the `Outermost` by
   then: it passes all connections on to the application.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeVar, cast, final
from weakref import WeakValueDictionary

from asyncmetrics.exposition import make_asgi_app
from asyncmetrics.exposition.live.serving import LIVE_SUFFIX
from asyncmetrics.integrations.companions import make_companions
from asyncmetrics.integrations.options import InstrumentOptions
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.middleware import MetricsMiddleware, MiddlewareOptions
from asyncmetrics.middleware.options import MIDDLEWARE_DEFAULTS
from asyncmetrics.middleware.scope import remove_root_path
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send

__all__ = ("Outermost", "find_outermost", "uninstrument")

A = TypeVar("A")
F = TypeVar("F", bound=Callable[..., object])

_log = logging.getLogger("asyncmetrics")


def _mark_coroutine_function(function: F) -> F:
    """Mark a function that returns a coroutine as one that is declared with ``async``.

    The middleware of Sentry and OpenTelemetry would take the application for one of ASGI 2 otherwise. They call
    `asyncio.iscoroutinefunction` before Python 3.12, which knows a mark of its own.
    """
    target: Any = function
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(target)
    else:
        target._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


@final
class Outermost:
    """Answer requests to the path of the exposition, even if ``target`` has such a route, and measure all others.

    ``target`` is the application as the user knows it, and ``app`` is what is called for a connection. ``options`` are
    complete: `check_options` has returned them. ``has_route`` returns whether ``target`` itself has a route for a path.
    """

    def __init__(
        self, target: object, app: ASGIApp, options: InstrumentOptions, has_route: Callable[[str], bool]
    ) -> None:
        path = options["path"]
        self.target = target  # a reference, so that no other application gets the same id
        self.undo = ExitStack()
        self._path = None if path is None else path.rstrip("/")
        self._paths = _list_paths(self._path, live=options["live"])
        self._has_route = has_route
        self._registry = options["registry"]
        self._exposition: ASGIApp = make_asgi_app(
            options["registry"],
            auth=options["auth"],
            max_concurrent=options["max_concurrent"],
            live=options["live"],
        )
        self.companions = make_companions(target, options)
        # The last step, since it registers metrics, which a wrong option above must not leave behind.
        own = {name: value for name, value in options.items() if name in MIDDLEWARE_DEFAULTS}
        self.app = MetricsMiddleware(app, **cast(MiddlewareOptions, own))
        self._serve: Callable[[Scope, Receive, Send], Awaitable[None]] = self._serve_first
        if self.companions is not None:
            self._exposition = self.companions.around(self._exposition)
            self.undo.callback(self.companions.release)

    def register(self) -> None:
        """Let `find_outermost` find this record, until `release`."""
        _OUTERMOSTS[id(self.target)] = self

    def release(self) -> None:
        """Take all changes of the application back, and pass connections on unmeasured from now on."""
        del _OUTERMOSTS[id(self.target)]
        self._path = None
        self._paths = ()
        self._serve = self.app.release()
        self.undo.close()

    @_mark_coroutine_function
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection of the server, as ASGI 3.0 specifies.

        This is not a coroutine function: each request would go through one more coroutine (benchmarks/middleware.py).
        """
        path = self._path
        # The first test is cheap, and excludes almost all requests.
        if path is not None and path in scope.get("path", "") and _get_local_path(scope) in self._paths:
            self.warn_of_own_route()
            return self._exposition(scope, receive, send)
        return self._serve(scope, receive, send)

    def _serve_first(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve the first connection, at which the application has most of its routes; later ones do not come here."""
        self._serve = self.app if self.companions is None else self.companions.around(self.app)
        self.warn_of_own_route()
        return self._serve(scope, receive, send)

    def warn_of_own_route(self) -> None:
        """Log a warning if the application has a route at a path that is served here, which gets no requests then.

        It is called when the application is instrumented, at the first connection, and at scrapes: routes may be added
        later. The warning is logged once.
        """
        path = next(filter(self._is_shadowing, self._paths), None)
        if path is None:
            return
        self._has_route = _has_no_route
        _log.warning(
            "instrument(%s): the application has a route %s of its own, which gets no more requests: asyncmetrics "
            "serves its %s there. Call instrument(app, path=...) with another path to keep both, with %s, or remove "
            "the route.",
            type(self.target).__name__,
            path,
            *_WORDS[path == self._path],
        )

    def _is_shadowing(self, path: str) -> bool:
        try:
            return self._has_route(path)
        except Exception as error:  # noqa: BLE001  # changed internals of a framework, or routes that cannot be loaded
            pass_interruption(error)
            get_self_metrics(self._registry).count_internal_error("integrations.routes")
            return False


# What is served, and how to stop it: the live page, and the metrics.
_WORDS = (("live page", "live=False to serve no page"), ("metrics", "path=None to serve no metrics"))
_OUTERMOSTS: WeakValueDictionary[int, Outermost] = WeakValueDictionary()


def find_outermost(target: object) -> Outermost | None:
    """Return the record of ``target`` if it is instrumented."""
    return _OUTERMOSTS.get(id(target))


def uninstrument(app: A) -> A:
    """Take an application out of the measuring, if it is measured, and return it."""
    outermost = find_outermost(app)
    if outermost is not None:
        outermost.release()
    return app


def _has_no_route(_: str) -> bool:
    return False


def _list_paths(path: str | None, *, live: bool) -> tuple[str, ...]:
    """Return the paths that are served beside the application, without slashes at their ends."""
    if path is None:
        return ()
    return (path, path + LIVE_SUFFIX) if live else (path,)


def _get_local_path(scope: Scope) -> str:
    """Return the path of a request below the root path, without a slash at the end; an empty text for a WebSocket."""
    path: str = scope["path"]
    return remove_root_path(path, scope.get("root_path", "")).rstrip("/") if scope["type"] == "http" else ""
