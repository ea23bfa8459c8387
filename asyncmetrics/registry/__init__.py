"""Registries: the collectors, their names, and collecting from them.

- `registry`: `CollectorRegistry` and the default `REGISTRY`, restricted registries.
- `_registrations`: the registered collectors and the names that belong to each, as one value.
- `collection`: one collection: how collectors are asked and their families merged.
- `self_metrics`: the metrics about the library itself. Add a new self-metric there: its descriptor and a method. One
  about workers and slots goes into `asyncmetrics.storage.shared.self_metrics`.

*Terms.* A *collection* is one pass over all collectors. A *scrape* is a collection that a client asked for. A *reading*
is one pass over the children of one metric. A *gathering* is the calls of collectors that scrapes share.
"""

from __future__ import annotations

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.registry.collection import (
    Collectable,
    Collection,
    Collector,
    CollectorResult,
    Outcome,
    ask_collector,
    await_families,
    check_registry,
    close_awaitable,
    is_fault,
    limit_families,
)
from asyncmetrics.registry.registry import (
    REGISTRY,
    CollectorRegistry,
    Registry,
    RestrictedRegistry,
    check_full_registry,
)

__all__ = (
    "REGISTRY",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorRegistry",
    "CollectorResult",
    "DuplicateTimeseries",
    "Outcome",
    "Registry",
    "RestrictedRegistry",
    "ask_collector",
    "await_families",
    "check_full_registry",
    "check_registry",
    "close_awaitable",
    "is_fault",
    "limit_families",
)

DuplicateTimeseries = DuplicateMetricError
"""The name of `DuplicateMetricError` in prometheus_client."""
