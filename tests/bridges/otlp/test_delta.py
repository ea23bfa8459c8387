"""With changes, what was sent advances only once it was sent."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Counter, Gauge, Histogram, Summary
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.core import CounterMetricFamily, HistogramMetricFamily, Metric
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.otlp.decoding import IDENTITY, NOW, encode_one, get_points, list_metrics

URL = "http://localhost:4318/v1/metrics"
LATER_NS = int((NOW + 10) * 1e9)


@pytest.fixture
def sink():
    return OTLP(URL, temporality="delta")


@pytest.fixture
def registry():
    return CollectorRegistry()


def _push(sink, families, now=NOW):
    """Encode and mark everything as sent; return the points of the only metric."""
    payload = sink.encode(families, now, IDENTITY)
    for part in payload.parts:
        part.on_sent()
    (metric,) = list_metrics(payload)
    return list(get_points(metric))


def test_a_counter_sends_by_how_much_it_has_grown_since_the_last_push(sink, registry):
    counter = Counter("a", "", registry=registry)
    counter.inc(5)
    _push(sink, collect_within(registry))
    counter.inc(2)
    (point,) = _push(sink, collect_within(registry), NOW + 10)
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (2.0, int(NOW * 1e9), LATER_NS)


def test_a_push_that_was_not_sent_costs_nothing(sink, registry):
    counter = Counter("a", "", registry=registry)
    counter.inc(5)
    sink.encode(collect_within(registry), NOW, IDENTITY)
    counter.inc(2)
    (point,) = _push(sink, collect_within(registry), NOW + 10)
    assert point.as_double == 7.0


def test_a_histogram_sends_the_changes_of_its_buckets_and_of_its_sum(sink, registry):
    histogram = Histogram("h", "", registry=registry, buckets=[1, 2])
    histogram.observe(0.5)
    _push(sink, collect_within(registry))
    histogram.observe(1.5)
    histogram.observe(8)
    (point,) = _push(sink, collect_within(registry), NOW + 10)
    assert (list(point.bucket_counts), point.count, point.sum) == ([0, 1, 1], 2, 9.5)


def test_a_negative_observation_is_no_new_beginning(sink, registry):
    histogram = Histogram("h", "", registry=registry, buckets=[1, 2])
    histogram.observe(1.5)
    _push(sink, collect_within(registry))
    histogram.observe(-1)
    (point,) = _push(sink, collect_within(registry), NOW + 10)
    assert (list(point.bucket_counts), point.count, point.HasField("sum")) == ([1, 0, 0], 1, False)


def test_a_counter_that_begins_again_sends_its_number(sink):
    _push(sink, [CounterMetricFamily("a", "", 5)])
    (point,) = _push(sink, [CounterMetricFamily("a", "", 2, created=NOW + 5)], NOW + 10)
    assert (point.as_double, point.start_time_unix_nano) == (2.0, int((NOW + 5) * 1e9))


def test_the_histogram_of_a_collector_sends_changes(sink):
    _push(sink, [HistogramMetricFamily("h", "", buckets=[("1", 1), ("+Inf", 3)], sum_value=7)])
    (point,) = _push(sink, [HistogramMetricFamily("h", "", buckets=[("1", 2), ("+Inf", 5)], sum_value=8)], NOW + 10)
    assert (list(point.bucket_counts), point.sum) == ([1, 1], 1.0)


def test_gauges_and_summaries_are_sent_as_they_are(sink, registry):
    gauge, summary = Gauge("a", "", registry=registry), Summary("s", "", registry=registry)
    gauge.set(5)
    summary.observe(5)
    for _ in range(2):
        payload = sink.encode(collect_within(registry), NOW, IDENTITY)
        for part in payload.parts:
            part.on_sent()
    found = {metric.name: get_points(metric)[0] for metric in list_metrics(payload)}
    assert (found["a"].as_double, found["s"].count, found["s"].sum) == (5.0, 1, 5.0)


def test_of_a_series_with_several_times_one_change_is_sent(sink):
    family = Metric("a", "", "counter")
    family.add_sample("a_total", {}, 1.0, NOW - 2)
    family.add_sample("a_total", {}, 2.0, NOW - 1)
    omitted = []
    sink.on_omitted = lambda *what: omitted.append(what)
    assert [point.as_double for point in _push(sink, [family])] == [1.0]
    assert omitted == [("a_total", "otlp", "of a series with several times only one change can be sent")]


def test_the_temporality_is_in_the_message(sink, registry):
    Counter("a", "", registry=registry).inc()
    assert encode_one(sink, collect_within(registry)).sum.aggregation_temporality == 1
    assert encode_one(OTLP(URL), collect_within(registry)).sum.aggregation_temporality == 2


def test_old_exemplars_are_not_sent_again(sink, registry):
    counter = Counter("a", "", registry=registry)
    counter.inc(exemplar={"x": "y"})
    (point,) = _push(sink, collect_within(registry), 2e9)
    assert len(point.exemplars) == 1
    counter.inc()
    (point,) = _push(sink, collect_within(registry), 2e9 + 10)
    assert len(point.exemplars) == 0


def test_a_newer_payload_has_the_changes_of_an_older_one(sink):
    assert sink.sends_changes
    assert not OTLP(URL).sends_changes
