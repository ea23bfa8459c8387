"""The pytest plugin of asyncmetrics, which pytest loads at its start, in every project where asyncmetrics is installed.

It is no module of the package, because importing one would import all that metrics need: in each run of the tests of
projects that do not use it, and before a coverage measurement begins. Each fixture imports the package when a test asks
for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncmetrics.registry import CollectorRegistry
    from asyncmetrics.testing import MetricChanges

__all__ = ("metric_changes",)


@pytest.fixture
def metric_changes(request: pytest.FixtureRequest) -> MetricChanges:
    """Count the changes of all metrics from here on: ``metric_changes.assert_delta("jobs_total", 1, kind="a")``."""
    from asyncmetrics.testing import MetricChanges

    if "isolated_registry" in request.fixturenames:  # first, or all other metrics would seem to disappear
        request.getfixturevalue("isolated_registry")
    return MetricChanges()


@pytest.fixture(name="isolated_registry")
def _isolate_registry() -> Iterator[CollectorRegistry]:
    """Empty the default registry until the test ends; the value is the registry that takes what the test declares."""
    from asyncmetrics.testing import isolated_registry

    with isolated_registry() as registry:
        yield registry
