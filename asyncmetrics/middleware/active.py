"""The gauges of active requests and connections, by route.

*Theory of operation.* The route is not known when a request begins.

1. A request begins: it is added to ``members``, a dict of the active requests.
2. The router writes the route into the scope of the request.
3. A scrape: the gauges read the labels of each member, and count the members by labels.
4. The request ends: it is removed from ``members``. Its labels stay in the duration histogram, and the gauges expose
   those labels with 0 from now on.

Each worker publishes its own numbers once a second. The worker that is scraped adds those of the others to its own.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Protocol, TypeAlias, TypeVar, final
from weakref import WeakKeyDictionary, WeakValueDictionary

from asyncmetrics.metrics import Gauge
from asyncmetrics.registry import CollectorRegistry

__all__ = ("ActiveConnections", "ActiveExchange", "ActiveRequests", "get_shared")

C = TypeVar("C", "ActiveRequests", "ActiveConnections")

ListEnded: TypeAlias = Callable[[], Iterable[tuple[str, ...]]]
"""Return the label values of the requests or connections that have ended, which the gauges expose with 0."""


class ActiveExchange(Protocol):
    """A request or a connection that has not ended."""

    @property
    def method(self) -> str:
        """The method label; empty for a websocket."""
        ...

    @property
    def started(self) -> float:
        """When it began, by ``perf_counter``."""
        ...

    def read_labels(self) -> tuple[str, ...]:
        """Return the route as far as it is known, and the values of the extra labels.

        Return an empty tuple for an exchange that is not exposed.
        """
        ...


@final
class ActiveRequests:
    """The active requests of one registry, and their gauges."""

    def __init__(self, registry: CollectorRegistry, namespace: str, names: list[str], list_ended: ListEnded) -> None:
        self.members: dict[ActiveExchange, None] = {}
        self._list_ended = list_ended
        self.counts = Gauge(
            "http_server_active_requests",
            "Active HTTP requests, by method and route.",
            names,
            namespace=namespace,
            registry=registry,
            multiprocess_mode="livesum",
            max_children=None,
        )
        self.counts.collect_from(self._count, blocking=False)
        ages = Gauge(
            "http_server_oldest_active_request_seconds",
            "Age of the oldest active HTTP request, by route.",
            names[1:],
            namespace=namespace,
            registry=registry,
            multiprocess_mode="livemax",
            max_children=None,
        )
        ages.collect_from(self._compute_ages, blocking=False)

    def _count(self) -> Mapping[tuple[object, ...], float]:
        active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(self._list_ended(), 0))
        # A copy, since requests in another thread begin and end at the same time.
        for request in list(self.members):
            labels = request.read_labels()
            key = (request.method, *labels)
            if labels:
                active[key] += 1
        return active

    def _compute_ages(self) -> Mapping[tuple[object, ...], float]:
        now = perf_counter()
        oldest: dict[tuple[object, ...], float] = {}
        for request in list(self.members):
            labels = request.read_labels()
            if labels:
                oldest[labels] = max(oldest.get(labels, 0.0), now - request.started)
        return oldest


@final
class ActiveConnections:
    """The active WebSocket connections of one registry, from their handshakes on, and their gauge."""

    def __init__(self, registry: CollectorRegistry, namespace: str, names: list[str], list_ended: ListEnded) -> None:
        self.members: dict[ActiveExchange, None] = {}
        self._list_ended = list_ended
        self.counts = Gauge(
            "websocket_server_active_connections",
            "Active WebSocket connections, by route.",
            names,
            namespace=namespace,
            registry=registry,
            multiprocess_mode="livesum",
            max_children=None,
        )
        self.counts.collect_from(self._count, blocking=False)

    def _count(self) -> Mapping[tuple[object, ...], float]:
        active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(self._list_ended(), 0))
        active.update(connection.read_labels() for connection in list(self.members))
        return active


# Weak, since the gauges' functions hold these objects, and the registry holds the gauges.
_Shared: TypeAlias = "WeakValueDictionary[tuple[type, str], ActiveRequests | ActiveConnections]"
_SHARED: WeakKeyDictionary[CollectorRegistry, _Shared] = WeakKeyDictionary()


def get_shared(
    kind: type[C], registry: CollectorRegistry, namespace: str, names: list[str], list_ended: ListEnded
) -> C:
    """Return what all applications of a registry and namespace share; the first call registers its gauges."""
    shared = _SHARED.setdefault(registry, WeakValueDictionary())
    active = shared.get((kind, namespace))
    if not isinstance(active, kind):
        shared[kind, namespace] = active = kind(registry, namespace, names, list_ended)
    return active
