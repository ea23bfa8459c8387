"""Functions for other processes, which import them."""

from __future__ import annotations

import builtins
import os

__all__ = ("double", "end_process", "fail", "fail_in_group", "fail_in_syntax", "return_lambda")


def double(number: int) -> int:
    """Return a result."""
    return number * 2


def fail() -> None:
    """Raise an exception with a cause."""
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        raise ValueError("no") from error


def fail_in_syntax() -> None:
    """Raise an exception whose traceback shows a line of source code."""
    compile("one two", "three.py", "exec")


def fail_in_group() -> None:
    """Raise a group of exceptions."""
    kind = builtins.ExceptionGroup  # type: ignore[attr-defined, unused-ignore]  # from Python 3.11 on
    raise kind("some", [ValueError("no")])


def return_lambda() -> object:
    """Return what cannot be pickled."""
    return lambda: None


def end_process() -> None:
    """End the process as a crash does."""
    os._exit(1)
