"""Quart: the middleware around ``app.asgi_app``, and a function before each request that writes its route.

`instrument` here has the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.options import (
    INSTRUMENT_DEFAULTS,
    InstrumentOptions,
    check_options,
    log_ignored_options,
)
from asyncmetrics.integrations.outermost import Outermost, find_outermost, uninstrument
from asyncmetrics.integrations.templates import make_template
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.middleware.options import show_options
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import Scope, Unpack

try:
    from quart import Quart, request, websocket
    from quart.signals import got_request_exception, got_websocket_exception
    from werkzeug.exceptions import MethodNotAllowed
except ImportError as error:
    raise MissingExtraError("instrumenting a Quart application", "quart", "quart") from error

__all__ = ("instrument", "uninstrument")

Q = TypeVar("Q", bound=Quart)


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: Q, **options: Unpack[InstrumentOptions]) -> Q:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing."""
    complete = check_options(options)
    if find_outermost(app):
        log_ignored_options(app, options)
        return app
    application: Any = app
    outermost = Outermost(app, application.asgi_app, complete, lambda path: _has_route(application, path))
    _put_around(application, outermost)
    _write_routes(application, outermost, complete["registry"])
    for signal, receiver in (
        (got_request_exception, _write_request_exception),
        (got_websocket_exception, _write_websocket_exception),
    ):
        signal.connect(receiver, app)
        outermost.undo.callback(signal.disconnect, receiver, app)
    outermost.register()
    outermost.warn_of_own_route()
    return app


def _put_around(app: Any, outermost: Outermost) -> None:
    """Let ``app`` call ``outermost``; undo it unless another wrapper is around ``outermost`` by then."""
    own = vars(app).get("asgi_app")  # what another wrapper has put there, if any
    app.asgi_app = outermost

    def restore() -> None:
        if app.asgi_app is outermost:
            del app.asgi_app  # from here on Python finds the method of the class
            if own is not None:
                app.asgi_app = own

    outermost.undo.callback(restore)


def _write_routes(app: Any, outermost: Outermost, registry: CollectorRegistry) -> None:
    """Let ``app`` call a function first that writes the route: Quart calls none after one that returns a response."""
    for functions, connection in ((app.before_request_funcs, request), (app.before_websocket_funcs, websocket)):
        write = _make_route_writer(app, connection, registry)
        functions[None].insert(0, write)
        outermost.undo.callback(functions[None].remove, write)


def _has_route(app: Any, path: str) -> bool:
    return any(rule.rule.rstrip("/") == path for rule in app.url_map.iter_rules() if not rule.websocket)


# Coroutine functions, since Quart runs any other receiver in a thread.
async def _write_request_exception(_: Quart, exception: Exception, **__: object) -> None:
    set_scope_value(_get_scope(request), EXCEPTION_KEY, exception)


async def _write_websocket_exception(_: Quart, exception: Exception, **__: object) -> None:
    set_scope_value(_get_scope(websocket), EXCEPTION_KEY, exception)


def _get_scope(connection: Any) -> Scope:
    scope: Scope = connection.scope
    return scope


def _make_route_writer(app: Any, connection: Any, registry: CollectorRegistry) -> Callable[[], Awaitable[None]]:
    async def write_route() -> None:  # a coroutine function, since Quart runs any other callable in a thread
        try:
            rule = connection.url_rule or _find_rule_of_405(app, connection)
            if rule is not None:
                set_scope_value(connection.scope, ROUTE_KEY, make_template(rule.rule))
        except Exception as error:  # noqa: BLE001  # changed internals of a framework cost a label, never a request
            pass_interruption(error)
            get_self_metrics(registry).count_internal_error("integrations.quart")

    return write_route


def _find_rule_of_405(app: Any, connection: Any) -> Any:
    """Return the rule of a path that has no handler for the method, which Quart does not write; else None."""
    refusal = connection.routing_exception
    if not isinstance(refusal, MethodNotAllowed) or not refusal.valid_methods:
        return None
    method = next(iter(refusal.valid_methods))
    return app.create_url_adapter(connection).match(method=method, return_rule=True)[0]
