"""The numbers of a histogram or a summary, one by one: programs observe many amounts at once by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncmetrics.errors import MetricsError
from asyncmetrics.prometheus_client import CollectorRegistry, Histogram, Summary
from asyncmetrics.storage import SharedStorage


@pytest.fixture
def registry(library: Any) -> Any:
    """A fresh registry of the library."""
    return library.CollectorRegistry()


@pytest.mark.parametrize("labelnames", [(), ("model",)])
def test_parts_of_a_histogram(library: Any, registry: Any, labelnames: Any) -> None:
    """Programs observe many amounts at once by them, and tests set them to zero."""
    metric = library.Histogram("latency", "L.", labelnames, buckets=(1, 2), registry=registry)
    histogram = metric.labels("m") if labelnames else metric
    histogram.observe(1.5)
    histogram._sum.inc(30.5)
    histogram._buckets[0].inc(40)
    labels = dict.fromkeys(labelnames, "m")
    numbers = [
        registry.get_sample_value(f"latency_{name}", {**labels, **le})
        for name, le in (("sum", {}), ("bucket", {"le": "1.0"}), ("bucket", {"le": "2.0"}), ("count", {}))
    ]
    assert numbers == [32, 40, 41, 41]
    histogram._sum.set(0)
    for bucket in histogram._buckets:
        bucket.set(0)
    assert registry.get_sample_value("latency_count", labels) == registry.get_sample_value("latency_sum", labels) == 0
    histogram.observe(1)
    assert registry.get_sample_value("latency_count", labels) == registry.get_sample_value("latency_sum", labels) == 1


def test_parts_of_a_summary(library: Any, registry: Any) -> None:
    """Its sum and its count."""
    summary = library.Summary("latency", "L.", registry=registry)
    summary.observe(2)
    summary._sum.inc(8)
    summary._count.inc(3)
    assert (registry.get_sample_value("latency_sum"), registry.get_sample_value("latency_count")) == (10, 4)
    summary._sum.set(1)
    summary._count.set(0)
    assert (summary._sum.get(), summary._count.get()) == (1, 0)


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.1), (1e300, 0.1), (0.1, 1e-20), (float("inf"), 0.0)])
def test_a_sum_is_set_exactly(library: Any, registry: Any, before: float, after: float) -> None:
    """Whatever it was before."""
    summary = library.Summary("latency", "L.", registry=registry)
    summary.observe(before)
    summary._sum.set(after)
    assert summary._sum.get() == after


def test_parts_that_cannot_be_set() -> None:
    """The count of a histogram, which its buckets have, and what is no finite number."""
    histogram = Histogram("latency", "L.", registry=None)
    with pytest.raises(MetricsError, match="is the sum of its buckets"):
        histogram._count.set(3)
    with pytest.raises(ValueError, match="finite"):
        histogram._sum.inc(float("nan"))
    assert histogram._sum.get() == 0


def test_parts_of_metrics_of_several_workers(tmp_path: Path) -> None:
    """Each worker adds to its own."""
    workers = [CollectorRegistry(storage=SharedStorage(str(tmp_path / "shared"))) for _ in range(2)]
    for worker in workers:
        histogram = Histogram("latency", "L.", buckets=(1, 2), registry=worker)
        histogram._buckets[1].inc(5)
        histogram._sum.inc(8)
        summary = Summary("size", "S.", registry=worker)
        summary._count.inc(2)
        summary._sum.inc(3)
    value = workers[0].get_sample_value
    assert [value(f"{name}_{part}") for name in ("latency", "size") for part in ("count", "sum")] == [10, 16, 4, 6]
    assert value("latency_bucket", {"le": "1.0"}) == 0
