"""Starlette: the middleware goes around all middleware that Starlette puts around an application.

`instrument` here has the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakSet

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.options import (
    INSTRUMENT_DEFAULTS,
    InstrumentOptions,
    check_options,
    log_ignored_options,
)
from asyncmetrics.integrations.outermost import Outermost
from asyncmetrics.middleware.options import show_options
from asyncmetrics.typing import Unpack

try:
    from starlette.applications import Starlette
except ImportError as error:
    raise MissingExtraError("instrumenting a Starlette application", "starlette", "starlette") from error

__all__ = ("instrument",)

S = TypeVar("S", bound=Starlette)

_INSTRUMENTED_APPS: WeakSet[Starlette] = WeakSet()


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: S, **options: Unpack[InstrumentOptions]) -> S:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing."""
    complete = check_options(options)
    if app in _INSTRUMENTED_APPS:
        log_ignored_options(app, options)
        return app
    build = app.build_middleware_stack
    outermost = Outermost(app.router, complete)  # not in the lambda, so that a wrong option is an error of this call
    app.build_middleware_stack = lambda: outermost.wrap(build())  # type: ignore[method-assign]
    if app.middleware_stack is not None:  # the application has served requests, so its stack is built
        app.middleware_stack = outermost.wrap(app.middleware_stack)
    _INSTRUMENTED_APPS.add(app)
    return app
