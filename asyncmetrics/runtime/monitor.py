"""`RuntimeMonitor`: measure the event loop that runs, and what runs beside it in the process.

*Theory of operation.*

1. `RuntimeMonitor.start` makes a `MonitoredLoop` of the running loop, unless there is one, and joins it.
2. Each of the `PARTS` begins: it declares its metrics, changes what it has to, and adds the step that takes the change
   back to `MonitoredLoop.undo`. Adding a metric of the loop means adding a part.
3. When the last monitor of a loop has stopped, the steps are taken back.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from types import TracebackType
from typing import TypedDict, final

from asyncmetrics.errors import LoopError
from asyncmetrics.model.checks import check_seconds
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.runtime.blocks import begin_blocks
from asyncmetrics.runtime.cpu import begin_cpu
from asyncmetrics.runtime.default_pools import begin_default_executor, begin_default_limiter
from asyncmetrics.runtime.failures import begin_failures, begin_warnings
from asyncmetrics.runtime.gc import begin_gc
from asyncmetrics.runtime.lag import begin_lag
from asyncmetrics.runtime.loop_failures import begin_loop_failures
from asyncmetrics.runtime.monitored_loop import MonitoredLoop, Part, find_monitored_loop
from asyncmetrics.runtime.tasks import begin_tasks
from asyncmetrics.runtime.turns import begin_turns

__all__ = ("RuntimeMonitor",)

_log = logging.getLogger("asyncmetrics")

PARTS: tuple[Part, ...] = (
    begin_lag,
    begin_turns,
    begin_cpu,
    begin_blocks,  # after the turns, which it reads
    begin_tasks,
    begin_gc,
    begin_default_executor,
    begin_default_limiter,
    begin_failures,
    begin_loop_failures,
    begin_warnings,
)


class _Options(TypedDict):
    registry: CollectorRegistry
    namespace: str
    block_threshold: float | None


@final
class RuntimeMonitor:
    """Measure the event loop on which it is started: asyncio's, uvloop's or trio's.

    - ``block_threshold``: how many seconds one piece of code may keep the loop from running others before it counts as
      a block of the loop, by the name of its function. None finds no blocks.
    - ``registry``: the registry of the metrics.
    - ``namespace``: a prefix of the names of all metrics.

    It is an asynchronous context manager; `start` and `stop` do the same. A second monitor of the same loop measures
    nothing twice. One monitor may be started on several loops, at the same time or one after the other.

    Raises `DefinitionError` for a wrong value of an argument.
    """

    def __init__(
        self,
        *,
        block_threshold: float | None = 0.1,
        registry: CollectorRegistry = REGISTRY,
        namespace: str = "",
    ) -> None:
        if block_threshold is not None:
            check_seconds("block_threshold", block_threshold)
        check_full_registry(registry)
        check_namespace(namespace)
        self._options: _Options = {
            "registry": registry,
            "namespace": namespace,
            "block_threshold": block_threshold,
        }
        self._loops: list[MonitoredLoop] = []
        self._process = os.getpid()

    def is_started(self) -> bool:
        """Return whether this monitor measures the running loop."""
        for loop in self._loops:  # noqa: SIM110  # `any` takes twice as long, for each request of an application
            if loop.home.is_running_here():
                return True
        return False

    async def start(self) -> None:
        """Begin to measure the running loop; nothing happens if this monitor measures it already.

        Raises `DuplicateMetricError` if the registry has another metric of one of the names.
        """
        if self.is_started():
            return
        self._release_ended()
        loop = find_monitored_loop()
        if loop is None:
            loop = MonitoredLoop(**self._options)
            loop.begin(PARTS)
        elif loop.options != self._options:
            _log.warning(
                "RuntimeMonitor: another monitor measures this event loop; its options stay, and those of this one are "
                "ignored"
            )
        loop.monitors += 1
        self._loops.append(loop)

    async def stop(self) -> None:
        """Take back all that `start` has changed on the running loop, and on loops that have ended since."""
        self._release_ended()
        for loop in list(self._loops):
            if loop.home.is_running_here():
                self._release(loop)
                if not loop.monitors:
                    await loop.wait_for_end()

    def stop_all(self) -> None:
        """Take back all that `start` has changed on any loop: soon, if another thread runs the loop."""
        self._release_ended()
        for loop in list(self._loops):
            if loop.home.is_running_here() or loop.home.find_problem():
                self._release(loop)
                continue
            try:
                loop.home.call_soon(partial(self._release, loop))
            except LoopError:  # it has ended since then
                self._release(loop)

    def _release_ended(self) -> None:
        if self._process != os.getpid():  # a copy in a forked process, which runs none of the loops
            self._process, self._loops = os.getpid(), []
        for loop in list(self._loops):
            if loop.home.has_ended():
                self._release(loop)

    def _release(self, loop: MonitoredLoop) -> None:
        try:
            self._loops.remove(loop)
        except ValueError:  # another thread was faster
            return
        loop.monitors -= 1
        if not loop.monitors:
            loop.end()

    async def __aenter__(self) -> RuntimeMonitor:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
