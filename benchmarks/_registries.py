"""Registries of both libraries with the same data."""

from __future__ import annotations

import random
from typing import Any

__all__ = ("make_native_registry", "make_our_registry", "make_their_registry")

_LABELS = ["handler", "kind"]


def make_our_registry(kind: str, children: int) -> Any:
    """Return a registry of asyncmetrics with one metric of ``kind``, which has ``children`` children with values."""
    import asyncmetrics

    registry = asyncmetrics.CollectorRegistry()
    metric = getattr(asyncmetrics, kind)("requests", "Requests.", _LABELS, registry=registry, max_children=None)
    _fill(metric, children)
    return registry


def make_native_registry(children: int, *, is_classic: bool = False) -> Any:
    """Return a registry of asyncmetrics with native histograms of 60 observations, alone or beside classic ones."""
    import asyncmetrics

    registry = asyncmetrics.CollectorRegistry()
    options: dict[str, Any] = {} if is_classic else {"buckets": ()}
    histogram = asyncmetrics.Histogram(
        "requests", "Requests.", _LABELS, registry=registry, max_children=None, native=True, **options
    )
    amounts = random.Random(1)
    for index in range(children):
        child = histogram.labels(f"/items/{index}", "GET")
        for _ in range(60):
            child.observe(amounts.lognormvariate(-3, 0.5))  # about 30 buckets
    return registry


def make_their_registry(kind: str, children: int) -> Any:
    """Return the same registry of prometheus_client."""
    import prometheus_client

    from asyncmetrics import Histogram

    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # as ours are by default
    options: dict[str, Any] = {"buckets": Histogram.DEFAULT_BUCKETS} if kind == "Histogram" else {}
    registry = prometheus_client.CollectorRegistry()
    _fill(getattr(prometheus_client, kind)("requests", "Requests.", _LABELS, registry=registry, **options), children)
    return registry


def _fill(metric: Any, children: int) -> None:
    use = "inc" if hasattr(metric, "inc") else "observe"
    for index in range(children):
        getattr(metric.labels(f"/items/{index}", "GET"), use)(index / 8)
