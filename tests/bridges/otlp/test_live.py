"""The metrics of this library: what the decoder reads is what the registry collects, in requests of a bounded size."""

from __future__ import annotations

import pytest

from asyncmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.bridges.otlp.requests import MAX_BYTES, MAX_POINTS
from asyncmetrics.registry.collectables import collect_within
from asyncmetrics.storage import SharedStorage
from tests.bridges.otlp.decoding import (
    IDENTITY,
    NOW,
    decode,
    encode_one,
    get_points,
    list_metrics,
    list_samples,
    read_attributes,
)

URL = "http://localhost:4318/v1/metrics"


@pytest.fixture
def registry():
    return CollectorRegistry()


def _encode(registry, now=NOW, **options):
    return OTLP(URL, **options).encode(collect_within(registry), now, IDENTITY)


def _expect(registry):
    return sorted(
        (name, tuple(sorted((k, repr(float(v)) if k == "le" else v) for k, v in labels.items())), value)
        for family in registry.collect()
        for name, labels, value, *_ in family.samples
        if not name.endswith("_created")
    )


def test_the_decoder_reads_what_the_registry_collects(registry):
    counter = Counter("orders", "Orders.", ["kind", "place"], registry=registry)
    counter.labels("retail", "ü").inc(3)
    counter.labels("", "").inc(0.5)
    Gauge("temperature_celsius", "", registry=registry, unit="celsius").set(-2.5)
    histogram = Histogram("latency_seconds", "", ["route"], registry=registry, buckets=[0.1, 1], unit="seconds")
    histogram.labels("/").observe(0.5)
    histogram.labels("/").observe(7)
    histogram.labels("/x").observe(0.1)
    Histogram("shift", "", registry=registry, buckets=[-1, 1]).observe(-0.5)
    Info("build", "", registry=registry).info({"version": "2"})
    Enum("state", "", ["kind"], registry=registry, states=["on", "off"]).labels("a").state("off")
    Summary("size_bytes", "", registry=registry).observe(2)
    found = sorted(sample[:3] for sample in list_samples(list_metrics(_encode(registry))))
    assert found == _expect(registry)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_both_ways_to_write_a_histogram_give_the_same_buckets(registry, temporality):
    histogram = Histogram("h", "", registry=registry, buckets=[1, 2, 3])
    for amount in [0.5, 0.5, 2.5, 9, 9, 9]:
        histogram.observe(amount)
    (point,) = get_points(encode_one(OTLP(URL, temporality=temporality), collect_within(registry)))
    assert (list(point.bucket_counts), point.count, point.sum) == ([2, 0, 1, 3], 6, 30.5)


@pytest.mark.parametrize(("per_worker", "expected"), [(False, [[1, 2, 0]]), (True, [[1, 1, 0], [0, 1, 0]])])
def test_the_buckets_of_all_workers_are_added_or_sent_for_each(tmp_path, per_worker, expected):
    workers = [CollectorRegistry(storage=SharedStorage(str(tmp_path / "metrics"))) for _ in range(2)]
    first, second = (Histogram("h", "", registry=one, buckets=[1, 2], per_worker=per_worker) for one in workers)
    first.observe(0.5)
    first.observe(1.5)
    second.observe(1.5)
    points = get_points(next(metric for metric in list_metrics(_encode(workers[0])) if metric.name == "h"))
    assert sorted((list(point.bucket_counts) for point in points), reverse=True) == expected
    assert sum(point.sum for point in points) == 3.5


def test_a_sum_that_is_negative_is_left_out_and_reported(registry):
    Histogram("h", "", registry=registry, buckets=[1]).observe(-5)
    omitted = []
    sink = OTLP(URL)
    sink.on_omitted = lambda *what: omitted.append(what)
    (point,) = get_points(encode_one(sink, collect_within(registry)))
    assert (point.count, point.HasField("sum")) == (1, False)
    assert omitted == [("h", "otlp", "a sum can be neither negative nor NaN")]


