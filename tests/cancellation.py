"""Cancel a coroutine at one of its awaits, as asyncio cancels a task."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any

__all__ = ("cancel_at_each_await",)

_MOST = 1000


async def cancel_at_each_await(make: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Run ``make()`` once for each await in it, and cancel it there; return how many runs were cancelled."""
    for number in range(_MOST):
        runner = _Runner(make(), number)
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(runner.run())
        if not runner.has_cancelled:
            return number
    raise AssertionError(f"{make} does not end")


class _Runner:
    def __init__(self, coroutine: Coroutine[Any, Any, object], number: int) -> None:
        self.has_cancelled = False
        self._coroutine = coroutine
        self._number = number

    async def run(self) -> None:
        await self._drive()

    @types.coroutine
    def _drive(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        step = 0
        while True:
            try:
                awaited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration:
                return
            if step == self._number:
                self.has_cancelled = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            step += 1
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001  # it goes to the coroutine
                error = thrown
            else:
                error = None
