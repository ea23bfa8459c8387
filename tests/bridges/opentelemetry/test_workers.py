"""What several workers make of one family, by two storages of one directory in one process and its children."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.metrics import Meter, Observation

from asyncmetrics import CollectorRegistry
from asyncmetrics.bridges.opentelemetry import MeterProvider
from asyncmetrics.storage import SharedStorage


@pytest.fixture
def make_worker(tmp_path) -> Callable[[], tuple[CollectorRegistry, Meter]]:
    """Each storage has a slot of its own, as a worker has."""

    def make() -> tuple[CollectorRegistry, Meter]:
        registry = CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics")))
        return registry, MeterProvider(registry, scope_labels=False).get_meter("lib")

    return make


def read(registry: CollectorRegistry, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    samples = [one for family in registry.collect() for one in family.samples if one.name == name]
    return {tuple(sorted(one.labels.items())): one.value for one in samples}


def test_families_and_attributes_of_one_worker_are_exposed_by_the_other(make_worker):
    one, meter = make_worker()
    other, other_meter = make_worker()
    meter.create_counter("calls").add(1, {"a": "1"})
    meter.create_counter("calls").add(2, {"b": "2"})
    assert read(other, "otel_calls_total") == {(("a", "1"),): 1, (("b", "2"),): 2}
    other_meter.create_counter("calls").add(4, {"a": "1"})
    for registry in (one, other):
        assert read(registry, "otel_calls_total") == {(("a", "1"),): 5, (("b", "2"),): 2}


def test_gauges_are_apart_and_what_is_added_up_is_summed(make_worker):
    (one, meter), (other, other_meter) = make_worker(), make_worker()
    for number, each in enumerate((meter, other_meter), 1):
        each.create_gauge("level").set(number, {"a": "1"})
        each.create_up_down_counter("active").add(number)
        each.create_observable_counter("sent", [lambda options, number=number: [Observation(number)]])
    read(one, "otel_level")
    assert sorted(read(other, "otel_level").values()) == [1, 2]
    assert {dict(labels)["a"] for labels in read(other, "otel_level")} == {"1"}
    assert read(other, "otel_active") == {(): 3}
    assert read(other, "otel_sent_total") == {(): 3}


def test_the_parts_of_a_family_are_no_families_of_the_exposition(make_worker):
    _, meter = make_worker()
    other, _ = make_worker()
    meter.create_counter("job:calls").add(1)
    meter.create_observable_gauge("level", [lambda options: [Observation(1)]])
    assert [family.name for family in other.collect() if "otel" in family.name] == ["otel_job:calls"]


def test_series_of_other_buckets_are_left_out_and_counted(make_worker, caplog):
    _, meter = make_worker()
    other, other_meter = make_worker()
    meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[1]).record(1, {"a": "1"})
    other_meter.create_histogram("wait", explicit_bucket_boundaries_advisory=[2]).record(1, {"b": "1"})
    assert read(other, "otel_wait_count") == {(("b", "1"),): 1}
    errors = other.get_sample_value("asyncmetrics_collector_errors_total", {"collector": "otel_wait"})
    assert errors
    assert "collector errors in otel_wait" in caplog.text
