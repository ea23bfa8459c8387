"""Starlette: the middleware goes around all middleware that Starlette puts around an application.

`instrument` here has the arguments of `asyncmetrics.instrument`.

*Theory of operation.* Other libraries replace ``app.build_middleware_stack``, walk the stack of middleware, and assign
``app.middleware_stack``, in any order. They find what Starlette makes, and what they assign is measured:

1. The application gets a class of its own, derived from its class, in which ``middleware_stack`` is a `_MeasuredStack`.
   Starlette assigns the stack there when it has built it, at the first connection.
2. The outermost object of that stack gets a class of its own, whose calls go to `Outermost`. It keeps its attributes,
   and is an instance of the class that it had.
3. When another stack is assigned, the object of the former stack gets its class back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, final

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.options import (
    INSTRUMENT_DEFAULTS,
    InstrumentOptions,
    check_options,
    log_ignored_options,
)
from asyncmetrics.integrations.outermost import Outermost, find_outermost, uninstrument
from asyncmetrics.middleware.options import show_options
from asyncmetrics.middleware.routes.table import RouteTable
from asyncmetrics.patching import replace_class
from asyncmetrics.typing import ASGIApp, Receive, Scope, Send, Unpack

try:
    from starlette.applications import Starlette
except ImportError as error:
    raise MissingExtraError("instrumenting a Starlette application", "starlette", "starlette") from error

__all__ = ("instrument", "uninstrument")

S = TypeVar("S", bound=Starlette)


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: S, **options: Unpack[InstrumentOptions]) -> S:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing."""
    complete = check_options(options)
    if find_outermost(app):
        log_ignored_options(app, options)
        return app
    outermost = Outermost(app, app.router, complete, lambda path: _has_route(app, path))
    stack = _MeasuredStack(outermost)
    outermost.undo.callback(replace_class(app, middleware_stack=stack))
    outermost.undo.callback(stack.release, app)
    app.middleware_stack = app.middleware_stack  # it is measured now, if the application has built it already
    outermost.register()
    outermost.warn_of_own_route()
    return app


def _has_route(app: Starlette, path: str) -> bool:
    # The index of the middleware counts the routes that are not understood.
    return any(entry.serves_only(path) for entry in RouteTable(app.router, lambda: None).entries)


@final
class _MeasuredStack:
    """The attribute ``middleware_stack`` of one application: calls of what is assigned go to ``outermost``.

    It has no ``__get__``, so Python reads the attribute from the application, without a call for each request.
    """

    def __init__(self, outermost: Outermost) -> None:
        self._outermost: Outermost | None = outermost
        self._restore: Callable[[], None] = _do_nothing

    def __set__(self, app: Starlette, stack: ASGIApp | None) -> None:
        self._restore()
        self._restore = _do_nothing
        if stack is not None and self._outermost is not None:
            stack = self._measure(stack, self._outermost)
        vars(app)["middleware_stack"] = stack

    def release(self, app: Starlette) -> None:
        """Take the stack out of the measuring, and leave all stacks that are assigned later as they are."""
        self._outermost = None
        stack = app.middleware_stack
        app.middleware_stack = stack.app if isinstance(stack, _Wrapper) else stack

    def _measure(self, stack: ASGIApp, outermost: Outermost) -> ASGIApp:
        target: Any = stack
        outermost.app.replace_app(target.__call__)  # of its class up to here
        try:
            self._restore = replace_class(target, __call__=outermost.__call__)
        except TypeError:
            target = _Wrapper(stack)
            self._restore = replace_class(target, __call__=outermost.__call__)
        return target  # type: ignore[no-any-return]


class _Wrapper:
    """A stack whose class cannot be replaced, such as a function."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, send)


def _do_nothing() -> None:
    pass
