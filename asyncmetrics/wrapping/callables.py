"""Wrapping any callable: the wrapper has the kind, the signature and the attributes of what it wraps."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, ParamSpec, TypeVar, cast, final

from asyncmetrics.wrapping.kinds import find_wrapper
from asyncmetrics.wrapping.results import FOLLOWERS
from asyncmetrics.wrapping.steps import Chooser, Measure, call_end

__all__ = ("find_code", "keep_attributes", "makes_context_manager", "wrap_callable")

P = ParamSpec("P")
T = TypeVar("T")


def wrap_callable(function: Callable[..., Any], fixed: Measure | None, choose: Chooser) -> Callable[..., Any]:
    """Return ``function`` wrapped in a measure; the wrapper is of the same kind and has the same signature.

    The measure is ``fixed``, or what ``choose`` returns for the arguments of each call where ``fixed`` is None.
    """
    if isinstance(function, FunctionType) and makes_context_manager(function):
        return _wrap_context_manager(function, fixed, choose)
    return keep_attributes((find_wrapper(find_code(function)) or _wrap_function)(function, fixed, choose), function)


def find_code(function: Any) -> Any:
    """Return the function that is called in the end, of whose kind ``function`` is: that of a partial or an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) or inspect.isclass(function) else function.__call__


def makes_context_manager(function: object) -> bool:
    """Return whether ``function`` comes from `contextlib.contextmanager` or `contextlib.asynccontextmanager`."""
    return getattr(function, "__code__", None) in _CONTEXT_MANAGERS


def keep_attributes(wrapper: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``wrapper``, a function, with the name, the signature and all attributes of ``original``.

    A callable object may compute its attributes, so the result is then an object that asks the original for them.
    """
    functools.update_wrapper(wrapper, original, updated=())
    if isinstance(original, (FunctionType, MethodType, BuiltinFunctionType, type)):
        vars(wrapper).update(getattr(original, "__dict__", {}), __wrapped__=original)
        return wrapper
    return _WrappedObject(original, wrapper)


def _wrap_function(function: Callable[P, T], fixed: Measure | None, choose: Chooser) -> Callable[P, T]:
    def measured(*args: P.args, **kwargs: P.kwargs) -> T:
        end, fail, begin = measure = fixed or choose(args, kwargs)
        undo = None
        if begin:
            end, fail, undo = begin()
        began = perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            call_end(end, fail, perf_counter() - began, error)
            raise
        follow = FOLLOWERS[type(result)]
        if follow:
            return cast(T, follow(result, measure, (end, fail, undo), began))
        end(perf_counter() - began)
        return result

    return measured


# The functions that contextlib's decorators return have one code for each decorator.
_CONTEXT_MANAGERS: dict[CodeType, Callable[..., Any]] = {
    make(cast(Any, iter)).__code__: make for make in cast("tuple[Any, ...]", (contextmanager, asynccontextmanager))
}


def _wrap_context_manager(function: FunctionType, fixed: Measure | None, choose: Chooser) -> Callable[..., Any]:
    """Wrap the generator function below contextlib's decorator, which measures the block."""
    original: Callable[..., object] = vars(function)["__wrapped__"]
    inner = wrap_callable(original, fixed, choose)
    measured: Callable[..., Any] = _CONTEXT_MANAGERS[function.__code__](inner)
    vars(measured).update(vars(function), __wrapped__=inner)
    return measured


@final
class _WrappedObject:
    """A callable object that is wrapped, such as a `functools.lru_cache` or a task of Celery.

    All else that the program does with it is done with the original.
    """

    def __init__(self, original: Any, wrapper: Callable[..., object]) -> None:
        # Frameworks look at the kind of `__call__`. The class itself has the other two.
        own = {name: getattr(original, name, None) for name in ("__doc__", "__module__")}
        vars(self).update(own, __wrapped__=original, __call__=wrapper)

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        return vars(self)["__call__"](*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> object:
        original = self.__wrapped__
        if instance is None or not hasattr(type(original), "__get__"):
            return self
        return MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["__wrapped__"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__wrapped__, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wrapped__, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # for isinstance
        return cast(type, self.__wrapped__.__class__)  # not `type`: a proxy, as Celery's, names another class

    # It is pickled by its name, and copied as itself, as functions are.
    def __reduce__(self) -> str:
        return cast(str, self.__wrapped__.__qualname__)

    def __copy__(self) -> _WrappedObject:
        return self

    def __deepcopy__(self, _: object) -> _WrappedObject:
        return self

    def __repr__(self) -> str:
        return f"<wrapped {self.__wrapped__!r}>"
