"""`PlatformCollector`: the version and implementation of Python."""

from __future__ import annotations

import platform as _platform
from collections.abc import Iterator
from typing import Protocol, final

from asyncmetrics.model.families import GaugeMetricFamily
from asyncmetrics.model.family import Metric
from asyncmetrics.registry import REGISTRY, CollectorRegistry, check_full_registry

__all__ = ("PLATFORM_COLLECTOR", "PlatformCollector")


class Platform(Protocol):
    """Functions that describe a Python, such as the module `platform`."""

    def python_version(self) -> str:
        """Return the version, such as ``3.13.1``."""
        ...

    def python_implementation(self) -> str:
        """Return the name of the implementation, such as ``CPython``."""
        ...

    def python_version_tuple(self) -> tuple[str, str, str]:
        """Return major version, minor version and patchlevel."""
        ...


@final
class PlatformCollector:
    """Expose ``python_info`` with the version, its three parts and the implementation as labels.

    ``platform`` returns them; the default is the module of the standard library.
    """

    blocking = False

    def __init__(self, registry: CollectorRegistry | None = REGISTRY, platform: Platform | None = None) -> None:
        source = platform or _platform
        major, minor, patchlevel = source.python_version_tuple()
        self._labels = {
            "version": source.python_version(),
            "implementation": source.python_implementation(),
            "major": major,
            "minor": minor,
            "patchlevel": patchlevel,
        }
        if registry is not None:
            check_full_registry(registry)
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = GaugeMetricFamily("python_info", "Python platform information", labels=list(self._labels))
        family.add_metric(list(self._labels.values()), 1)
        yield family


PLATFORM_COLLECTOR = PlatformCollector()
"""The collector in `REGISTRY`."""
