"""`Queues`: how long queues are, how long tasks wait to put and to get, and how long items wait in a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, final

from asyncmetrics.interruptions import pass_interruption
from asyncmetrics.metrics import Gauge, Histogram
from asyncmetrics.metrics.members import Member, Members
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import get_self_metrics
from asyncmetrics.runtime.objects import MetricSets

__all__ = ("QUEUES", "QueueNumbers", "QueueSeries", "Queues")

_MAX_CHILDREN = 1000
_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600)


class QueueNumbers(NamedTuple):
    """What a queue has at this moment; None for a number that it does not have."""

    length: int
    max: float | None = None
    unfinished: int | None = None


@final
class QueueSeries(Member):
    """The recorded metrics of one queue. Once it is measured no more, they record nothing.

    No method raises: they run beside a call of the application.
    """

    __slots__ = ("key", "queues", "waiting")

    def __init__(self, queues: Queues, name: str) -> None:
        super().__init__(name)
        self.queues = queues
        self.key = (name,)
        self.waiting = 0
        """The tasks that wait for a permit of a semaphore."""

    def observe_put(self, seconds: float) -> None:
        """Record how long a call has waited until its item was in the queue, or until it gave up."""
        if self.is_open:
            try:
                self.queues.puts.find(self.key).observe(seconds)
            except Exception as error:  # noqa: BLE001  # see the class
                self.count_failure(error)

    def observe_get(self, seconds: float) -> None:
        """Record how long a call has waited for an item or a permit, or until it gave up."""
        if self.is_open:
            try:
                self.queues.gets.find(self.key).observe(seconds)
            except Exception as error:  # noqa: BLE001  # see the class
                self.count_failure(error)

    def observe_item(self, seconds: float) -> None:
        """Record how long an item was in the queue."""
        if self.is_open:
            try:
                self.queues.items.find(self.key).observe(seconds)
            except Exception as error:  # noqa: BLE001  # see the class
                self.count_failure(error)

    def count_failure(self, error: Exception) -> None:
        """Count an exception of our own."""
        pass_interruption(error)
        self.queues.count_failure()


@final
class Queues:
    """The queues of one registry and namespace, and their metrics. `QUEUES` has them."""

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self._registry = registry
        self._options: dict[str, Any] = {
            "namespace": namespace,
            "registry": registry,
            "max_children": _MAX_CHILDREN,
            "exist_ok": True,
        }
        self._members: Members[QueueSeries, QueueNumbers]
        self._members = Members(registry, "runtime.queues", partial(QueueSeries, self), self._forget)
        self.declare()

    def declare(self) -> None:
        """Declare the metrics, or find those that are declared: a program may have unregistered all of them."""
        options = self._options
        for name, documentation, read in (
            ("queue_length", "Items in a queue, or tasks that wait for a semaphore.", self._list_lengths),
            ("queue_max", "Items that a queue may have, or permits of a semaphore.", self._list_limits),
            ("queue_unfinished_items", "Items that are put, and not yet marked as done.", self._list_unfinished),
        ):
            gauge = Gauge(name, documentation, ["queue"], multiprocess_mode="liveall", **options)
            gauge.collect_from(read, blocking=False)

        def make_histogram(name: str, documentation: str) -> Histogram:
            return Histogram(name, documentation, ["queue"], buckets=_BUCKETS, **options)

        self.puts = make_histogram("queue_put_wait_seconds", "Time until an item was in a queue.")
        self.gets = make_histogram("queue_get_wait_seconds", "Time until a call got an item or a permit.")
        self.items = make_histogram("queue_item_seconds", "Time that an item was in a queue.")

    def add(self, queue: object, kind: str, read: Callable[[Any], QueueNumbers], name: str = "") -> QueueSeries:
        """Expose ``queue``, and return its series; the arguments are those of `Members.add`. One name is added up."""
        return self._members.add(queue, kind, read, name)

    def remove(self, queue: object) -> None:
        """Stop exposing ``queue``, and remove its series unless another one has its name."""
        self._members.remove(queue)

    def count_failure(self) -> None:
        """Count the exception that is being handled as an error of this package."""
        get_self_metrics(self._registry).count_internal_error("runtime.queues")

    def _forget(self, name: str) -> None:
        for metric in (self.puts, self.gets, self.items):
            metric.remove(name)

    def _list_lengths(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {(): numbers.length})

    def _list_limits(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {} if numbers.max is None else {(): numbers.max})

    def _list_unfinished(self) -> Mapping[tuple[object, ...], float]:
        return self._members.add_up(lambda numbers: {} if numbers.unfinished is None else {(): numbers.unfinished})


QUEUES = MetricSets(Queues)
