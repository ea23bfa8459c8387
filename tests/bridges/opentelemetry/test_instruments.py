"""Instruments record any attributes, and raise nothing into the library that measures."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from opentelemetry import metrics

from asyncmetrics import CollectorRegistry, Counter, Histogram, generate_latest
from asyncmetrics.bridges.opentelemetry import MeterProvider
from asyncmetrics.bridges.opentelemetry.merging import is_part, make_part
from asyncmetrics.errors import DefinitionError
from asyncmetrics.formats.reading.openmetrics import parse_openmetrics
from asyncmetrics.formats.writing.openmetrics import encode_openmetrics


def dropped(registry: CollectorRegistry, metric: str) -> float | None:
    return registry.get_sample_value("asyncmetrics_dropped_observations_total", {"metric": metric})


def test_attributes_that_come_later_make_series_of_the_same_family(meter, read, labels):
    counter = meter.create_counter("calls")
    counter.add(1, {"a": "1"})
    counter.add(2, {"b": "2", "a": "1"})
    counter.add(4)
    expected = {labels(a="1"): 1, labels(a="1", b="2"): 2, labels(): 4}
    assert read("otel_calls_total") == expected


def test_the_order_of_attributes_does_not_matter(meter, read, labels):
    counter = meter.create_counter("calls")
    counter.add(1, {"a": "1", "b": "2"})
    counter.add(1, {"b": "2", "a": "1"})
    assert read("otel_calls_total") == {labels(a="1", b="2"): 2}


def test_values_that_are_equal_and_of_different_types_are_different_labels(meter, read, labels):
    counter = meter.create_counter("calls")
    for _ in range(2):
        for value in (1, True, 1.0, "1", [1], (1,), (True,)):
            counter.add(1, {"a": value})
    assert read("otel_calls_total") == {
        labels(a="1"): 4,
        labels(a="true"): 2,
        labels(a="1.0"): 2,
        labels(a="[1]"): 4,
        labels(a="[true]"): 2,
    }


def test_the_families_of_different_attributes_are_valid_openmetrics(registry, meter):
    histogram = meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[1])
    for attributes in ({}, {"a": "1", "z": "2"}, {"le": "x"}, {"z": 'quote " and \n'}):
        histogram.record(0.5, attributes)
    (family, *_) = parse_openmetrics(b"".join(encode_openmetrics(registry.collect())).decode())
    rows = [(sample.labels.get("le"), sample.value) for sample in family.samples]
    assert (family.name, family.unit, rows.count(("1.0", 1.0)), len(rows)) == ("otel_wait_seconds", "seconds", 4, 16)


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "1", None, 10**400])
def test_a_wrong_amount_is_dropped_and_counted(registry, meter, read, labels, amount):
    counter = meter.create_counter("calls")
    for attributes in ({"a": "1"}, {"a": "1"}, {"a": [1]}):
        counter.add(2, attributes)
        counter.add(amount, attributes)
    assert read("otel_calls_total") == {labels(a="1"): 4, labels(a="[1]"): 2}
    assert dropped(registry, "otel_calls") == 3


def test_a_negative_observation_of_a_histogram_is_dropped(registry, meter, read):
    histogram = meter.create_histogram("wait")
    histogram.record(-1)
    histogram.record("x")
    assert (read("otel_wait_count"), dropped(registry, "otel_wait")) == ({}, 2)


class Unprintable:
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("attributes", [{"a": Unprintable()}, {1: "a"}, "text", 7, {"a": {}, 2: {}}])
def test_wrong_attributes_are_dropped_and_counted(registry, meter, read, attributes):
    meter.create_counter("calls").add(1, attributes)
    assert (read("otel_calls_total"), dropped(registry, "otel_calls")) == ({}, 1)


def test_a_gauge_that_was_never_set_right_is_not_exposed(meter, read):
    meter.create_gauge("level").set("x", {"a": "1"})
    assert read("otel_level") == {}


def test_the_first_dropped_measurement_is_logged_by_the_name_of_the_metric(meter, caplog):
    counter = meter.create_counter("calls")
    counter.add(-1)
    counter.add(-2)
    (record,) = caplog.records
    assert record.getMessage().startswith("otel_calls dropped an observation: expected a finite amount")


def test_the_same_name_kind_and_unit_is_the_same_instrument(meter):
    assert meter.create_counter("Calls", "By") is meter.create_counter("calls ", "By", "Another text.")


def test_an_instrument_of_another_kind_does_nothing_and_is_counted(registry, meter, read, caplog):
    meter.create_counter("calls").add(1)
    meter.create_up_down_counter("calls").add(5)
    assert (read("otel_calls_total"), read("otel_calls")) == ({frozenset(): 1}, {})
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "opentelemetry"}) == 1
    assert "the instrument 'calls' of OpenTelemetry is not measured" in caplog.text


def test_an_instrument_with_the_name_of_a_metric_does_nothing_and_is_counted(registry, meter):
    Counter("otel_calls", "C.", registry=registry).inc()
    meter.create_counter("calls").add(5)
    assert registry.get_sample_value("otel_calls_total") == 1
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "opentelemetry"}) == 1


@pytest.mark.parametrize("name", [None, 7, b"x"])
def test_a_name_that_is_no_text_makes_an_instrument_that_does_nothing(registry, meter, name, caplog):
    meter.create_counter(name).add(1)
    meter.create_gauge(name).set(1)
    meter.create_histogram(name).record(1)
    meter.create_up_down_counter(name).add(1)
    meter.create_observable_gauge(name)
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "opentelemetry"}) == 5
    assert len([one for one in caplog.records if one.levelno == logging.WARNING]) == 1


def test_two_libraries_share_a_family_and_are_told_apart_by_their_scopes(registry, read, labels):
    provider = MeterProvider(registry)
    for name, version in (("one", "1"), ("two", None)):
        provider.get_meter(name, version).create_counter("calls").add(1)
    one, two = labels(otel_scope_name="one", otel_scope_version="1"), labels(otel_scope_name="two")
    assert read("otel_calls_total") == {one: 1, two: 1}


def test_label_sets_beyond_the_limit_share_one_series(registry, read, labels):
    counter = MeterProvider(registry, scope_labels=False, max_children=2).get_meter("lib").create_counter("calls")
    for number in range(10):
        counter.add(1, {"a": str(number)})
        counter.add(1, {f"b{number}": "x"})
    assert read("otel_calls_total") == {
        labels(a="0"): 1,
        labels(b0="x"): 1,
        labels(otel_metric_overflow="true"): 18,
    }
    counter.add(1, {"a": "9"})  # each use is counted
    overflowed = registry.get_sample_value("asyncmetrics_overflowed_label_sets_total", {"metric": "otel_calls"})
    assert overflowed == 19


def test_there_are_at_most_a_hundred_different_sets_of_names(registry, read, labels):
    counter = MeterProvider(registry, scope_labels=False, max_children=None).get_meter("lib").create_counter("calls")
    for number in range(150):
        counter.add(1, {f"a{number}": "x"})
    found = read("otel_calls_total")
    assert (len(found), found[labels(otel_metric_overflow="true")]) == (101, 50)


def test_a_histogram_without_advice_has_buckets_for_its_unit(registry, meter):
    for unit in ("s", "By"):
        meter.create_histogram("wait", unit).record(3)
    text = generate_latest(registry).decode()
    assert 'otel_wait_seconds_bucket{le="0.005"} 0.0' in text
    assert 'otel_wait_bytes_bucket{le="10000.0"} 1.0' in text


def test_an_exemplar_is_that_of_the_function(registry):
    provider = MeterProvider(registry, scope_labels=False, exemplars=lambda: {"trace_id": "abc"})
    provider.get_meter("lib").create_counter("calls").add(1, {"a": "1"})
    (exemplar,) = (sample.exemplar for family in registry.collect() for sample in family.samples)
    assert exemplar.labels == {"trace_id": "abc"}


@pytest.mark.parametrize("exemplar", [ZeroDivisionError, {"trace_id": "x" * 200}])
def test_a_measurement_is_recorded_without_an_exemplar_that_fails(registry, exemplar):
    def ask():
        if isinstance(exemplar, type):
            raise exemplar
        return exemplar

    provider = MeterProvider(registry, scope_labels=False, exemplars=ask)
    provider.get_meter("lib").create_histogram("wait").record(1)
    assert registry.get_sample_value("otel_wait_count") == 1
    assert registry.get_sample_value("asyncmetrics_internal_errors_total", {"where": "exemplars"}) == 1


def test_shutdown_exposes_the_instruments_no_longer(registry, read):
    provider = MeterProvider(registry)
    counter = provider.get_meter("lib").create_counter("calls")
    counter.add(1)
    provider.shutdown()
    provider.shutdown()
    counter.add(1)
    provider.get_meter("lib").create_counter("calls").add(1)
    assert read("otel_calls_total") == {}
    Counter("otel_calls", "C.", registry=registry)  # the name is free


def test_a_provider_can_be_flushed(registry):
    assert MeterProvider(registry).force_flush()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"registry": None}, "registry"),
        ({"namespace": "a-b"}, "namespace"),
        ({"scope_labels": 1}, "scope_labels"),
        ({"max_children": 0}, "max_children"),
        ({"exemplars": {}}, "exemplars"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(options, problem):
    with pytest.raises(DefinitionError, match=problem):
        MeterProvider(**options)


def test_the_classes_are_those_of_the_api(registry, meter):
    assert isinstance(meter, metrics.Meter)
    assert isinstance(MeterProvider(CollectorRegistry()), metrics.MeterProvider)
    assert isinstance(meter.create_counter("c"), metrics.Counter)
    assert isinstance(meter.create_observable_gauge("g"), metrics.ObservableGauge)


def test_histograms_are_native_ones_as_well_if_the_provider_says_so(registry):
    meter = MeterProvider(registry, scope_labels=False, native=3).get_meter("lib")
    histogram = meter.create_histogram("wait", "s", explicit_bucket_boundaries_advisory=[1])
    histogram.record(0.5, {"a": "1"})
    histogram.record(0.5, {"b": "2"})
    meter.create_counter("calls").add(1)
    natives = {tuple(s.labels.items()): s.native_histogram for f in registry.collect() for s in f.samples}
    found = {labels: (one.schema, one.count_value) for labels, one in natives.items() if one}
    assert found == {(("a", "1"),): (3, 1), (("b", "2"),): (3, 1)}
    assert registry.get_sample_value("otel_wait_seconds_bucket", {"a": "1", "le": "1.0"}) == 1


def test_a_schema_that_is_none_is_refused(registry):
    with pytest.raises(DefinitionError, match="native"):
        MeterProvider(registry, native="fine")


def test_series_of_another_resolution_are_no_part_of_a_family():
    family = Histogram("otel_wait", "W.", registry=None, native=3).descriptor
    assert is_part(make_part(family, ("a",)), family)
    assert not is_part(make_part(family, ("a",)), replace(family, native=None))
