"""The wrappers of coroutine functions, generator functions and async generator functions.

*Rules.* Keep the state of a call in the frame of the call. Keep the kind of the callable: a wrapped coroutine function
is one, and so are generators and async generators. The wrappers repeat a few lines, since a context manager that they
shared would add two Python calls to each call: benchmarks/decorators.py.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from time import perf_counter
from typing import Any, ParamSpec, TypeAlias, TypeVar

from asyncmetrics.wrapping.steps import Chooser, End, Measure, call_end

__all__ = ("Wrapper", "find_wrapper", "wrap_async_generator", "wrap_awaitable", "wrap_generator")

P = ParamSpec("P")
T = TypeVar("T")
Y = TypeVar("Y")  # what a generator yields
S = TypeVar("S")  # what is sent into it

Wrapper: TypeAlias = Callable[[Callable[..., Any], Measure | None, Chooser], Callable[..., Any]]
"""Returns a callable wrapped. The measure is the second argument or, if that is None, what the chooser returns."""


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


def wrap_awaitable(awaitable: Awaitable[T], measure: Measure) -> Coroutine[Any, Any, T]:
    """Return a coroutine that awaits ``awaitable`` and is measured."""
    return _wrap_coroutine(_wait, measure, lambda _args, _kwargs: measure)(awaitable)


def _time_coroutine(function: Callable[P, Coroutine[Any, Any, T]], end: End) -> Callable[P, Coroutine[Any, Any, T]]:
    """Wrap for the most frequent case, a timer alone, without the branches that it never takes."""

    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        started = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call_end(end, None, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def _wrap_coroutine(
    function: Callable[P, Coroutine[Any, Any, T]], fixed: Measure | None, choose: Chooser
) -> Callable[P, Coroutine[Any, Any, T]]:
    if fixed and fixed[1:] == (None, None):  # benchmarks/decorators.py: within 3 empty wrappers
        return _time_coroutine(function, fixed[0])

    async def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        end, fail, begin = fixed or choose(args, kwargs)
        if begin:
            end, fail, _ = begin()
        started = perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def wrap_generator(
    function: Callable[P, Generator[Y, S, T]], fixed: Measure | None, choose: Chooser
) -> Callable[P, Generator[Y, S, T]]:
    """Return a generator function wrapped, as a `Wrapper` does."""

    def measured(*args: P.args, **kwargs: P.kwargs) -> Generator[Y, S, T]:
        end, fail, begin = fixed or choose(args, kwargs)
        if begin:
            end, fail, _ = begin()
        started = perf_counter()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - started, error)
            raise
        end(perf_counter() - started)
        return result

    return measured


def wrap_async_generator(
    function: Callable[P, AsyncGenerator[Y, S]], fixed: Measure | None, choose: Chooser
) -> Callable[P, AsyncGenerator[Y, S]]:
    """Return an async generator function wrapped, as a `Wrapper` does."""

    async def measured(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Y, S]:
        end, fail, begin = fixed or choose(args, kwargs)
        if begin:
            end, fail, _ = begin()
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


_KINDS: tuple[tuple[Callable[[object], bool], Wrapper], ...] = (
    (inspect.isasyncgenfunction, wrap_async_generator),
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isgeneratorfunction, wrap_generator),
)


def find_wrapper(function: object) -> Wrapper | None:
    """Return the wrapper of a coroutine function, generator function or async generator function; None for others."""
    return next((wrap for is_kind, wrap in _KINDS if is_kind(function)), None)
