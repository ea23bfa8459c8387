"""Tasks that belong to no scope: what they do, and how long, is not the business of the code that starts them.

anyio has no such tasks, on purpose: a task group waits for its tasks. A scrape must not wait for a collector that
takes no notice of being cancelled, so both event loops are asked for one by their own means.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

__all__ = ("detach",)

_TASKS: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly


def detach(work: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> Callable[[], object]:
    """Run ``work``, which must not raise, in a task of its own, and return what cancels it.

    ``ended`` is called on the loop once the task has ended, also if that was before its first step.
    """
    if _is_trio():
        return _detach_trio(work, ended)
    task = asyncio.get_running_loop().create_task(work())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    task.add_done_callback(lambda _: ended())
    return task.cancel


def _is_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _detach_trio(work: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> Callable[[], object]:
    import trio

    scope = trio.CancelScope()

    async def run() -> None:
        try:
            with scope:
                await work()
        finally:
            ended()

    trio.lowlevel.spawn_system_task(run, context=copy_context())
    return scope.cancel
