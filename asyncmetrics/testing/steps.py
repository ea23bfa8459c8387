"""What a test of a storage is made of: a declaration of metrics, steps with them, and the samples that are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from asyncmetrics.model.samples import NativeHistogram, Sample
from asyncmetrics.registry import CollectorRegistry

__all__ = ("Declare", "Reader", "Step")

Declare: TypeAlias = Callable[[CollectorRegistry], Any]
"""Declares a metric, or several, in a registry."""
Step: TypeAlias = Callable[[Any], object]
"""Uses the metrics that were declared."""


class Reader:
    """The samples of one collection."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.samples: list[Sample] = [sample for family in registry.collect() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample, None if there is none. Raises ValueError if there are several."""
        found = [sample.value for sample in self.samples if (sample.name, sample.labels) == (name, labels)]
        if len(found) > 1:
            raise ValueError(f"{name}{labels} is exposed {len(found)} times")
        return found[0] if found else None

    def native(self, name: str, **labels: str) -> NativeHistogram | None:
        """Return a native histogram, None if there is none."""
        found = (sample.native_histogram for sample in self.samples if (sample.name, sample.labels) == (name, labels))
        return next(found, None)

    def labels(self, name: str) -> list[dict[str, str]]:
        """Return the labels of all samples of one name, sorted."""
        found = [sample.labels for sample in self.samples if sample.name == name]
        return sorted(found, key=lambda labels: sorted(labels.items()))
