"""The gauges of active requests, streams and connections, by route.

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
from asyncmetrics.middleware.options import MiddlewareOptions
from asyncmetrics.model.descriptor import GaugeMode
from asyncmetrics.registry import CollectorRegistry
from asyncmetrics.registry.self_metrics import SelfMetrics, get_self_metrics

__all__ = ("ActiveConnections", "ActiveExchange", "ActiveRequest", "ActiveRequests", "get_shared")

C = TypeVar("C", "ActiveRequests", "ActiveConnections")

ListEnded: TypeAlias = Callable[[], Iterable[tuple[str, ...]]]
"""Return the label values of the requests or connections that have ended, which the gauges expose with 0."""

Declare: TypeAlias = Callable[[str, str, list[str], GaugeMode], Gauge]
"""Register a gauge by its name, documentation, labels and multiprocess mode."""


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


class ActiveRequest(ActiveExchange, Protocol):
    """A request that has not ended."""

    def is_stream(self, now: float) -> bool:
        """Return whether its response is a stream at ``now``, by ``perf_counter``."""
        ...


@final
class ActiveRequests:
    """The active requests of one registry, and their gauges. Streams are requests that the ages leave out."""

    def __init__(
        self, declare: Declare, names: list[str], list_ended: ListEnded, list_ended_streams: ListEnded
    ) -> None:
        self.members: dict[ActiveRequest, None] = {}
        self._list_ended = list_ended
        self._list_ended_streams = list_ended_streams
        counted = "Active HTTP requests, by method and route."
        self.counts = declare("http_server_active_requests", counted, names, "livesum")
        self.counts.collect_from(self._count, blocking=False)
        counted = "Streaming responses that have not ended, by method and route."
        streams = declare("http_server_active_streams", counted, names, "livesum")
        streams.collect_from(self._count_streams, blocking=False)
        age = "Age of the oldest active HTTP request that is no stream, by route."
        ages = declare("http_server_oldest_active_request_seconds", age, names[1:], "livemax")
        ages.collect_from(self._compute_ages, blocking=False)

    def _count(self) -> Mapping[tuple[object, ...], float]:
        # A copy, since requests in another thread begin and end at the same time.
        return _tally(list(self.members), self._list_ended())

    def _count_streams(self) -> Mapping[tuple[object, ...], float]:
        now = perf_counter()
        return _tally([one for one in list(self.members) if one.is_stream(now)], self._list_ended_streams())

    def _compute_ages(self) -> Mapping[tuple[object, ...], float]:
        now = perf_counter()
        oldest: dict[tuple[object, ...], float] = {}
        for request in list(self.members):
            labels = () if request.is_stream(now) else request.read_labels()
            if labels:
                oldest[labels] = max(oldest.get(labels, 0.0), now - request.started)
        return oldest


def _tally(requests: Iterable[ActiveRequest], ended: Iterable[tuple[str, ...]]) -> Mapping[tuple[object, ...], float]:
    """Count requests by their method and labels; ``ended`` are the labels whose count may be 0."""
    active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(ended, 0))
    for request in requests:
        labels = request.read_labels()
        if labels:
            key = (request.method, *labels)
            active[key] += 1
    return active


@final
class ActiveConnections:
    """The active WebSocket connections of one registry, from their handshakes on, and their gauge."""

    def __init__(self, declare: Declare, names: list[str], list_ended: ListEnded) -> None:
        self.members: dict[ActiveExchange, None] = {}
        self._list_ended = list_ended
        counted = "Active WebSocket connections, by route."
        self.counts = declare("websocket_server_active_connections", counted, names, "livesum")
        self.counts.collect_from(self._count, blocking=False)

    def _count(self) -> Mapping[tuple[object, ...], float]:
        active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(self._list_ended(), 0))
        active.update(connection.read_labels() for connection in list(self.members))
        return active


# Weak, since the gauges' functions hold these objects, and the registry holds the gauges.
_Shared: TypeAlias = "WeakValueDictionary[tuple[type, str], ActiveRequests | ActiveConnections]"
# By the self-metrics of the registry, as in asyncmetrics/metrics/pools.py.
_SHARED: WeakKeyDictionary[SelfMetrics, _Shared] = WeakKeyDictionary()


def get_shared(
    kind: type[C], registry: CollectorRegistry, options: MiddlewareOptions, names: list[str], *list_ended: ListEnded
) -> C:
    """Return what all applications of a registry and namespace share; the first call registers its gauges."""
    namespace = options["namespace"]
    shared = _SHARED.setdefault(get_self_metrics(registry), WeakValueDictionary())
    active = shared.get((kind, namespace))
    if not isinstance(active, kind):

        def declare(name: str, documentation: str, labels: list[str], mode: GaugeMode) -> Gauge:
            return Gauge(
                name,
                documentation,
                labels,
                namespace=namespace,
                registry=registry,
                multiprocess_mode="liveall" if options["worker_label"] else mode,
                max_children=None,
            )

        shared[kind, namespace] = active = kind(declare, names, *list_ended)
    return active
