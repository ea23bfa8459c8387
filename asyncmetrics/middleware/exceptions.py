"""Exceptions that are no fault of the application, and the exception groups that contain them."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

from asyncmetrics.errors import is_cancellation

__all__ = ("flatten_group", "is_abandoned")


def flatten_group(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group and of the groups in it, each once; yield any other exception itself.

    Trio's nurseries put even a single cancellation into a group, and anyio's task groups the exception for a client
    that has disconnected.
    """
    # Before Python 3.11 groups come from a backport, which is imported wherever one is raised.
    backport: Any = sys.modules.get("exceptiongroup")
    group: Any = getattr(builtins, "BaseExceptionGroup", None) or getattr(backport, "BaseExceptionGroup", ())
    # A stack, since groups may be nested deeper than Python recurses.
    left = [error]
    seen: set[int] = set()  # a group may be in several others: 30 levels of twice the same one hold 2**30 exceptions
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        members: Any = getattr(one, "exceptions", ()) if isinstance(one, group) else ()
        if members:
            left.extend(reversed(members))
        else:
            yield one


def is_abandoned(error: BaseException) -> bool:
    """Return whether the server cancelled the application, or an event loop that closes dropped its coroutine."""
    return is_cancellation(error) or isinstance(error, GeneratorExit)
