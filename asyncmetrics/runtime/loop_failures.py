"""Exceptions that asyncio gives to the exception handler of its loop: a part of the monitor.

*Theory of operation.* The part gives the loop an attribute ``call_exception_handler``, which tasks, futures and
callbacks call instead of the method of the class. So it counts whatever handler the program sets, before or after, and
`get_exception_handler` returns the program's. The loop is referred to weakly: one that ends without
`RuntimeMonitor.stop` must not stay in memory because of its own attribute.

Trio has no such handler: an exception of a task leaves its nursery, and `trio.run` in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import ref

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime.failures import make_failure_count
from asyncmetrics.runtime.monitored_loop import MonitoredLoop
from asyncmetrics.runtime.process_hooks import Tally

__all__ = ("begin_loop_failures",)

_METHOD = "call_exception_handler"
_WHERE = "runtime.loop_failures"


def begin_loop_failures(loop: MonitoredLoop) -> None:
    """Count the exceptions of tasks and futures that nothing retrieves, and those that leave callbacks."""
    if loop.kind == "trio":
        return
    count_failure = make_failure_count(loop)

    def count(context: dict[str, Any]) -> object:
        error = context.get("exception")
        if isinstance(error, BaseException):
            count_failure(_find_place(context), type(error), error)
        return error

    try:
        loop.undo.callback(_replace_method(asyncio.get_running_loop(), Tally(loop, _WHERE, count)))
    except (AttributeError, TypeError) as error:  # the loop of another library, without attributes of its own
        pass_interruption(error)
        get_self_metrics(loop.registry).count_internal_error(_WHERE)


def _replace_method(target: asyncio.AbstractEventLoop, tally: Tally) -> Callable[[], None]:
    """Put a function that counts before the method of the loop; return the step that undoes it."""
    get_target = ref(target)
    former: Callable[..., Any] | None = vars(target).get(_METHOD)
    method: Any = type(target).call_exception_handler
    is_measuring = True

    def pass_on(context: dict[str, Any]) -> Any:
        return method(get_target(), context) if former is None else former(context)

    def call_exception_handler(context: dict[str, Any]) -> Any:
        return tally.count_and_call((context,), pass_on, context) if is_measuring else pass_on(context)

    def undo() -> None:
        nonlocal is_measuring
        is_measuring = False
        one = get_target()
        if one is None or vars(one).get(_METHOD) is not call_exception_handler:  # another tool's is around ours
            return
        if former is None:
            delattr(one, _METHOD)
        else:
            setattr(one, _METHOD, former)

    setattr(target, _METHOD, call_exception_handler)
    return undo


def _find_place(context: dict[str, Any]) -> str:
    """Return the value of the label ``where``: asyncio names a task that nothing awaits as a future."""
    if "task" in context or isinstance(context.get("future"), asyncio.Task):
        return "task"
    return "future" if "future" in context else "callback"