def test_the_start_is_when_the_child_was_created(registry):
    counter = Counter("a", "", registry=registry)
    (family,) = collect_within(registry)
    (created,) = [point.created for batch in family.read_batches() for point in batch]
    counter.inc()
    (point,) = get_points(encode_one(OTLP(URL), [family]))
    assert point.start_time_unix_nano == int(created * 1e9)


def test_the_exemplar_of_a_counter_and_those_of_buckets_are_sent(registry):
    Counter("a", "", registry=registry).inc(2, exemplar={"trace_id": "ab" * 16})
    histogram = Histogram("h", "", registry=registry, buckets=[1])
    histogram.observe(0.5, exemplar={"user": "u"})
    histogram.observe(5, exemplar={"user": "v"})
    first, second = list_metrics(_encode(registry))
    assert [one.trace_id.hex() for one in get_points(first)[0].exemplars] == ["ab" * 16]
    found = [(one.as_double, read_attributes(one.filtered_attributes)) for one in get_points(second)[0].exemplars]
    assert found == [(0.5, {"user": "u"}), (5.0, {"user": "v"})]


def test_added_labels_are_in_each_point_and_lose_against_those_of_the_series(registry):
    Counter("a", "", ["zone"], registry=registry).labels("own").inc()
    Gauge("b", "", registry=registry).set(1)
    metrics = list_metrics(_encode(registry, labels={"zone": "added", "team": "x"}))
    assert [read_attributes(get_points(one)[0].attributes) for one in metrics] == [
        {"zone": "own", "team": "x"},
        {"zone": "added", "team": "x"},
    ]


def test_a_part_of_a_histogram_is_reported_and_a_part_of_others_is_sent(registry):
    Histogram("h", "", registry=registry).observe(1)
    Counter("a", "", registry=registry).inc()
    Gauge("b", "", registry=registry).set(2)
    families = [family.restrict(frozenset({"h_sum", "a_total"})) for family in collect_within(registry)]
    omitted = []
    sink = OTLP(URL)
    sink.on_omitted = lambda *what: omitted.append(what)
    metrics = list_metrics(sink.encode(filter(None, families), NOW, IDENTITY))
    assert [metric.name for metric in metrics] == ["a_total"]
    assert omitted == [("h", "otlp", "a histogram needs buckets, or count and sum")]


@pytest.mark.slow
def test_many_series_are_sent_in_requests_of_a_bounded_size(registry):
    counter = Counter("a", "", ["path"], registry=registry, max_children=None)
    for index in range(25_000):
        counter.labels(f"/{index}" + "x" * 40).inc(index)
    payload = _encode(registry)
    metrics = list_metrics(payload)
    sizes = [(len(get_points(metric)), len(part.data)) for metric, part in zip(metrics, payload.parts, strict=True)]
    assert max(points for points, _ in sizes) <= MAX_POINTS
    assert max(size for _, size in sizes) < 1.1 * MAX_BYTES
    assert payload.samples == 25_000
    assert sum(value for _, _, value, _ in list_samples(list_metrics(payload))) == sum(range(25_000))


def test_a_metric_without_series_is_not_sent(registry):
    Counter("a", "", ["x"], registry=registry)
    assert not _encode(registry).parts


def test_gzip_is_read_back(registry):
    Counter("a", "", registry=registry).inc()
    payload = _encode(registry, compression="gzip")
    assert payload.parts[0].data[:2] == b"\x1f\x8b"
    assert [metric.name for metric in list_metrics(payload)] == ["a_total"]


def test_the_scope_is_the_library_and_its_version(registry):
    import asyncmetrics

    Counter("a", "", registry=registry).inc()
    (request,) = decode(_encode(registry))
    scope = request.resource_metrics[0].scope_metrics[0].scope
    assert (scope.name, scope.version) == ("asyncmetrics", asyncmetrics.__version__)
