"""`ThreadPools`: the threads of executors and limiters, how long calls wait for one, and how long functions run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Gauge, Histogram
from asyncmetrics.metrics.members import Member, Members
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime.functions import name_function
from asyncmetrics.runtime.objects import MetricSets

__all__ = ("THREAD_POOLS", "MeasuredCall", "ThreadPoolNumbers", "ThreadPoolSeries", "ThreadPools")

_MAX_CHILDREN = 1000
_RUN_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)


class ThreadPoolNumbers(NamedTuple):
    """What a pool has at this moment; None for a number that it does not have."""

    busy: int
    max: float
    pending: int
    idle: int | None = None


@final
class ThreadPoolSeries(Member):
    """The recorded metrics of one pool. Once it is measured no more, they record nothing.

    No method raises: they run beside a call of the application.
    """

    __slots__ = ("__weakref__", "_key", "_pools", "running")

    def __init__(self, pools: ThreadPools, name: str) -> None:
        super().__init__(name)
        self._pools = pools
        self._key = (name,)
        # A dict, since a number that several threads change would need a lock.
        self.running: dict[MeasuredCall, None] = {}
        """The calls that run now."""

    def observe_wait(self, seconds: float) -> None:
        """Record how long a call has waited for a thread, or until it gave up."""
        if self.is_open:
            try:
                self._pools.waits.find(self._key).observe(seconds)
            except Exception as error:  # noqa: BLE001  # see the class
                self.count_failure(error)

    def observe_run(self, function: str, seconds: float) -> None:
        """Record how long a function has run."""
        if self.is_open:
            try:
                self._pools.runs.find((self.name, function)).observe(seconds)
            except Exception as error:  # noqa: BLE001  # see the class
                self.count_failure(error)

    def count_failure(self, error: Exception) -> None:
        """Count an exception of our own."""
        pass_interruption(error)
        self._pools.count_failure()


@final
class MeasuredCall:
    """A function that a pool calls, once. It has the attributes of the function, such as its name.

    ``submitted`` is when the call began to wait; None if the wait is recorded elsewhere.
    """

    __slots__ = ("_function", "_series", "_submitted")

    def __init__(self, function: Callable[..., Any], series: ThreadPoolSeries, submitted: float | None) -> None:
        self._function = function
        self._series = series
        self._submitted = submitted

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and record it."""
        series, submitted = self._series, self._submitted
        started = perf_counter()
        if submitted is not None:
            series.observe_wait(started - submitted)
        series.running[self] = None
        try:
            return self._function(*args, **kwargs)
        finally:
            seconds = perf_counter() - started
            series.running.pop(self, None)
            series.observe_run(name_function(self._function), seconds)

    def __getattr__(self, name: str) -> Any:
        if name in MeasuredCall.__slots__:  # `copy` asks for names before there is a function
            raise AttributeError(name)
        return getattr(self._function, name)


@final
class ThreadPools:
    """The pools of one registry and namespace, and their metrics. `THREAD_POOLS` has them."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self._registry = registry
        self._options: dict[str, Any] = {
            "namespace": namespace,
            "registry": registry,
            "max_children": _MAX_CHILDREN,
            "exist_ok": True,
        }
        self._members: Members[ThreadPoolSeries, ThreadPoolNumbers]
        self._members = Members(registry, "runtime.thread_pools", partial(ThreadPoolSeries, self), self._forget)
        self.declare()

    def declare(self) -> None:
        """Declare the metrics, or find those that are declared: a program may have unregistered all of them."""
        options = self._options
        for name, documentation, labels, read in (
            ("thread_pool_threads", "Threads or processes of a pool, by state.", ["pool", "state"], self._count),
            ("thread_pool_max", "Threads or processes that a pool may have.", ["pool"], self._list_limits),
            ("thread_pool_queue_length", "Calls that wait for a thread of a pool.", ["pool"], self._list_pending),
        ):
            gauge = Gauge(name, documentation, labels, multiprocess_mode="liveall", **options)
            gauge.collect_from(read, blocking=False)
        self.waits = Histogram(
            "thread_pool_wait_seconds", "Time that calls waited for a thread of a pool.", ["pool"], **options
        )
        self.runs = Histogram(
            "thread_pool_run_seconds",
            "Time that functions ran in a pool.",
            ["pool", "function"],
            buckets=_RUN_BUCKETS,
            **options,
        )

    def add(self, pool: object, read: Callable[[Any], ThreadPoolNumbers], name: str = "") -> ThreadPoolSeries:
        """Expose ``pool``, and return its series. Pools of one name are added up."""
        return self._members.add(pool, type(pool).__name__, read, name)

    def remove(self, pool: object) -> None:
        """Stop exposing ``pool``, and remove its series unless another one has its name."""
        self._members.remove(pool)

    def count_failure(self) -> None:
        """Count the exception that is being handled as an error of this package."""
        get_self_metrics(self._registry).count_internal_error("runtime.thread_pools")

    def _forget(self, name: str) -> None:
        self.waits.remove(name)
        self.runs.remove_by_labels({"pool": name})

    def _count(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(_list_states)

    def _list_limits(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {(): numbers.max})

    def _list_pending(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {(): numbers.pending})


def _list_states(numbers: ThreadPoolNumbers) -> dict[tuple[str, ...], float]:
    busy: dict[tuple[str, ...], float] = {("busy",): numbers.busy}
    return busy if numbers.idle is None else {("idle",): numbers.idle, **busy}


THREAD_POOLS = MetricSets(ThreadPools)
