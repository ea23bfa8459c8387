"""The requests of an HTTP server by route, whichever library has measured them.

The metrics of asyncmetrics and those of OpenTelemetry's conventions are found by their names, with any namespace. Those
of other instrumentations are a histogram of the time of requests with a label for the route. Without a label for the
status in it, a counter of requests or responses that has both labels says which ones have failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isnan, nan
from typing import final

from asyncmetrics.cli.table.snapshots import Distribution, Labels, Reading, Snapshot

__all__ = ("SORTS", "RouteFigures", "find_requests", "list_routes", "sort_routes")

_OURS = "http_server_request_duration_seconds"
_ACTIVE = "http_server_active_requests"
_ROUTES = ("route", "http_route", "path_template", "url_rule", "handler", "endpoint", "view", "path")
_METHODS = ("method", "http_request_method", "verb")
_STATUSES = ("status", "http_response_status_code", "status_code", "code")

# prometheus-fastapi-instrumentator, starlette-exporter, starlette-prometheus, django-prometheus, prometheus-flask-
# exporter, Prometheus itself and what Go's examples use.
_is_duration = re.compile(r"\w*requests?_(?:duration|latency|processing_time)\w*_seconds\w*")
_LONGEST_NAME = 200  # characters: a longer one is of no such library, and matching would take long
_is_tally = re.compile(r"\w*(?:requests|responses)\w*_total")


@final
@dataclass(slots=True)
class RouteFigures:
    """The requests of one method and route in a window of some seconds."""

    method: str
    route: str
    seconds: float
    requests: Distribution = field(default_factory=Distribution)
    failed: float = 0.0
    judged: float = 0.0
    active: float = nan

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests.events / self.seconds if self.seconds else 0.0

    @property
    def errors(self) -> float:
        """The share of the answers with a status of 500 or more; NaN without any."""
        return self.failed / self.judged if self.judged else nan

    def estimate(self, q: float) -> float:
        """Return a quantile of the time, in seconds."""
        return self.requests.estimate_quantile(q)


def find_requests(snapshot: Snapshot) -> list[Reading]:
    """Return the families with the time of requests: those of asyncmetrics, or one of another library."""
    ours = [reading for reading in snapshot.find(_OURS) if reading.distributions]
    if ours:
        return ours
    others = [
        reading
        for name, reading in snapshot.families.items()
        if reading.distributions and _is_server_name(name, _is_duration) and _has(reading, _ROUTES)
    ]
    return sorted(others, key=lambda reading: len(reading.distributions))[-1:]


def list_routes(last: Snapshot, increase: Snapshot) -> tuple[list[RouteFigures], set[str]]:
    """Return the figures of every method and route, and the names of the families that they come from."""
    routes: dict[tuple[str, str], RouteFigures] = {}

    def get(labels: Labels) -> RouteFigures:
        key = (_pick(labels, _METHODS), _pick(labels, _ROUTES))
        return routes.setdefault(key, RouteFigures(*key, increase.at))

    durations = find_requests(last)
    has_status = any(_has(reading, _STATUSES) for reading in durations)
    for reading in durations:
        for labels, distribution in increase.families[reading.name].distributions.items():
            figures = get(labels)
            figures.requests.add(distribution)
            if has_status:
                _judge(figures, labels, distribution.events)
    tallies = [] if has_status or not durations else _find_tallies(increase)
    for reading in tallies:
        for labels, value in reading.values.items():
            _judge(get(labels), labels, value)
    active = list(last.find(_ACTIVE)) if durations else []
    for reading in active:
        for labels, value in reading.values.items():
            if _pick(labels, _ROUTES):  # OpenTelemetry counts them without their route
                figures = get(labels)
                figures.active = value + (0.0 if isnan(figures.active) else figures.active)
    return list(routes.values()), {reading.name for reading in (*durations, *tallies, *active)}


def _find_tallies(snapshot: Snapshot) -> list[Reading]:
    """Return a counter of requests or responses by route and status, if there is one."""
    found = (
        reading
        for name, reading in snapshot.families.items()
        if reading.kind == "counter" and _is_server_name(name, _is_tally)
    )
    return [reading for reading in found if _has(reading, _ROUTES) and _has(reading, _STATUSES)][:1]


def _is_server_name(name: str, pattern: re.Pattern[str]) -> bool:
    return len(name) <= _LONGEST_NAME and "client" not in name and pattern.fullmatch(name) is not None


def _judge(figures: RouteFigures, labels: Labels, events: float) -> None:
    figures.judged += events
    if _pick(labels, _STATUSES).startswith("5"):  # also '5xx'
        figures.failed += events


def _has(reading: Reading, names: Iterable[str]) -> bool:
    return any(_pick(labels, names) for labels in (reading.distributions or reading.values))


def _pick(labels: Labels, names: Iterable[str]) -> str:
    """Return the value of the first label of ``names``; dots stand for underscores."""
    known = {name.replace(".", "_"): value for name, value in labels}
    return next((known[name] for name in names if name in known), "")


def _rank(figure: float) -> float:
    return -1.0 if isnan(figure) else figure  # NaN is the smallest


_KEYS: dict[str, Callable[[RouteFigures], float]] = {
    "rate": lambda route: route.rate,
    "errors": lambda route: _rank(route.errors),
    "p50": lambda route: _rank(route.estimate(0.5)),
    "p95": lambda route: _rank(route.estimate(0.95)),
    "p99": lambda route: _rank(route.estimate(0.99)),
    "active": lambda route: _rank(route.active),
}
SORTS = (*_KEYS, "route")
"""What routes can be sorted by."""


def sort_routes(routes: Iterable[RouteFigures], by: str) -> list[RouteFigures]:
    """Return the routes in the order ``by`` one of `SORTS`, the largest figure first."""
    named = sorted(routes, key=lambda one: (one.route, one.method))
    key = _KEYS.get(by)
    return named if key is None else sorted(named, key=key, reverse=True)
