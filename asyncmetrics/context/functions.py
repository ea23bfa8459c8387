"""Functions whose labels are bound during their calls: one wrapper for each kind, which is of the same kind.

A generator runs in the context of the code that takes its values. The labels are bound for each of its steps, and are
not bound at its ``yield``, so that they do not reach that code.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeAlias

from asyncmetrics.wrapping import find_code, keep_attributes, makes_context_manager

__all__ = ("wrap_function",)

Begin: TypeAlias = Callable[[], Any]
"""Binds the labels, and returns the entry that `End` takes."""
End: TypeAlias = Callable[[Any], None]
Function: TypeAlias = Callable[..., Any]


def wrap_function(function: Any, begin: Begin, end: End) -> Any:
    """Return ``function`` with labels bound during its calls. Raises `TypeError` if it is no function."""
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(wrap_function(function.__func__, begin, end))
    _check(function)
    code = find_code(function)
    wrapper = next((make for is_kind, make in _KINDS if is_kind(code)), _wrap_plain)
    return keep_attributes(wrapper(function, begin, end), function)


def _check(function: Any) -> None:
    problem = f"bound_labels(…) decorates functions and methods, got {function!r}"
    if inspect.isclass(function):
        message = f"{problem}: decorate the methods of the class"
        raise TypeError(message)
    if not callable(function):
        raise TypeError(problem)
    if makes_context_manager(function):  # the block that it is made for runs after the call
        message = f"{problem}, which makes a context manager: write 'with bound_labels(…):' inside of it"
        raise TypeError(message)


def _wrap_plain(function: Function, begin: Begin, end: End) -> Function:
    def bound(*args: Any, **kwargs: Any) -> Any:
        entry = begin()
        try:
            result = function(*args, **kwargs)
        finally:
            end(entry)
        # The work of a coroutine or generator that a plain function returns is still to come.
        wrapper = _RESULTS.get(type(result))
        return result if wrapper is None else wrapper(lambda: result, begin, end)()

    return bound


def _wrap_coroutine(function: Callable[..., Awaitable[Any]], begin: Begin, end: End) -> Function:
    async def bound(*args: Any, **kwargs: Any) -> Any:
        entry = begin()
        try:
            return await function(*args, **kwargs)
        finally:
            end(entry)

    return bound


def _wrap_generator(function: Callable[..., Generator[Any, Any, Any]], begin: Begin, end: End) -> Function:
    def bound(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        step: Function = generator.send
        argument: Any = None
        while True:
            entry = begin()
            try:
                value = step(argument)
            except StopIteration as stop:
                return stop.value
            finally:
                argument = None  # an exception here would refer to this frame, which refers to it
                end(entry)
            try:
                step, argument = generator.send, (yield value)
            except GeneratorExit:
                _wrap_plain(generator.close, begin, end)()
                raise
            except BaseException as error:  # noqa: BLE001  # throw() passes it to the generator
                step, argument = generator.throw, error

    return bound


def _wrap_async_generator(function: Callable[..., AsyncGenerator[Any, Any]], begin: Begin, end: End) -> Function:
    async def bound(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        step: Function = generator.asend
        argument: Any = None
        while True:
            entry = begin()
            try:
                value = await step(argument)
            except StopAsyncIteration:
                return
            finally:
                argument = None  # as in `_wrap_generator`
                end(entry)
            try:
                step, argument = generator.asend, (yield value)
            except GeneratorExit:
                await _wrap_coroutine(generator.aclose, begin, end)()
                raise
            except BaseException as error:  # noqa: BLE001  # athrow() passes it to the generator
                step, argument = generator.athrow, error

    return bound


_KINDS: tuple[tuple[Callable[[object], bool], Callable[[Any, Begin, End], Function]], ...] = (
    (inspect.isasyncgenfunction, _wrap_async_generator),
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isgeneratorfunction, _wrap_generator),
)
_RESULTS: dict[type, Callable[[Any, Begin, End], Function]] = {
    CoroutineType: _wrap_coroutine,
    GeneratorType: _wrap_generator,
    AsyncGeneratorType: _wrap_async_generator,
}
