"""How many calls of clients each request makes, and how long they take together: N+1 queries show at once."""

from __future__ import annotations

from typing import final

from asyncmetrics.metrics.totals import RequestTotals, list_kinds
from asyncmetrics.middleware.metric_factory import MetricFactory
from asyncmetrics.registry import CollectorRegistry

__all__ = ("ClientTotals",)


@final
class ClientTotals:
    """The two histograms of request totals, by route and kind of client."""

    def __init__(self, factory: MetricFactory, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._calls = factory.make_histogram(
            "http_server_request_client_calls", "Calls of clients that one request makes.", "route", "client"
        )
        self._seconds = factory.make_histogram(
            "http_server_request_client_duration_seconds",
            "Seconds that the calls of clients of one request take together.",
            "route",
            "client",
        )

    def record(self, totals: RequestTotals, route: str, extra: tuple[str, ...]) -> None:
        """Close the totals of a request and observe them, also those of clients that it has not called."""
        totals.is_open = False
        for kind in dict.fromkeys((*list_kinds(self._registry), *totals.seconds)):
            labels = (route, kind, *extra)
            self._calls.find(labels).observe(totals.counts.get(kind, 0))
            self._seconds.find(labels).observe(totals.seconds.get(kind, 0.0))
