"""What the garbage collector has done, by generation."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import final

from asyncmetrics.model.families import CounterMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("GC_COLLECTOR", "GCCollector")

_FAMILIES = {
    "collected": ("python_gc_objects_collected", "Objects collected during gc"),
    "uncollectable": ("python_gc_objects_uncollectable", "Uncollectable objects found during GC"),
    "collections": ("python_gc_collections", "Number of times this generation was collected"),
}


@final
class GCCollector:
    """Collect `gc.get_stats`; an interpreter without it (not CPython) yields nothing."""

    blocking = False

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the three families."""
        stats = gc.get_stats() if hasattr(gc, "get_stats") else []
        for key, (name, documentation) in _FAMILIES.items() if stats else ():
            family = CounterMetricFamily(name, documentation, labels=["generation"])
            for generation, stat in enumerate(stats):
                family.add_metric([str(generation)], stat[key])
            yield family


GC_COLLECTOR = GCCollector()
"""The garbage collector's collector in `REGISTRY`."""
