"""Results that are not finished when their function returns: they are measured to their end.

To follow one more type of result, add it and its follower to `_TYPES`. The table has the names of modules, since
importing them would take 22 ms: if a module was never imported, there is no object of its types.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any, TypeAlias, cast, final

from asyncmetrics.wrapping.kinds import wrap_async_generator, wrap_awaitable, wrap_generator
from asyncmetrics.wrapping.steps import Measure, Started, call_end

__all__ = ("FOLLOWERS", "Follower")

_log = logging.getLogger("asyncmetrics")

Follower: TypeAlias = Callable[[Any, Measure, Started, float], Any]
"""Returns the result measured: takes it, the measure, the functions of the call that has begun, and when it began."""


def _follow_coroutine(result: Awaitable[object], measure: Measure, started: Started, _: float) -> object:
    _undo(started)
    return wrap_awaitable(result, measure)


def _follow_generator(result: Any, measure: Measure, started: Started, _: float) -> object:
    _undo(started)
    return wrap_generator(lambda: result, measure, lambda *_: measure)()


def _follow_async_generator(result: Any, measure: Measure, started: Started, _: float) -> object:
    _undo(started)
    return wrap_async_generator(lambda: result, measure, lambda *_: measure)()


def _undo(started: Started) -> None:
    """Undo the beginning: the work is still to come, so it begins again with the first step."""
    if started[2]:
        started[2]()


def _follow_future(future: Any, _: Measure, started: Started, began: float) -> object:
    end, fail, _undo = started
    future.add_done_callback(lambda done: call_end(end, fail, perf_counter() - began, _get_error(done)))
    return future


def _get_error(done: Any) -> BaseException | None:
    """Return the exception of a future that is done."""
    if done.cancelled():
        from asyncio import CancelledError  # 22 ms, and an executor alone does not import it

        return CancelledError()
    # Calling `exception()` would tell asyncio that the program has seen the exception: it would not be logged.
    return cast("BaseException | None", done._exception)


_TYPES: tuple[tuple[str, str, Follower], ...] = (
    ("types", "CoroutineType", _follow_coroutine),
    ("types", "GeneratorType", _follow_generator),
    ("types", "AsyncGeneratorType", _follow_async_generator),
    ("asyncio", "Future", _follow_future),
    ("concurrent.futures", "Future", _follow_future),
)

# contextlib's own names of these types are private.
_CONTEXT_MANAGERS = tuple(type(make(lambda: cast(Any, None))()) for make in (contextmanager, asynccontextmanager))

_MAX_TYPES = 1000  # a program may create types without end


@final
class _Followers(dict[type, "Follower | None"]):
    """The follower of each type of result, found at the first look-up; None if a result of the type is finished."""

    def __missing__(self, kind: type) -> Follower | None:
        follower = next((follow for module, name, follow in _TYPES if _is_subclass(kind, module, name)), None)
        if follower is None and (hasattr(kind, "__await__") or issubclass(kind, _CONTEXT_MANAGERS)):
            _log.warning(
                "a measured function returned an object of type %s.%s, whose work is still to come: only the call was "
                "measured; measure the function that awaits or enters the object instead",
                kind.__module__,
                kind.__qualname__,
            )
        if len(self) >= _MAX_TYPES:
            self.clear()
        self[kind] = follower
        return follower


def _is_subclass(kind: type, module: str, name: str) -> bool:
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and issubclass(kind, base)


FOLLOWERS = _Followers()
