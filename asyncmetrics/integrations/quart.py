"""Quart: the middleware around ``app.asgi_app``, and a function before each request that tells which rule it matched.

`instrument` here takes the arguments of `asyncmetrics.instrument`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakSet

from asyncmetrics.errors import MissingExtraError
from asyncmetrics.integrations.outermost import Outermost, check_path
from asyncmetrics.middleware.scope import EXCEPTION_KEY, ROUTE_KEY, set_scope_value
from asyncmetrics.registry import REGISTRY, CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.typing import Scope

try:
    from quart import Quart, request, websocket
    from quart.signals import got_request_exception, got_websocket_exception
    from werkzeug.exceptions import MethodNotAllowed
except ImportError as error:
    raise MissingExtraError("instrumenting a Quart application", "quart", "quart") from error

__all__ = ("instrument",)

Q = TypeVar("Q", bound=Quart)

_INSTRUMENTED: WeakSet[Quart] = WeakSet()


def instrument(app: Q, *, path: str | None = "/metrics", registry: CollectorRegistry = REGISTRY, **options: Any) -> Q:
    """Measure ``app``, serve its metrics at ``path`` (None: nowhere), and return it; a second call does nothing.

    ``options`` are those of `MetricsMiddleware`.
    """
    check_path(path)
    if app not in _INSTRUMENTED:
        application: Any = app
        application.asgi_app = Outermost(application.asgi_app, path, registry, **options)
        # The first of all, since one that answers early leaves the others out.
        application.before_request_funcs[None].insert(0, _telling(application, request, registry))
        application.before_websocket_funcs[None].insert(0, _telling(application, websocket, registry))
        got_request_exception.connect(_tell_request_exception, app)
        got_websocket_exception.connect(_tell_websocket_exception, app)
        _INSTRUMENTED.add(app)
    return app


# Coroutine functions, since Quart runs any other receiver in a thread.
async def _tell_request_exception(_: Quart, exception: Exception, **__: object) -> None:
    set_scope_value(_scope_of(request), EXCEPTION_KEY, exception)


async def _tell_websocket_exception(_: Quart, exception: Exception, **__: object) -> None:
    set_scope_value(_scope_of(websocket), EXCEPTION_KEY, exception)


def _scope_of(connection: Any) -> Scope:
    scope: Scope = connection.scope
    return scope


def _telling(app: Any, connection: Any, registry: CollectorRegistry) -> Callable[[], Awaitable[None]]:
    async def tell_route() -> None:  # a coroutine function: Quart runs any other callable in a thread
        try:
            rule = connection.url_rule or _rule_of_other_methods(app, connection)
            if rule is not None:
                set_scope_value(connection.scope, ROUTE_KEY, rule.rule)
        except Exception:  # noqa: BLE001  # framework internals that moved cost a label, never a request
            get_self_metrics(registry).count_internal_error("integrations.quart")

    return tell_route


def _rule_of_other_methods(app: Any, connection: Any) -> Any:
    """Return the rule of a path that is not for this method (405), which Quart does not tell; else None."""
    refusal = connection.routing_exception
    if not isinstance(refusal, MethodNotAllowed) or not refusal.valid_methods:
        return None
    method = next(iter(refusal.valid_methods))
    return app.create_url_adapter(connection).match(method=method, return_rule=True)[0]
