"""`batch_job`: a job that ends, with the numbers that an alert needs: when it succeeded, how long it took, how much.

*Rules.*

1. The exception of the job wins. What fails while its metrics are sent is logged.
2. Send after each run, also after one that was cancelled: then in a scope that the cancellation does not reach.
3. Block no event loop. ``async with`` waits for a thread that sends; ``with`` on an event loop does not wait for it,
   but the end of the program does.

*Theory of operation.* A job has a `BatchRun` for each time that it runs. When the run ends, the gauges of the job are
set, and the sink sends them. The gauges of a job with a sink are in a registry of their own, since the numbers of the
process mean nothing after its end. Without a sink, they are in a registry that is scraped.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from time import perf_counter, time
from types import TracebackType
from typing import Any, TypeVar, cast, final

from asyncmetrics.errors import is_cancellation
from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.jobs.names import check_job_name
from asyncmetrics.jobs.sinks import Sink, make_sink
from asyncmetrics.loops import find_home
from asyncmetrics.metrics import Gauge
from asyncmetrics.model.checks import make_refusal
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.model.family import Metric
from asyncmetrics.model.names import check_namespace
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry
from asyncmetrics.registry.collectables import collect_or_raise

__all__ = ("BatchJob", "BatchRun", "batch_job")

F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("asyncmetrics")

_LABEL = "batch_job"
_MAX_NAMES = 1000
_run: ContextVar[BatchRun | None] = ContextVar("asyncmetrics_batch_run", default=None)


def batch_job(
    name: str,
    *,
    sink: Sink | str | os.PathLike[str] | None = None,
    registry: CollectorRegistry | None = None,
    namespace: str = "",
) -> BatchJob:
    """Measure a job that ends, such as an import or a backup: ``with``, ``async with``, or a decorator.

    - ``name``: the value of the label ``batch_job``.
    - ``sink``: where the metrics are sent at the end of each run: a `Pushgateway`, a `TextFile`, a URL of a Pushgateway
      or a path that ends in ``.prom``. None sends nothing: the program is scraped.
    - ``registry``: the registry of the metrics; the default one if there is no sink. A job with a sink sends its own
      metrics and, if there is a ``registry``, all that is in it.
    - ``namespace``: a prefix of the names of all metrics.

    Raises `DefinitionError` for a wrong value of an argument, and `DuplicateMetricError` if the registry has another
    metric of one of the names.

        >>> from asyncmetrics import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> with batch_job("import", registry=registry) as job:
        ...     job.records(10)
        >>> registry.get_sample_value("batch_job_last_records", {"batch_job": "import"})
        10.0
    """
    return BatchJob(name, sink=sink, registry=registry, namespace=namespace)


@final
class BatchRun:
    """One run of a batch job."""

    __slots__ = ("_began", "_number", "job", "outer")

    def __init__(self, job: BatchJob, outer: BatchRun | None) -> None:
        self.job = job
        self.outer = outer
        self._number = 0.0
        self._began = perf_counter()

    def records(self, number: float = 1) -> None:
        """Add to the number of records that this run has processed. What is no number is logged, and not counted."""
        try:
            self._number += float(number + 0)  # text, which `float` takes, cannot be added to 0
        except (TypeError, ValueError, OverflowError) as error:
            pass_interruption(error)
            _log.warning("batch_job %s: records(%r): expected a number, and this is not counted", self.job.name, number)

    def read(self) -> tuple[float, float]:
        """Return the seconds since the beginning, and the number of records."""
        return perf_counter() - self._began, self._number


@final
class BatchJob:
    """A batch job: what `batch_job` returns. ``with`` and ``async with`` return a `BatchRun`."""

    def __init__(
        self,
        name: str,
        *,
        sink: Sink | str | os.PathLike[str] | None = None,
        registry: CollectorRegistry | None = None,
        namespace: str = "",
    ) -> None:
        # `@batch_job` passes the function.
        check_job_name(name, "import", "write @batch_job('import')" if callable(name) else "")
        check_namespace(namespace)
        if registry is not None:
            check_full_registry(registry)
        self.name = name
        self._sink = make_sink(sink)
        self._runs: list[BatchRun] = []
        self._recording = threading.Lock()
        if self._sink is None:
            self._own, self._other = registry or REGISTRY, None
        else:
            self._own, self._other = CollectorRegistry(), registry
        self._gauges = _Gauges(self._own, namespace)

    def records(self, number: float = 1) -> None:
        """Add to the number of records of the run that calls this: for functions that are decorated."""
        run = _run.get()
        while run is not None and run.job is not self:
            run = run.outer
        if run is None and len(self._runs) == 1:  # a thread that the run has started
            run = self._runs[0]
        if run is None:
            _log.warning("batch_job %s: records(%r) was called outside of a run, and is not counted", self.name, number)
        else:
            run.records(number)

    def __enter__(self) -> BatchRun:
        return self._begin()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(self._find_run(), exc)

    async def __aenter__(self) -> BatchRun:
        return self._begin()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end_async(self._find_run(), exc)

    def __call__(self, function: F) -> F:
        """Return ``function``, sync or async, with each of its calls measured as a run."""
        if not callable(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise make_refusal("function", "a function or a coroutine function, and no generator", function)
        wrap = self._wrap_async if inspect.iscoroutinefunction(function) else self._wrap
        return cast(F, functools.wraps(function)(wrap(function)))

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run_measured(*args: Any, **kwargs: Any) -> Any:
            run = self._begin()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._end(run, error)
                raise
            if inspect.isawaitable(result):  # of a callable that is not declared async: the run has just begun
                self._leave(run)
                return self._follow(result)
            self._end(run, None)
            return result

        return run_measured

    def _wrap_async(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def run_measured(*args: Any, **kwargs: Any) -> Any:
            return await self._follow(function(*args, **kwargs))

        return run_measured

    async def _follow(self, result: Awaitable[Any]) -> Any:
        run = self._begin()
        try:
            value = await result
        except BaseException as error:
            await self._end_async(run, error)
            raise
        await self._end_async(run, None)
        return value

    def _begin(self) -> BatchRun:
        run = BatchRun(self, _run.get())
        self._runs.append(run)
        _run.set(run)
        return run

    def _find_run(self) -> BatchRun:
        """Return the run that a ``with`` block ends: the innermost of this context, or else the latest one."""
        run = _run.get()
        return run if run in self._runs else self._runs[-1]

    def _leave(self, run: BatchRun) -> None:
        self._runs.remove(run)
        if _run.get() is run:
            _run.set(run.outer)

    def _end(self, run: BatchRun, error: BaseException | None) -> None:
        self._record(run, error)
        if self._sink is None:
            return
        if find_home() is None:
            self._send(error)
            return
        try:  # no daemon: the program waits for it at its end
            threading.Thread(target=self._send, args=(error,), name="asyncmetrics-batch-job").start()
        except RuntimeError as problem:  # the system has no thread left
            self._log(problem)

    async def _end_async(self, run: BatchRun, error: BaseException | None) -> None:
        self._record(run, error)
        if self._sink is None:
            return
        import anyio

        try:
            with anyio.CancelScope(shield=True):
                # A limiter of its own: the program may have all threads of the default one in use.
                limiter = anyio.CapacityLimiter(1)
                await anyio.to_thread.run_sync(self._send, error, abandon_on_cancel=True, limiter=limiter)
        except Exception as problem:  # noqa: BLE001  # of the thread: the sink's are logged already
            pass_interruption(problem)
            self._log(problem)
        except BaseException as problem:
            # asyncio cancels through the shield if the task is cancelled once more. The job's exception ends the task.
            if error is None or not is_cancellation(problem):
                raise

    def _record(self, run: BatchRun, error: BaseException | None) -> None:
        self._leave(run)
        try:
            with self._recording:
                self._gauges.record(self.name, *run.read(), succeeded=_is_success(error))
        except Exception as problem:  # noqa: BLE001  # the exception of the job wins
            pass_interruption(problem)
            _log.warning("batch_job %s: its metrics are not complete: %s", self.name, problem)

    def _send(self, error: BaseException | None) -> None:
        """Send the metrics, and log what fails."""
        sink = self._sink
        assert sink is not None
        try:
            left_out = ""
            if not _is_success(error):
                left_out = self._recall(sink)
            sink.send(self.name, _Sent(self._own, self._other, left_out))
        except Exception as problem:  # noqa: BLE001  # a sink may be the program's
            pass_interruption(problem)
            self._log(problem)

    def _recall(self, sink: Sink) -> str:
        """Set the time of the last success to what the sink knows; return the metric's name if it is not to be sent."""
        gauge = self._gauges.success
        metric = gauge.descriptor.name
        at = None
        try:
            at = sink.recall_success(self.name, metric, self._find_success())
        except Exception as problem:  # noqa: BLE001  # the other numbers are to be sent nevertheless
            pass_interruption(problem)
            self._log(problem)
        if at is None:
            return metric
        with self._recording:  # another run may have succeeded meanwhile
            gauge.labels(self.name).set(max(at, self._find_success() or at))
        return ""

    def _find_success(self) -> float | None:
        return self._own.get_sample_value(self._gauges.success.descriptor.name, {_LABEL: self.name})

    def _log(self, problem: BaseException) -> None:
        _log.warning("batch_job %s: its metrics were not sent to %r: %s", self.name, self._sink, problem)

    def __repr__(self) -> str:
        return f"batch_job({self.name!r}, sink={self._sink!r})"


