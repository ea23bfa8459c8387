"""`GCCollector`: the work of the garbage collector, by generation."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import final

from asyncmetrics.model.families import CounterMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry

__all__ = ("GC_COLLECTOR", "GCCollector")

_FAMILIES = {
    "collected": ("python_gc_objects_collected", "Objects collected during gc"),
    "uncollectable": ("python_gc_objects_uncollectable", "Uncollectable objects found during GC"),
    "collections": ("python_gc_collections", "Number of times this generation was collected"),
}


@final
class GCCollector:
    """Expose `gc.get_stats`; on an interpreter without it, which is not CPython, yield nothing.

    If workers share their metrics, the worker that is scraped exposes its own numbers under its label ``worker``.
    """

    blocking = False

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        self._registry = registry
        if registry is not None:
            check_full_registry(registry)
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the three families."""
        stats = gc.get_stats() if hasattr(gc, "get_stats") else []
        own = self._registry.worker_labels(["generation"]) if self._registry is not None else {}
        for key, (name, documentation) in _FAMILIES.items() if stats else ():
            family = CounterMetricFamily(name, documentation, labels=["generation", *own])
            for generation, stat in enumerate(stats):
                family.add_metric([str(generation), *own.values()], stat[key])
            yield family


GC_COLLECTOR = GCCollector()
"""The collector in `REGISTRY`."""
