"""`decorate`, by which libraries wrap functions as prometheus_client does."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ("decorate",)

P = ParamSpec("P")
T = TypeVar("T")


def decorate(func: Callable[P, T], caller: Callable[..., T], extras: tuple[Any, ...] = ()) -> Callable[P, T]:
    """Return a function with the signature of ``func`` that calls ``caller(func, *args, **kwargs)``."""

    @wraps(func)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return caller(func, *extras, *args, **kwargs)

    return call
