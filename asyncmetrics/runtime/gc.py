"""The time that the garbage collector takes, in which no Python code runs: in all threads of the process.

*Rules.* The callback runs in the middle of anything, also of this library. So it takes no lock, logs nothing, and
creates no child: they exist before.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from time import perf_counter
from typing import Any, final

from asyncmetrics.metrics import Histogram
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.runtime.monitored_loop import MonitoredLoop

__all__ = ("begin_gc",)

_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

_TIMERS: dict[tuple[CollectorRegistry, str], _Timer] = {}
"""The timers of this process: one for each registry and namespace, however many loops it measures."""


@final
class _Timer:
    """Measures the collections for one registry, until all of its ``users`` have ended."""

    def __init__(self, loop: MonitoredLoop) -> None:
        self.users = 0
        self._began = 0.0
        histogram = Histogram(
            "python_gc_duration_seconds",
            "Duration of the collections of the garbage collector, by generation.",
            ["generation"],
            namespace=loop.namespace,
            registry=loop.registry,
            buckets=_BUCKETS,
            per_worker=True,
            exist_ok=True,
        )
        self._observe = [histogram.labels(str(number)).recorder() for number in range(len(gc.get_threshold()))]

    def see(self, phase: str, info: dict[str, Any]) -> None:
        """Be called by the garbage collector before and after a collection; no other one begins meanwhile."""
        if phase == "start":
            self._began = perf_counter()
        elif self._began:  # not of a collection that had begun before
            self._observe[info["generation"]](perf_counter() - self._began)
            self._began = 0.0

    def remove(self) -> None:
        """Be called by the garbage collector no more."""
        with suppress(ValueError):  # the program may have removed it
            gc.callbacks.remove(self.see)


def begin_gc(loop: MonitoredLoop) -> None:
    """Measure the collections; a second loop of the same registry measures nothing twice."""
    key = (loop.registry, loop.namespace)
    timer = _TIMERS.get(key)
    if timer is None:
        timer = _TIMERS[key] = _Timer(loop)
        gc.callbacks.append(timer.see)
    timer.users += 1

    def end() -> None:
        timer.users -= 1
        if not timer.users and _TIMERS.get(key) is timer:
            del _TIMERS[key]
            timer.remove()

    loop.undo.callback(end)


def _forget_timers() -> None:
    """Remove the callbacks in a process that was forked: its loops have not started a monitor."""
    for timer in _TIMERS.values():
        timer.remove()
    _TIMERS.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_timers)
