"""What is under way, told per route at the time of a scrape.

*Theory of operation.* The route is not known when a request begins, so those under way are kept in a dict and grouped
when somebody scrapes by what the router has written into their scopes by then. Several workers add up what each of them
has: every one tells the others once a second.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Protocol, TypeAlias, TypeVar, final
from weakref import WeakKeyDictionary, WeakValueDictionary

from asyncmetrics.metrics import Gauge
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
    """The requests under way on one registry, and their gauges."""

    def __init__(self, registry: CollectorRegistry, names: list[str], seen: Seen) -> None:
        self.members: dict[UnderWay, None] = {}
        self._seen = seen
        counts = Gauge(
            "http_server_active_requests",
            "HTTP requests under way, by route.",
            names,
            registry=registry,
            multiprocess_mode="livesum",
            max_children=None,
        )
        counts.collect_from(self._counts, blocking=False)
        ages = Gauge(
            "http_server_oldest_active_request_seconds",
            "Age of the oldest HTTP request under way, by route.",
            names[1:],
            registry=registry,
            multiprocess_mode="livemax",
            max_children=None,
        )
        ages.collect_from(self._ages, blocking=False)

    def _counts(self) -> Mapping[tuple[object, ...], float]:
        active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(self._seen(), 0))
        for request in list(self.members):
            labels = request.labels_so_far()
            key = (request.method, *labels)
            if labels:
                active[key] += 1
        return active

    def _ages(self) -> Mapping[tuple[object, ...], float]:
        now = perf_counter()
        oldest: dict[tuple[object, ...], float] = {}
        for request in list(self.members):
            labels = request.labels_so_far()
            if labels:
                oldest[labels] = max(oldest.get(labels, 0.0), now - request.started)
        return oldest


@final
class ActiveConnections:
    """The websockets that are open, or being opened, on one registry, and their gauge."""

    def __init__(self, registry: CollectorRegistry, names: list[str], seen: Seen) -> None:
        self.members: dict[UnderWay, None] = {}
        self._seen = seen
        counts = Gauge(
            "websocket_server_active_connections",
            "WebSocket connections that have not ended.",
            names,
            registry=registry,
            multiprocess_mode="livesum",
            max_children=None,
        )
        counts.collect_from(self._counts, blocking=False)

    def _counts(self) -> Mapping[tuple[object, ...], float]:
        active: Tally[tuple[object, ...]] = Tally(dict.fromkeys(self._seen(), 0))
        active.update(connection.labels_so_far() for connection in list(self.members))
        return active


# The gauges' functions hold these objects, the registry the gauges.
_SHARED: WeakKeyDictionary[CollectorRegistry, WeakValueDictionary[type, ActiveRequests | ActiveConnections]]
_SHARED = WeakKeyDictionary()


def shared(kind: type[C], registry: CollectorRegistry, names: list[str], seen: Seen) -> C:
    """Return what the applications on a registry share, registering its gauges the first time."""
    active = _SHARED.setdefault(registry, WeakValueDictionary())
    found = active.get(kind)
    if not isinstance(found, kind):
        active[kind] = found = kind(registry, names, seen)
    return found
