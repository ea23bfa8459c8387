"""What ends an application that is at no fault, and what task groups put around the exceptions of their tasks."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

from asyncmetrics.errors import is_cancellation

__all__ = ("parts", "was_given_up")


def parts(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that a group is made of, each once, through groups within; any other exception itself.

    Trio's nurseries put even a mere cancellation into a group, and anyio's task groups a client's going.
    """
    # Before Python 3.11 groups come from a backport, which whoever raises them has imported.
    backport: Any = sys.modules.get("exceptiongroup")
    group: Any = getattr(builtins, "BaseExceptionGroup", None) or getattr(backport, "BaseExceptionGroup", ())
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


def was_given_up(error: BaseException) -> bool:
    """Tell whether whoever ran the application cancelled it, or dropped it as an event loop does that is closed."""
    return is_cancellation(error) or isinstance(error, GeneratorExit)
