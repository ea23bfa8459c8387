"""Quart: the middleware around ``app.asgi_app``, and a function before each request that writes its route.

`instrument` here has the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
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

__all__ = ("instrument",)

Q = TypeVar("Q", bound=Quart)

_INSTRUMENTED_APPS: WeakSet[Quart] = WeakSet()


@show_options(InstrumentOptions, INSTRUMENT_DEFAULTS)
def instrument(app: Q, **options: Unpack[InstrumentOptions]) -> Q:
    """Measure ``app``, serve its metrics, and return it; a second call changes nothing."""
    complete = check_options(options)
    if app in _INSTRUMENTED_APPS:
        log_ignored_options(app, options)
        return app
    application: Any = app
    application.asgi_app = Outermost(application.asgi_app, complete)
    # The first functions, since Quart does not call those after one that returns a response.
    registry = complete["registry"]
    application.before_request_funcs[None].insert(0, _make_route_writer(application, request, registry))
    application.before_websocket_funcs[None].insert(0, _make_route_writer(application, websocket, registry))
    got_request_exception.connect(_write_request_exception, app)
    got_websocket_exception.connect(_write_websocket_exception, app)
    _INSTRUMENTED_APPS.add(app)
    return app


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
                set_scope_value(connection.scope, ROUTE_KEY, rule.rule)
        except Exception:  # noqa: BLE001  # changed internals of a framework cost a label, never a request
            get_self_metrics(registry).count_internal_error("integrations.quart")

    return write_route


def _find_rule_of_405(app: Any, connection: Any) -> Any:
    """Return the rule of a path that has no handler for the method, which Quart does not write; else None."""
    refusal = connection.routing_exception
    if not isinstance(refusal, MethodNotAllowed) or not refusal.valid_methods:
        return None
    method = next(iter(refusal.valid_methods))
    return app.create_url_adapter(connection).match(method=method, return_rule=True)[0]
