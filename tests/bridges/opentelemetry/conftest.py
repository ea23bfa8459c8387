"""A registry with a `MeterProvider`, and what it exposes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.metrics import Meter

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.opentelemetry import MeterProvider


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def meter(registry: CollectorRegistry) -> Meter:
    return MeterProvider(registry, scope_labels=False).get_meter("lib")


@pytest.fixture
def read(registry: CollectorRegistry) -> Callable[[str], dict[frozenset[tuple[str, str]], float]]:
    """Read the samples of one name by their labels: ``read("otel_orders_total") == {labels(kind="x"): 1}``."""
    return lambda name: {
        frozenset(sample.labels.items()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def labels() -> Callable[..., frozenset[tuple[str, str]]]:
    return lambda **pairs: frozenset(pairs.items())
