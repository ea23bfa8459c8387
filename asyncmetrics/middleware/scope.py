"""The keys of ASGI scopes that the middleware reads and writes, and how the integration of a framework sets them.

The middleware labels a request by its route, which only the framework's router knows. An integration writes the route
into the request's scope, and the exception that the framework turns into its own response::

    set_scope_value(scope, ROUTE_KEY, "/orders/{order}")
"""

from __future__ import annotations

from typing import Protocol

from asyncmetrics.typing import SCRAPE_KEY, Scope

__all__ = ("EXCEPTION_KEY", "MEASURED_KEY", "ROUTE_KEY", "SCRAPE_KEY", "remove_root_path", "set_scope_value")

ROUTE_KEY = "asyncmetrics.route"
"""The route template of a request, such as ``/orders/{order}``; it becomes the label ``route``."""

EXCEPTION_KEY = "asyncmetrics.exception"
"""The exception that a framework turns into a response with a 5xx status, instead of raising it."""

MEASURED_KEY = "asyncmetrics.measured"
"""Set by the middleware that measures a request; middleware inside passes such a request on without measuring it."""


class _Measured(Protocol):
    """The value of `MEASURED_KEY`: a request that is being measured."""

    def set_scope_value(self, key: str, value: object) -> None: ...


def set_scope_value(scope: Scope, key: str, value: object) -> None:
    """Set ``scope[key]`` unless it is set, in this scope and in the one that the middleware measures.

    The two differ where other middleware copies the scope, as hypercorn's ``ProxyFixMiddleware`` does. A copy has the
    original's `MEASURED_KEY`, which leads to the original.
    """
    scope.setdefault(key, value)
    measured: _Measured | None = scope.get(MEASURED_KEY)
    if measured is not None:
        measured.set_scope_value(key, value)


def remove_root_path(path: str, root: str) -> str:
    """Return ``path`` without ``root``, which ends where a segment ends: ``/apiary`` is not below ``/api``."""
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return path if rest and rest[0] != "/" else rest
