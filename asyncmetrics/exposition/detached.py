"""Tasks that belong to no scope, so that the code that starts one need not wait for its end.

anyio has no such tasks, on purpose: a task group waits for its tasks. A scrape must not wait for a collector that
ignores its cancellation, so this module asks asyncio or trio directly.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

__all__ = ("detach",)

_TASKS: set[asyncio.Task[None]] = set()  # a loop holds only weak references to its tasks


def detach(work: Callable[[], Coroutine[Any, Any, None]], on_end: Callable[[], None]) -> Callable[[], object]:
    """Run ``work``, which must not raise, in its own task, and return a function that cancels the task.

    ``on_end`` is called on the loop once the task has ended, even if it ends before its first step.
    """
    if _is_trio_running():
        return _detach_on_trio(work, on_end)
    task = asyncio.get_running_loop().create_task(work())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    task.add_done_callback(lambda _: on_end())
    return task.cancel


def _is_trio_running() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _detach_on_trio(work: Callable[[], Coroutine[Any, Any, None]], on_end: Callable[[], None]) -> Callable[[], object]:
    import trio

    scope = trio.CancelScope()

    async def run() -> None:
        try:
            with scope:
                await work()
        finally:
            on_end()

    trio.lowlevel.spawn_system_task(run, context=copy_context())
    return scope.cancel
