"""Starlette: the middleware around everything that Starlette itself puts around an application.

`instrument` here takes the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakSet

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.outermost import Outermost, check_path
from asyncmetrics.registry import REGISTRY, CollectorRegistry

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
    check_path(path)
    if app in _INSTRUMENTED:
        return app
    build = app.build_middleware_stack
    outermost = Outermost(app.router, path, registry, **options)  # now, so that what is wrong is told now
    app.build_middleware_stack = lambda: outermost.around(build())  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # it has served already
        app.middleware_stack = outermost.around(app.middleware_stack)
    _INSTRUMENTED.add(app)
    return app