@final
class _Gauges:
    """The gauges of the last run of each job in one registry."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        def declare(name: str, documentation: str, mode: GaugeMode) -> Gauge:
            return Gauge(
                name,
                documentation,
                [_LABEL],
                namespace=namespace,
                registry=registry,
                multiprocess_mode=mode,
                max_children=_MAX_NAMES,
                exist_ok=True,
            )

        # A node exporter refuses files that say different things of one metric: these texts are for all jobs.
        self.success = declare(
            "batch_job_last_success_timestamp_seconds", "Unix time of the end of the last run that succeeded.", "max"
        )
        self._run = declare(
            "batch_job_last_run_timestamp_seconds", "Unix time of the end of the last run.", "mostrecent"
        )
        self._duration = declare("batch_job_last_duration_seconds", "Seconds that the last run took.", "mostrecent")
        self._records = declare("batch_job_last_records", "Records that the last run processed.", "mostrecent")
        self._succeeded = declare("batch_job_last_succeeded", "1 if the last run succeeded, and else 0.", "mostrecent")

    def record(self, job: str, seconds: float, records: float, *, succeeded: bool) -> None:
        """Set the gauges at the end of a run."""
        now = time()
        self._run.labels(job).set(now)
        self._duration.labels(job).set(seconds)
        self._succeeded.labels(job).set(float(succeeded))
        if succeeded:
            self.success.labels(job).set(now)
        self._records.labels(job).set(records)


@final
class _Sent:
    """What a run sends: the metrics of the job, without one that the sink keeps by itself, and those beside it."""

    def __init__(self, own: CollectorRegistry, other: CollectorRegistry | None, left_out: str) -> None:
        self._own = own
        self._other = other
        self._left_out = left_out

    def collect(self) -> Iterator[Metric]:
        """Yield the families. A Pushgateway would delete the series of one without samples, so it is left out whole."""
        yield from (family for family in collect_or_raise(self._own) if family.name != self._left_out)
        if self._other is not None:
            yield from collect_or_raise(self._other)


def _is_success(error: BaseException | None) -> bool:
    """Return whether a run has succeeded; `sys.exit` without a code, or with 0, ends one that has."""
    return error is None or (isinstance(error, SystemExit) and error.code in {None, 0})
