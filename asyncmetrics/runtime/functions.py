"""The names of functions as label values: ``module:qualname``, of the function that a wrapper or a partial calls."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from asyncmetrics.interruptions import pass_interruption

__all__ = ("name_function",)

_MOST_PARTIALS = 10


def name_function(function: Any) -> str:
    """Return the name of the function that ``function`` calls; of its class, if it has no name.

    `asyncio.to_thread`, the executors and frameworks call the function of the program through partials of their own.
    """
    try:
        return _find_name(function)
    except Exception as error:  # noqa: BLE001  # an attribute of the program's object: the call must not fail
        pass_interruption(error)
        return _name_class(function)


def _find_name(function: Any) -> str:
    for _ in range(_MOST_PARTIALS):
        if type(function) is not partial:
            break
        function = _open(function)
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):  # a proxy may have any attribute: its text may be another one for each object
        return _name_class(function)
    module = getattr(function, "__module__", None)  # a method of an object in C has none
    if not isinstance(module, str):
        owner = getattr(function, "__self__", None)
        module = type(owner).__module__
    return f"{module}:{name}"


_CARRIERS: dict[tuple[str, str], Callable[[partial[Any]], Any]] = {
    ("concurrent.futures.process", "_process_chunk"): lambda one: one.args[0],  # of ProcessPoolExecutor.map
    ("fastapi.telemetry._api", "_run_sync_endpoint"): lambda one: one.keywords["function"],
    ("asgiref.sync", "SyncToAsync.thread_handler"): lambda one: one.args[-1],  # of sync_to_async in Django
}
"""Functions that call one of their arguments, by module and qualified name: where a partial has this argument."""


def _open(wrapper: partial[Any]) -> Any:
    """Return the function that a partial calls, or the argument that this function calls, as `Context.run` does."""
    function = wrapper.func
    if wrapper.args and isinstance(getattr(function, "__self__", None), Context):
        return wrapper.args[0]
    key: Any = (getattr(function, "__module__", None), getattr(function, "__qualname__", None))
    try:
        find = _CARRIERS.get(key)
        return function if find is None else find(wrapper)
    except (LookupError, TypeError):  # another version of the library, with other arguments
        return function


def _name_class(function: object) -> str:
    kind = type(function)
    return f"{kind.__module__}:{kind.__qualname__}"
