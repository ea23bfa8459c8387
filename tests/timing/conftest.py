"""A histogram, a counter and a gauge, and their values."""

from __future__ import annotations

import pytest

from asyncmetrics import Counter, Gauge, Histogram


@pytest.fixture
def h(registry):
    return Histogram("h_seconds", "Time.", registry=registry)


@pytest.fixture
def c(registry):
    return Counter("c", "Exceptions.", registry=registry)


@pytest.fixture
def g(registry):
    return Gauge("g", "Running.", registry=registry)


@pytest.fixture
def read(registry):
    names = {"h": "h_seconds_count", "s": "h_seconds_sum", "c": "c_total", "g": "g"}
    return lambda name: registry.get_sample_value(names[name])
