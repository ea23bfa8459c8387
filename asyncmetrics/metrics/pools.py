"""`Pools`: how many connections a pool has, how many calls wait for one, and how long they wait.

*Theory of operation.*

1. `get_pools` returns the one `Pools` of a registry and prefix, and declares its metrics at the first call.
2. `Pools.add` makes a pool one of the `Members`, whose numbers are read at a scrape.
3. What a scrape cannot see, such as how long a call waited, is recorded through the `PoolSeries` that `add` returns.
4. When the pool is removed or collected by the garbage collector, its series disappear.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import Any, NamedTuple, final
from weakref import WeakKeyDictionary

from asyncmetrics.metrics.counter import Counter
from asyncmetrics.metrics.gauge import Gauge
from asyncmetrics.metrics.histogram import Histogram
from asyncmetrics.metrics.members import Member, Members
from asyncmetrics.metrics.totals import TOTALS
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import SelfMetrics, get_self_metrics

__all__ = ("PoolNumbers", "PoolSeries", "Pools", "get_pools")

_MAX_CHILDREN = 1000
_USE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)


class PoolNumbers(NamedTuple):
    """What a pool has at this moment; None for a number that it does not have."""

    idle: int
    used: int
    max: int | None = None
    pending: int | None = None


@final
class PoolSeries(Member):
    """The recorded metrics of one pool. Once the pool is gone, they record no more: its series would come back."""

    __slots__ = ("_pools",)

    def __init__(self, pools: Pools, name: str) -> None:
        super().__init__(name)
        self._pools = pools

    def observe_wait(self, seconds: float, kind: str = "") -> None:
        """Record how long a call has waited for a connection, also in vain.

        With a ``kind`` of client, the wait is added to the totals of the request: no call of the client includes it.
        """
        if self.is_open:
            self._pools.waits.find((self.name,)).observe(seconds)
            if kind and (totals := TOTALS.get()) is not None:
                totals.add_wait(kind, seconds)

    def observe_use(self, seconds: float) -> None:
        """Record how long a call has used a connection."""
        if self.is_open:
            self._pools.uses.find((self.name,)).observe(seconds)

    def observe_creation(self, seconds: float) -> None:
        """Record how long it took to create a connection."""
        if self.is_open:
            self._pools.creations.find((self.name,)).observe(seconds)

    def count_timeout(self) -> None:
        """Count a call that has waited for a connection too long."""
        if self.is_open:
            self._pools.timeouts.find((self.name,)).inc()


@final
class Pools:
    """The pools of one registry whose metrics have the same prefix, and these metrics."""

    def __init__(self, registry: CollectorRegistry, prefix: str, namespace: str, pool: str, state: str) -> None:
        self._registry = registry
        self._prefix = prefix
        self._labels = (pool, state)
        self._options: dict[str, Any] = {
            "namespace": namespace,
            "registry": registry,
            "max_children": _MAX_CHILDREN,
            "exist_ok": True,
        }
        self._members: Members[PoolSeries, PoolNumbers]
        self._members = Members(registry, "pools", partial(PoolSeries, self), self._forget)
        self.declare()

    def declare(self) -> None:
        """Declare the metrics, or find those that are declared: a program may have unregistered all of them."""
        prefix, options = self._prefix, self._options
        pool, state = self._labels

        def make_gauge(suffix: str, documentation: str, *labels: str) -> Gauge:
            return Gauge(f"{prefix}_{suffix}", documentation, [pool, *labels], multiprocess_mode="livesum", **options)

        def make_histogram(suffix: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"{prefix}_{suffix}", documentation, [pool], buckets=buckets, **options)

        for gauge, read in (
            (make_gauge("count", "Connections of a pool, by state.", state), self._count),
            (make_gauge("max", "Connections that a pool may have."), self._list_limits),
            (make_gauge("pending_requests", "Calls that wait for a connection of a pool."), self._list_pending),
        ):
            gauge.collect_from(read, blocking=False)
        self.timeouts = Counter(
            f"{prefix}_timeouts_total", "Calls that got no connection of a pool in time.", [pool], **options
        )
        default = Histogram.DEFAULT_BUCKETS
        self.waits = make_histogram("wait_time_seconds", "Time that calls waited for a connection of a pool.", default)
        self.uses = make_histogram("use_time_seconds", "Time that calls used a connection of a pool.", _USE_BUCKETS)
        self.creations = make_histogram("create_time_seconds", "Time to create a connection of a pool.", default)

    def add(self, pool: object, kind: str, read: Callable[[Any], PoolNumbers], name: str = "") -> PoolSeries:
        """Expose ``pool``, and return its series; a pool that is exposed already stays as it is.

        The arguments are those of `Members.add`. Pools of one name are added up.
        """
        return self._members.add(pool, kind, read, name)

    def find(self, pool: object) -> PoolSeries | None:
        """Return the series of a pool that is exposed."""
        return self._members.find(pool)

    def remove(self, pool: object) -> None:
        """Stop exposing ``pool``, and remove its series unless another pool has its name."""
        self._members.remove(pool)

    def _forget(self, name: str) -> None:
        for metric in (self.timeouts, self.waits, self.uses, self.creations):
            metric.remove(name)

    def _count(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {("idle",): numbers.idle, ("used",): numbers.used})

    def _list_limits(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: _to_sample(numbers.max))

    def _list_pending(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: _to_sample(numbers.pending))


def _to_sample(number: int | None) -> dict[tuple[str, ...], float]:
    return {} if number is None else {(): number}


# Weak, since the gauges' functions hold the pools, and the registry holds the gauges.
# By the self-metrics of the registry: a default registry that a test isolates has others for that time.
_POOLS: WeakKeyDictionary[SelfMetrics, dict[tuple[str, ...], weakref.ref[Pools]]] = WeakKeyDictionary()
_LOCK = RLock()


def get_pools(
    registry: CollectorRegistry, prefix: str, *, namespace: str = "", pool: str = "pool", state: str = "state"
) -> Pools:
    """Return the pools whose metrics begin with ``prefix``; ``pool`` and ``state`` are the names of their labels.

    Raises `DuplicateMetricError` if the registry has such a metric with other labels.
    """
    with _LOCK:
        known = _POOLS.setdefault(get_self_metrics(registry), {})
        key = (prefix, namespace, pool, state)
        found = known[key]() if key in known else None
        if found is None:
            found = Pools(registry, prefix, namespace, pool, state)
            known[key] = weakref.ref(found)
        else:
            found.declare()
        return found
