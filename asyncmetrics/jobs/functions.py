"""The check of the functions that jobs call: without arguments, and once for each run."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isasyncgenfunction, isawaitable, isgeneratorfunction, signature
from typing import Any

from asyncmetrics.asking import close_awaitable
from asyncmetrics.model.checks import make_refusal

__all__ = ("check_function",)


def check_function(argument: str, function: Any, expected: str) -> None:
    """Raise `DefinitionError` unless ``function`` can be called without arguments, and is no generator.

    A generator does nothing when it is called, so each run would succeed.
    """
    remedy = ""
    if isawaitable(function):
        remedy = "pass the function itself, without calling it"
    elif isgeneratorfunction(function) or isasyncgenfunction(function):
        remedy = "write a function without yield"
    elif callable(function) and _needs_arguments(function):
        remedy = "bind its arguments by functools.partial"
    elif callable(function):
        return
    refusal = make_refusal(argument, expected, function, remedy)
    close_awaitable(function)
    raise refusal


def _needs_arguments(function: Callable[..., object]) -> bool:
    try:
        parameters = signature(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return False
    try:
        parameters.bind()
    except TypeError:
        return True
    return False
