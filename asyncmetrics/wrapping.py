"""The wrappers of callables, one for each kind: each calls one function before the callable and one after it.

`_KINDS` decides which wrapper a callable gets. A plain function that returns a coroutine is timed to the end of that
coroutine (`_wrap_function`).

*Rules.* Keep the state of a call in the frame of the call. Keep the kind of the callable: a wrapped coroutine function
is one, and so are generators and async generators. The wrappers repeat a few lines, since a context manager that they
shared would add two Python calls to each call: benchmarks/decorators.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from time import perf_counter
from types import CoroutineType
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

__all__ = ("Chooser", "Steps", "call_end", "wrap_awaitable", "wrap_callable")

P = ParamSpec("P")
T = TypeVar("T")
Y = TypeVar("Y")  # what a generator yields
S = TypeVar("S")  # what is sent into it

Steps: TypeAlias = tuple[
    Callable[[float], object],
    Callable[[float, BaseException], object] | None,
    Callable[[], object] | None,
    Callable[[], object] | None,
]
"""``end``, ``fail``, ``begin`` and ``discard`` of an `asyncmetrics.timing.Measure`.

An exact tuple unpacks faster than a named one: benchmarks/decorators.py.
"""

Chooser: TypeAlias = Callable[[tuple[object, ...], Mapping[str, object]], Steps]
"""Returns the steps for a call with these arguments."""


def call_end(
    end: Callable[[float], object],
    fail: Callable[[float, BaseException], object] | None,
    seconds: float,
    error: BaseException | None,
) -> None:
    """Call ``fail`` if there is an exception and a ``fail``, else ``end``."""
    if error is None or fail is None:
        end(seconds)
    else:
        fail(seconds, error)


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


def wrap_awaitable(awaitable: Awaitable[T], steps: Steps) -> Coroutine[Any, Any, T]:
    """Return a coroutine that awaits ``awaitable`` and calls the steps around it."""
    return _wrap_coroutine(_wait, steps, lambda _args, _kwargs: steps)(awaitable)


def wrap_callable(function: Callable[P, object], fixed: Steps | None, choose: Chooser) -> Callable[P, object]:
    """Return ``function`` wrapped in the steps; the wrapper is of the same kind and has the same signature.

    The steps are ``fixed``, or what ``choose`` returns for the arguments of each call where ``fixed`` is None.
    """
    code: object = function
    while isinstance(code, functools.partial):
        code = code.func
    if not (inspect.isroutine(code) or inspect.isclass(code)):
        code = type(code).__call__  # an object that is callable is of the kind of its __call__
    wrapper = next((wrap for is_kind, wrap in _KINDS if is_kind(code)), _wrap_function)
    return functools.wraps(function)(wrapper(function, fixed, choose))


def _wrap_function(function: Callable[P, T], fixed: Steps | None, choose: Chooser) -> Callable[P, T]:
    def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        end, fail, begin, discard = steps = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise
        if type(result) is CoroutineType:  # a plain function that returns a coroutine: the work is still to come
            if discard:
                discard()
            return cast(T, wrap_awaitable(cast(Awaitable[object], result), steps))
        end(perf_counter() - started)
        return result

    return measured


def _time_coroutine(
    function: Callable[P, Coroutine[Any, Any, T]], end: Callable[[float], object]
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Wrap for the most frequent case, a timer alone, without the branches that it never takes."""

    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        started = perf_counter()
        try:
            return await function(*args, **kwargs)
        finally:
            end(perf_counter() - started)

    return measured


def _wrap_coroutine(
    function: Callable[P, Coroutine[Any, Any, T]], fixed: Steps | None, choose: Chooser
) -> Callable[P, Coroutine[Any, Any, T]]:
    if fixed and fixed[1:] == (None, None, None):  # benchmarks/decorators.py: within 3 empty wrappers
        return _time_coroutine(function, fixed[0])

    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def _wrap_generator(
    function: Callable[P, Generator[Y, S, T]], fixed: Steps | None, choose: Chooser
) -> Callable[P, Generator[Y, S, T]]:
    def measured(*args: P.args, **kwargs: P.kwargs) -> Generator[Y, S, T]:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def _wrap_async_generator(
    function: Callable[P, AsyncGenerator[Y, S]], fixed: Steps | None, choose: Chooser
) -> Callable[P, AsyncGenerator[Y, S]]:
    async def measured(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Y, S]:
        end, fail, begin, _ = fixed or choose(args, kwargs)
        if begin:
            begin()
        started = perf_counter()
        try:
            generator = function(*args, **kwargs)
            step: Awaitable[Y] = generator.__anext__()
            while True:
                value = await step
                try:
                    sent = yield value
                except GeneratorExit:  # closed early: close the wrapped one now, not when it is collected
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # athrow() passes it to the generator
                    step = generator.athrow(error)
                else:
                    step = generator.asend(sent)
        except StopAsyncIteration:
            end(perf_counter() - started)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise

    return measured


_KINDS: tuple[tuple[Callable[[object], bool], Callable[..., Callable[..., object]]], ...] = (
    (inspect.isasyncgenfunction, _wrap_async_generator),
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isgeneratorfunction, _wrap_generator),
)
