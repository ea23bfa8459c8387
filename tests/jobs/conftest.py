"""Health checks in a registry of the test's own, and the samples of one metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from asyncmetrics import CollectorRegistry
from asyncmetrics.jobs import HealthChecks
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _patient_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a check that names no timeout as long as other waits, and call it once if it names no interval."""
    defaults = HealthChecks.add.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout", PATIENCE_SECONDS)
    monkeypatch.setitem(defaults, "interval", 3600)


@pytest.fixture
def checks(registry: CollectorRegistry) -> HealthChecks:
    return HealthChecks(registry=registry)


@pytest.fixture
def add(checks: HealthChecks) -> Callable[..., None]:
    """Add a check that is called a hundred times a second: ``add("name", check)``."""
    return partial(checks.add, interval=0.01)


@pytest.fixture
def samples(registry: CollectorRegistry) -> Callable[[str], dict[Any, float]]:
    """Read the samples of one name as a dict from the values of their labels."""

    def read(name: str) -> dict[Any, float]:
        found = [sample for family in registry.collect() for sample in family.samples if sample.name == name]
        return {tuple(sample.labels.values()): sample.value for sample in found}

    return read
