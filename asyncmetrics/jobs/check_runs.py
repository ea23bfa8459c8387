"""`CheckRun`: the checks of one `HealthChecks` on one event loop, each repeated in a task of its own.

*Theory of operation.*

1. `CheckRun.begin` starts the task of a check. The task calls the check at once, and then every ``interval`` seconds.
2. Each call ends with a `Result`, which replaces the one before. Until the first one, the check is pending.
3. `CheckRun.stop` cancels the tasks. They also end with their loop. When the last one has ended, ``on_end`` is called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter, time
from typing import Any, Literal, NamedTuple, TypeAlias, final

from anyio import CancelScope, Event, sleep

from asyncmetrics.errors import LoopError, shorten
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.jobs.check_calls import Check, CheckCall
from asyncmetrics.loops import HomeLoop, detach
from asyncmetrics.metrics import Counter, Gauge, Histogram
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics

__all__ = ("CheckMetrics", "CheckRun", "DeclaredCheck", "Reason", "Result")

_log = logging.getLogger("asyncmetrics")

Reason: TypeAlias = Literal["", "pending", "timeout", "error"]
"""Why a check does not succeed; empty if it does."""

_END_SECONDS = 1.0  # for the calls that `stop` cancels: a connection is given back within that
_MOST_CAUSES = 3


class DeclaredCheck(NamedTuple):
    """A check, as `HealthChecks.add` takes it."""

    name: str
    check: Check
    interval: float
    timeout: float
    required: bool


class Result(NamedTuple):
    """The result of a call: ``error`` is the text of the exception."""

    reason: Reason
    error: str = ""


@final
class CheckMetrics:
    """The metrics of the checks in one registry."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self.registry = registry
        shared: dict[str, Any] = {"namespace": namespace, "registry": registry, "exist_ok": True}

        def declare_gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["check"], multiprocess_mode="liveall", **shared)

        self._up = declare_gauge("health_check_up", "Whether the last call of a check succeeded.")
        self._successes = declare_gauge(
            "health_check_last_success_timestamp_seconds", "When a check succeeded last, in seconds since 1970."
        )
        self._intervals = declare_gauge(
            "health_check_interval_seconds", "Seconds from one call of a check to the next."
        )
        self._durations = Histogram(
            "health_check_duration_seconds",
            "Seconds that calls of a check took, up to its timeout.",
            ["check"],
            **shared,
        )
        self._failures = Counter(
            "health_check_failures_total", "Calls of a check that failed, by reason.", ["check", "reason"], **shared
        )

    def record(self, declared: DeclaredCheck, result: Result, seconds: float | None) -> None:
        """Record a result; ``seconds`` is None if the check was not called, as its last call still runs."""
        name, is_up = declared.name, not result.reason
        self._intervals.labels(name).set(declared.interval)
        self._up.labels(name).set(is_up)
        if is_up:
            self._successes.labels(name).set(time())
        else:
            self._failures.labels(name, result.reason).inc()
        if seconds is not None:
            self._durations.labels(name).observe(seconds)

    def forget(self, name: str) -> None:
        """Remove the gauges of a check, which would keep their last values.

        The counts stay: without those of one worker, the sum over all workers would fall, which is a false increase.
        """
        self._up.remove(name)
        self._successes.remove(name)
        self._intervals.remove(name)


@final
class CheckRun:
    """The checks that run on ``home``, with their ``results`` by name."""

    def __init__(self, home: HomeLoop, metrics: CheckMetrics, on_end: Callable[[CheckRun], object]) -> None:
        self.home = home
        self.results: dict[str, Result] = {}
        self._metrics = metrics
        self._on_end = on_end
        self._cancels: dict[str, Callable[[], object]] = {}
        self._calls: dict[str, CheckCall] = {}
        self._ended = Event()
        self._is_stopped = False

    def add(self, declared: DeclaredCheck) -> None:
        """Begin a check, from any thread."""
        with suppress(LoopError):  # the loop has ended
            self.home.call_soon(partial(self.begin, declared))

    def begin(self, declared: DeclaredCheck) -> None:
        """Begin a check, on the loop, unless it runs: `add` in another thread and ``start`` may both begin it."""
        if not self._is_stopped and declared.name not in self._cancels:
            work = partial(self._repeat, declared)
            self._cancels[declared.name] = detach(work, partial(self._end, declared.name))

    async def stop(self) -> None:
        """Cancel all calls, and wait for the ends of those that do not ignore it."""
        self._is_stopped = True
        if not self._cancels:
            self._on_end(self)
            return
        for cancel in list(self._cancels.values()):
            cancel()
        with CancelScope(shield=True):
            await self._ended.wait()
            deadline = perf_counter() + _END_SECONDS
            for call in self._calls.values():
                await call.wait(max(0.0, deadline - perf_counter()))

    def _end(self, name: str) -> None:
        self._cancels.pop(name, None)
        if not self._cancels:
            self._is_stopped = True
            self._ended.set()
            self._on_end(self)

    async def _repeat(self, declared: DeclaredCheck) -> None:
        while True:
            begun = perf_counter()
            try:
                await self._call(declared)
            except Exception as error:  # noqa: BLE001  # a failure of ours must not end the checks
                pass_interruption(error)
                get_self_metrics(self._metrics.registry).count_internal_error("jobs.health_checks")
            await sleep(max(0.0, declared.interval - (perf_counter() - begun)))

    async def _call(self, declared: DeclaredCheck) -> None:
        name, last = declared.name, self._calls.get(declared.name)
        if last is not None and last.is_running:
            self._accept(declared, Result("timeout", "TimeoutError: the last call still runs"), None)
            return
        call = self._calls[name] = CheckCall(declared.check)
        begun = perf_counter()
        outcome = await call.run(declared.timeout)
        self._accept(declared, _make_result(outcome), perf_counter() - begun)

    def _accept(self, declared: DeclaredCheck, result: Result, seconds: float | None) -> None:
        name = declared.name
        before = self.results.get(name)
        self.results[name] = result
        self._metrics.record(declared, result, seconds)
        if result.reason and not (before and before.reason):
            _log.warning("the health check %s fails: %s", name, result.error)
        elif before and before.reason and not result.reason:
            _log.info("the health check %s succeeds again", name)


def _make_result(outcome: bool | BaseException) -> Result:
    if outcome is True:
        return Result("")
    if outcome is False:
        return Result("error", "it returned False")
    return Result("timeout" if isinstance(outcome, TimeoutError) else "error", _describe(outcome))


def _describe(error: BaseException) -> str:
    """Return the text of an exception with those that have caused it: anyio's own says only that all hosts failed."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(texts) < _MOST_CAUSES:
        try:
            texts.append(f"{type(cause).__name__}: {cause}")
        except Exception as own:  # noqa: BLE001  # the application's `__str__`
            pass_interruption(own)
            texts.append(type(cause).__name__)
        cause = cause.__cause__
    return shorten(", from ".join(texts))
