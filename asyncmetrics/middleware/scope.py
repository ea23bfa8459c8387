"""The keys of ASGI scopes that the middleware reads and writes, and how the integration of a framework sets them.

The middleware labels a request by its route, which only the framework's router knows. An integration writes the route
into the request's scope, and the exception that the framework turns into its own response::

    set_scope_value(scope, ROUTE_KEY, "/orders/{order}")
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from asyncmetrics.typing import SCRAPE_KEY, Scope

__all__ = (
    "EXCEPTION_KEY",
    "MEASURED_KEY",
    "ON_LOOP_KEY",
    "ROUTE_KEY",
    "SCRAPE_KEY",
    "MeasuredRequest",
    "remove_root_path",
    "set_scope_value",
)

ROUTE_KEY = "asyncmetrics.route"
"""The route template of a request, such as ``/orders/{order}``; it becomes the label ``route``."""

EXCEPTION_KEY = "asyncmetrics.exception"
"""The exception that a framework turns into a response, or into none, instead of raising it."""

MEASURED_KEY = "asyncmetrics.measured"
"""The `MeasuredRequest` that the middleware sets; middleware inside passes a request that has the key on unmeasured."""

ON_LOOP_KEY = "asyncmetrics.on_loop"
"""The `OnLoopTime` of the request, until the middleware takes it at the end."""


class MeasuredRequest(ABC):
    """A request that is being measured. All copies of its scope have this one object."""

    __slots__ = ()

    @abstractmethod
    def set_scope_value(self, key: str, value: object) -> None:
        """Set a value of the scope that is measured, unless it is set or the request has ended."""

    def __deepcopy__(self, _: object) -> MeasuredRequest:
        return self  # a deep copy of the scope is one of the same request


def set_scope_value(scope: Scope, key: str, value: object) -> None:
    """Set ``scope[key]`` unless it is set, in this scope and in the one that the middleware measures.

    The two differ where other middleware copies the scope, as hypercorn's ``ProxyFixMiddleware`` does. A copy has the
    original's `MEASURED_KEY`, which leads to the original.
    """
    scope.setdefault(key, value)
    measured = scope.get(MEASURED_KEY)
    if isinstance(measured, MeasuredRequest):
        measured.set_scope_value(key, value)


def remove_root_path(path: str, root: str) -> str:
    """Return ``path`` without ``root``, which ends where a segment ends: ``/apiary`` is not below ``/api``."""
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    return path if rest and rest[0] != "/" else rest
