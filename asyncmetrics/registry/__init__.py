"""Registries: the collectors, their names, and collecting from them.

- `registry`: `CollectorRegistry` and the default `REGISTRY`, restricted registries.
- `_registrations`: the registered collectors and the names that belong to each, as one value.
- `collection`: one collection: its collectors, and how their families are merged.
- `collectables`: what can be exposed: a registry of these, or any other object with a method ``collect``.
- `sources`: what a collection asks for a collector: the collector itself, or the functions of a gauge.
- `checking`: leaves out the families and samples of collectors that cannot be written.
- `plain`: the families that ``collect()`` returns to programs.
- `refusals`: the advice of errors about wrong registries and families.
- `drivers`: asks everything, for a caller in a thread and for one on an event loop.
- `self_metrics`: the metrics about the library itself. Add a new self-metric there: its descriptor and a method. One
  about workers and slots goes into `asyncmetrics.storage.shared.self_metrics`.

*Terms.* A *collection* is one pass over all collectors. A *scrape* is a collection that a client asked for. A *reading*
is one pass over the children of one metric. A *gathering* is the calls of collectors that scrapes share.
"""

from __future__ import annotations

from asyncmetrics.errors import DuplicateMetricError
from asyncmetrics.registry.collectables import Collectable, check_registry
from asyncmetrics.registry.collection import Collection, is_fault
from asyncmetrics.registry.registry import (
    REGISTRY,
    CollectorRegistry,
    Registry,
    RestrictedRegistry,
    check_full_registry,
)
from asyncmetrics.registry.sources import Collector, CollectorResult

__all__ = (
    "REGISTRY",
    "Collectable",
    "Collection",
    "Collector",
    "CollectorRegistry",
    "CollectorResult",
    "DuplicateTimeseries",
    "Registry",
    "RestrictedRegistry",
    "check_full_registry",
    "check_registry",
    "is_fault",
)

DuplicateTimeseries = DuplicateMetricError
"""The name of `DuplicateMetricError` in prometheus_client."""
