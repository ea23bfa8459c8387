"""Every kind of callable that can be decorated."""

from __future__ import annotations

import functools
import inspect

__all__ = (
    "CALLABLES",
    "AsyncCallable",
    "Callable_",
    "Methods",
    "async_generator",
    "consume",
    "coroutine",
    "function",
    "generator",
    "in_front",
)


class Callable_:
    def __call__(self, x):
        return x


class AsyncCallable:
    async def __call__(self, x):
        return x


class Methods:
    def plain(self, x):
        return x

    async def coroutine(self, x):
        return x

    @classmethod
    async def of_class(cls, x):
        return x

    @staticmethod
    def static(x):
        return x


def function(x: int, *, y: int = 0) -> int:
    """Return x."""
    return x


async def coroutine(x: int, *, y: int = 0) -> int:
    """Return x."""
    return x


def generator(x: int):
    """Yield x."""
    yield x


async def async_generator(x: int):
    """Yield x."""
    yield x


def in_front(x):
    return coroutine(x)


CALLABLES = {
    "a function": function,
    "a coroutine function": coroutine,
    "a bound method": Methods().plain,
    "a bound coroutine method": Methods().coroutine,
    "a class method": Methods.of_class,
    "a static method": Methods.static,
    "a partial of a function": functools.partial(function, y=1),
    "a partial of a coroutine function": functools.partial(coroutine, y=1),
    "a callable object": Callable_(),
    "an async callable object": AsyncCallable(),
    "a partial of an async callable object": functools.partial(AsyncCallable()),
    "a function in front of a coroutine function": in_front,
    "a generator function": generator,
    "an async generator function": async_generator,
}


async def consume(result):
    if inspect.isawaitable(result):
        return await result
    if inspect.isasyncgen(result):
        return [x async for x in result][0]
    if inspect.isgenerator(result):
        return list(result)[0]
    return result
