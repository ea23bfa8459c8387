"""What is under way, told per route at the time of a scrape.

*Rules.* A worker tells what is under way in itself. Where several share their metrics it does so under its label
``worker``, so that nobody takes it for all of them.

*Theory of operation.* The route is not known when a request begins, so those under way are kept in a dict and grouped
when somebody scrapes by what the router has written into their scopes by then.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Protocol, TypeAlias, TypeVar, final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from asyncmetrics.model.families import GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import CollectorRegistry

__all__ = ("ActiveConnections", "ActiveRequests", "UnderWay", "shared")

C = TypeVar("C", "ActiveRequests", "ActiveConnections")

Seen: TypeAlias = Callable[[], Iterable[tuple[str, ...]]]
"""Return the label values that were active once, and are shown as zero since."""


class UnderWay(Protocol):
    """A request or a connection that has not ended."""

    @property
    def method(self) -> str:
        """The method label; empty for a websocket."""
        ...

    @property
    def started(self) -> float:
        """When it began, by ``perf_counter``."""
        ...

    def labels_so_far(self) -> tuple[str, ...]:
        """Return what is known of the route by now, and the values of the user's own labels.

        Nothing at all for what is not to be told.
        """
        ...


@final
class ActiveRequests:
    """The requests under way on one registry, and their collector."""

    blocking = False

    def __init__(self, registry: CollectorRegistry, names: list[str], seen: Seen) -> None:
        self.members: dict[UnderWay, None] = {}
        self._registry = ref(registry)
        self._names = names
        self._seen = seen

    def describe(self) -> list[Metric]:
        """Return the two families without samples."""
        return list(self._families(()))

    def collect(self) -> Iterator[Metric]:
        """Yield how many requests are under way, and the age of the oldest, by what is known of their routes."""
        now = perf_counter()
        active: Tally[tuple[str, ...]] = Tally(dict.fromkeys(self._seen(), 0))
        oldest: dict[tuple[str, ...], float] = {}
        for request in list(self.members):
            labels = request.labels_so_far()
            if not labels:
                continue
            of_method = (request.method, *labels)
            active[of_method] += 1
            oldest[labels] = max(oldest.get(labels, 0.0), now - request.started)
        worker = _worker_of(self._registry(), self._names)
        counts, ages = self._families(worker)
        for labels, count in active.items():
            counts.add_metric((*labels, *worker.values()), count)
        for labels, age in oldest.items():
            ages.add_metric((*labels, *worker.values()), age)
        yield counts
        yield ages

    def _families(self, worker: Iterable[str]) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        names = [*self._names, *worker]
        return (
            GaugeMetricFamily("http_server_active_requests", "HTTP requests under way, by route.", labels=names),
            GaugeMetricFamily(
                "http_server_oldest_active_request_seconds",
                "Age of the oldest HTTP request under way, by route.",
                labels=names[1:],
            ),
        )


@final
class ActiveConnections:
    """The websockets that are open, or being opened, on one registry, and their collector."""

    blocking = False

    def __init__(self, registry: CollectorRegistry, names: list[str], seen: Seen) -> None:
        self.members: dict[UnderWay, None] = {}
        self._registry = ref(registry)
        self._names = names
        self._seen = seen

    def describe(self) -> list[Metric]:
        """Return the family without samples."""
        return [self._family(())]

    def collect(self) -> Iterator[Metric]:
        """Yield how many connections there are, by what is known of their routes."""
        active: Tally[tuple[str, ...]] = Tally(dict.fromkeys(self._seen(), 0))
        active.update(connection.labels_so_far() for connection in list(self.members))
        worker = _worker_of(self._registry(), self._names)
        family = self._family(worker)
        for labels, count in active.items():
            family.add_metric((*labels, *worker.values()), count)
        yield family

    def _family(self, worker: Iterable[str]) -> GaugeMetricFamily:
        names = [*self._names, *worker]
        return GaugeMetricFamily(
            "websocket_server_active_connections", "WebSocket connections that have not ended.", labels=names
        )


def _worker_of(registry: CollectorRegistry | None, names: list[str]) -> dict[str, str]:
    return {} if registry is None else registry.worker_labels(names)


# The registry holds the collectors; they hold it.
_SHARED: WeakKeyDictionary[CollectorRegistry, WeakValueDictionary[type, ActiveRequests | ActiveConnections]]
_SHARED = WeakKeyDictionary()


def shared(kind: type[C], registry: CollectorRegistry, names: list[str], seen: Seen) -> C:
    """Return the collector of ``kind`` that the applications on a registry share, registering it the first time."""
    collectors = _SHARED.setdefault(registry, WeakValueDictionary())
    collector = collectors.get(kind)
    if not isinstance(collector, kind):
        collector = kind(registry, names, seen)
        registry.register(collector)
        collectors[kind] = collector
    return collector
