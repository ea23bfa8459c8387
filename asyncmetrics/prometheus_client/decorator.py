"""`decorate`, by which libraries wrap functions as prometheus_client does, and `getargspec`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import getfullargspec
from typing import Any, NamedTuple, ParamSpec, TypeVar

__all__ = ("ArgSpec", "decorate", "getargspec", "getfullargspec")

P = ParamSpec("P")
T = TypeVar("T")


def decorate(func: Callable[P, T], caller: Callable[..., T], extras: tuple[Any, ...] = ()) -> Callable[P, T]:
    """Return a function with the signature of ``func`` that calls ``caller(func, *args, **kwargs)``."""

    @wraps(func)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return caller(func, *extras, *args, **kwargs)

    return call


class ArgSpec(NamedTuple):
    """The arguments of a function: their names, ``*varargs``, ``**varkw`` and the defaults of the last ones."""

    args: list[str]
    varargs: str | None
    varkw: str | None
    defaults: tuple[Any, ...] | None


def getargspec(f: Callable[..., Any]) -> ArgSpec:
    """Return the arguments of ``f``, or of the function that it wraps."""
    spec = getfullargspec(getattr(f, "__wrapped__", f))
    return ArgSpec(spec.args, spec.varargs, spec.varkw, spec.defaults)
