"""`RemoteCall`: a call in another process, whose times come back with its result or its exception.

*Theory of operation.*

1. A `RemoteCall` is pickled to the process, and calls the function there.
2. What it returns or raises is pickled as a call of `_receive` or of `_receive_error`, with the times.
3. When the parent unpickles it, this function records the times, and returns the plain result or exception. So the
   program never sees an object of this module, nor does a result that cannot be pickled fail in another way.

*Rule.* Import little: each process that is spawned imports this module. The clock of `perf_counter` is the same one in
all processes of a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple, Protocol, final
from weakref import WeakValueDictionary

__all__ = ("RemoteCall", "listen")


class _Listener(Protocol):
    def observe_wait(self, seconds: float) -> None: ...
    def observe_run(self, function: str, seconds: float) -> None: ...


_LISTENERS: WeakValueDictionary[int, Any] = WeakValueDictionary()
_keys = count(1)


def listen(listener: _Listener) -> int:
    """Return the key by which ``listener`` gets the times of remote calls, as long as it exists."""
    key = next(_keys)
    _LISTENERS[key] = listener
    return key


class _Times(NamedTuple):
    key: int
    function: str
    wait: float
    run: float


@final
class RemoteCall:
    """A function for another process. ``submitted`` is when the call began to wait; ``name`` is its label."""

    def __init__(self, function: Callable[..., Any], key: int, name: str, submitted: float) -> None:
        self._function = function
        self._key = key
        self._name = name
        self._submitted = submitted

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; return its result, or raise its exception, with the times."""
        started = perf_counter()
        try:
            result = self._function(*args, **kwargs)
        except BaseException as error:
            _attach(error, self._measure(started))
            raise
        return _Result(result, self._measure(started))

    def _measure(self, started: float) -> _Times:
        return _Times(self._key, self._name, max(0.0, started - self._submitted), perf_counter() - started)


@final
class _Result:
    """A result on its way back."""

    def __init__(self, result: Any, times: _Times) -> None:
        self._result = result
        self._times = times

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, (self._result, tuple(self._times))


def _attach(error: BaseException, times: _Times) -> None:
    """Let ``error`` be pickled with the times, once.

    The process formats the traceback of the exception that it gets, with all that Python knows of its class: the
    exceptions of a group, the line of a SyntaxError, the name that a NameError suggests. So no other exception can
    take its place.
    """
    members = error.__dict__  # a class may refuse to set attributes

    def reduce(_protocol: object) -> tuple[Any, ...]:
        del members["__reduce_ex__"]  # pickle finds this function before the method of the class
        return _receive_error, (error, tuple(times))

    members["__reduce_ex__"] = reduce


def _receive(result: Any, times: tuple[Any, ...]) -> Any:
    _record(_Times(*times))
    return result


def _receive_error(error: Any, times: tuple[Any, ...]) -> Any:
    _record(_Times(*times))
    return error


def _record(times: _Times) -> None:
    listener = _LISTENERS.get(times.key)
    if listener is not None:  # else the executor is measured no more
        listener.observe_wait(times.wait)
        listener.observe_run(times.function, times.run)
