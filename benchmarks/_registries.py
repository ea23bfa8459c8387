"""Registries of either library that hold the same data, for those who measure what is done with them."""

from __future__ import annotations

from typing import Any

__all__ = ("ours", "theirs")

_LABELS = ["handler", "kind"]


def ours(kind: str, children: int) -> Any:
    """Return a registry of asyncmetrics with one metric of ``kind`` and so many children, each with a value."""
    import asyncmetrics

    registry = asyncmetrics.CollectorRegistry()
    metric = getattr(asyncmetrics, kind)("requests", "Requests.", _LABELS, registry=registry, max_children=None)
    _fill(metric, children)
    return registry


def theirs(kind: str, children: int) -> Any:
    """Return the same of prometheus_client."""
    import prometheus_client

    from asyncmetrics import Histogram

    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # ours are off by default
    shape: dict[str, Any] = {"buckets": Histogram.DEFAULT_BUCKETS} if kind == "Histogram" else {}
    registry = prometheus_client.CollectorRegistry()
    _fill(getattr(prometheus_client, kind)("requests", "Requests.", _LABELS, registry=registry, **shape), children)
    return registry


def _fill(metric: Any, children: int) -> None:
    use = "inc" if hasattr(metric, "inc") else "observe"
    for index in range(children):
        getattr(metric.labels(f"/items/{index}", "GET"), use)(index / 8)
