"""The semaphores of asyncio: how many tasks wait for a permit, and how long."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from asyncmetrics.runtime.objects import Instruments, ObjectOptions, derive_class
from asyncmetrics.runtime.queues import QUEUES, QueueNumbers

__all__ = ("INTEGRATION",)


def _begin(semaphore: Any, options: ObjectOptions) -> Callable[[Any], object]:
    queues = QUEUES.get(options["registry"], options["namespace"])
    # A `BoundedSemaphore` has its first value; of a `Semaphore`, it is the value before the first task takes a permit.
    permits = getattr(semaphore, "_bound_value", semaphore._value)

    def read(_: Any) -> QueueNumbers:
        return QueueNumbers(series.waiting, permits)

    series = queues.add(semaphore, type(semaphore).__name__, read, options["name"])
    acquire = type(semaphore).acquire

    async def measured(one: Any) -> Any:
        started = perf_counter()
        series.waiting += 1
        try:
            return await acquire(one)
        finally:
            series.waiting -= 1
            series.observe_get(perf_counter() - started)

    return derive_class(semaphore, queues, {"acquire": measured})


INTEGRATION = Instruments(_begin)
