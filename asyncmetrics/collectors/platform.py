"""Which Python this is."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import final

from asyncmetrics.model.families import GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry

__all__ = ("PLATFORM_COLLECTOR", "PlatformCollector")


@final
class PlatformCollector:
    """Collect ``python_info``: version, implementation, and its major, minor and patchlevel parts."""

    blocking = False

    def __init__(self, registry: CollectorRegistry | None = REGISTRY) -> None:
        major, minor, patchlevel = platform.python_version_tuple()
        self._labels = {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "major": major,
            "minor": minor,
            "patchlevel": patchlevel,
        }
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = GaugeMetricFamily("python_info", "Python platform information", labels=list(self._labels))
        family.add_metric(list(self._labels.values()), 1)
        yield family


PLATFORM_COLLECTOR = PlatformCollector()
"""The platform's collector in `REGISTRY`."""
