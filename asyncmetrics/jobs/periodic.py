"""`Periodic`: a function that runs at fixed times, measured.

*Theory of operation.* The times at which runs are due are ``start + k * interval`` on the clock of the event loop.

1. *Waiting*: the next time is in the future. If the loop wakes up late by whole intervals, the times in between are
   skipped.
2. *Running*: the function runs. No other run begins meanwhile.
3. The run ends, in whatever way. If it is not cancelled, the next time is the first one that has not passed: state 1.
   The times that have passed during the run are skipped, and the run counts as an overrun.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from inspect import isawaitable
from time import perf_counter, time
from typing import Any, final

from asyncmetrics.asking import is_async_function
from asyncmetrics.errors import is_cancellation
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.jobs.functions import check_function
from asyncmetrics.jobs.names import check_job_name
from asyncmetrics.loops import is_task_cancelled, is_trio_running
from asyncmetrics.metrics import Counter, Gauge
from asyncmetrics.metrics.calls import CallNames, declare_calls
from asyncmetrics.model.checks import check_seconds
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.wrapping import call_end

__all__ = ("Periodic",)

_log = logging.getLogger("asyncmetrics")

_NAMES = CallNames("periodic_run_duration_seconds", "periodic_active_runs", "periodic_run_exceptions")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_MAX_NAMES = 1000


@final
class Periodic:
    """Run ``function`` every ``interval`` seconds, the first time ``start_delay`` seconds after the start of `run`.

    The times are fixed: a run that takes long delays none of the later ones. A run that is due while another one runs
    is skipped. A coroutine function runs on the event loop, any other function in a thread. A run that raises is
    counted and logged, and does not end the others.

    Raises `DefinitionError` for a wrong value of an argument, and `DuplicateMetricError` if the registry has another
    metric of one of the names.

        >>> import anyio
        >>> from asyncmetrics import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> async def clean_up() -> None: ...
        >>> periodic = Periodic("cleanup", clean_up, interval=60, registry=registry)
        >>> async def main() -> None:
        ...     with anyio.move_on_after(0.1):
        ...         await periodic.run()  # in an application: task_group.start_soon(periodic.run)
        >>> anyio.run(main)
        >>> labels = {"periodic": "cleanup", "outcome": "ok"}
        >>> registry.get_sample_value("periodic_run_duration_seconds_count", labels)
        1.0
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        *,
        interval: float,
        start_delay: float = 0.0,
        registry: CollectorRegistry = REGISTRY,
        namespace: str = "",
    ) -> None:
        check_job_name(name, "cleanup")
        check_function("function", function, "a function or coroutine function without arguments")
        check_seconds("interval", interval)
        if start_delay != 0:
            check_seconds("start_delay", start_delay, expected="0 or more seconds, as a finite number")
        check_full_registry(registry)
        check_namespace(namespace)
        self.name = name
        self._function = function
        self._interval = interval
        self._start_delay = start_delay
        self._runners = 0
        shared: dict[str, Any] = {
            "namespace": namespace,
            "registry": registry,
            "max_children": _MAX_NAMES,
            "exist_ok": True,
        }
        self._calls = declare_calls(_NAMES, "Runs of periodic functions.", ["periodic"], buckets=_BUCKETS, **shared)
        declare_counter = _declare(Counter, name, shared)
        self._skipped = declare_counter("periodic_skipped_runs", "Runs that were due while another one ran, or late.")
        self._overruns = declare_counter("periodic_overruns", "Runs that took longer than until the next one was due.")
        live = {**shared, "multiprocess_mode": "liveall"}
        self._success = Gauge(
            "periodic_last_success_timestamp_seconds", "Unix time of the end of the last success.", ["periodic"], **live
        )
        self._intervals = Gauge(
            "periodic_interval_seconds", "Seconds between two runs; while they are made.", ["periodic"], **live
        )
        # An alert needs it for a function that has not succeeded yet: the process may be much older.
        self._starts = Gauge(
            "periodic_start_timestamp_seconds",
            "Unix time at which the first run is due; while runs are made.",
            ["periodic"],
            **live,
        )

    async def run(self) -> None:
        """Run the function again and again, until the task is cancelled."""
        import anyio  # 60 ms, if the program has not imported it

        self._intervals.labels(self.name).set(self._interval)
        self._starts.labels(self.name).set(time() + self._start_delay)
        self._runners += 1
        try:
            start, number = anyio.current_time() + self._start_delay, 0
            while True:
                due = start + number * self._interval
                await anyio.sleep_until(due)
                late = int(max(0.0, anyio.current_time() - due) // self._interval)
                await self._run_once()
                passed = math.ceil((anyio.current_time() - start) / self._interval)
                following = max(number + late + 1, passed)
                if following > number + late + 1:
                    self._overruns.inc()
                if following > number + 1:
                    self._skipped.inc(following - number - 1)
                number = following
        finally:
            self._runners -= 1
            if not self._runners:
                self._intervals.remove(self.name)
                self._starts.remove(self.name)

    async def _run_once(self) -> None:
        """Run the function once. Raises only what is for the task or the program."""
        was_cancelled = is_task_cancelled()
        end, fail, _ = self._calls.at((self.name,)).begin()
        began = perf_counter()
        try:
            await self._call()
        except BaseException as error:
            call_end(end, fail, perf_counter() - began, error)
            pass_interruption(error)
            # Code that turns a cancellation into an error of its own must not keep the task running.
            if not _is_failure(error) or (is_task_cancelled() and not was_cancelled):
                raise
            _log.error("periodic %s: a run has failed, the next one comes", self.name, exc_info=error)
        else:
            end(perf_counter() - began)
            self._success.labels(self.name).set(time())

    async def _call(self) -> None:
        if is_async_function(self._function):
            result = self._function()
        else:
            from anyio import to_thread

            # In a tuple, since trio takes a coroutine for a mistake.
            (result,) = await to_thread.run_sync(lambda: (self._function(),))
        if isawaitable(result):
            await result

    def __repr__(self) -> str:
        return f"Periodic({self.name!r}, interval={self._interval:g})"


def _declare(kind: type[Counter], name: str, shared: dict[str, Any]) -> Callable[[str, str], Any]:
    """Return a function that declares a counter, and returns its child with this name, which begins at 0."""
    return lambda metric, documentation: kind(metric, documentation, ["periodic"], **shared).labels(name)


def _is_failure(error: BaseException) -> bool:
    """Return whether a run has failed by itself; else it is cancelled, or the program ends."""
    if not is_cancellation(error):
        return isinstance(error, Exception)
    # A future that the function awaits may be cancelled alone. Python 3.10 cannot tell.
    return sys.version_info >= (3, 11) and not is_trio_running() and not is_task_cancelled()
