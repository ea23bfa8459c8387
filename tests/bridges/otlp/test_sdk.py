"""The same counters and histograms in OpenTelemetry's SDK: its message and ours are the same, field by field."""

from __future__ import annotations

import pytest

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("opentelemetry.exporter.otlp.proto.common")

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from asyncmetrics import CollectorRegistry, Counter, Histogram
from asyncmetrics.bridges.otlp import OTLP
from asyncmetrics.registry.collectables import collect_within
from tests.bridges.otlp.decoding import IDENTITY, NOW, list_metrics

TEMPORALITIES = {"cumulative": AggregationTemporality.CUMULATIVE, "delta": AggregationTemporality.DELTA}
CALLS = [("GET", "/", 0.2), ("POST", "/ü", 3.0), ("GET", "/", 40.0)]


def _strip(metric):
    """Return a metric as a dict, without times and the metadata that only ours has, its points in order."""
    shown = MessageToDict(metric)
    shown.pop("metadata", None)
    for kind in ("sum", "histogram"):
        for point in shown.get(kind, {}).get("dataPoints", ()):
            for field in ("startTimeUnixNano", "timeUnixNano", "min", "max", "exemplars"):
                point.pop(field, None)
            point["attributes"].sort(key=lambda one: one["key"])
        shown.get(kind, {}).get("dataPoints", []).sort(key=lambda point: str(point["attributes"]))
    return shown


def _encode_theirs(temporality):
    preferred = {SdkCounter: TEMPORALITIES[temporality], SdkHistogram: TEMPORALITIES[temporality]}
    reader = InMemoryMetricReader(preferred_temporality=preferred)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    counter = meter.create_counter("requests_total", "", "Requests.")
    histogram = meter.create_histogram(
        "latency_seconds", "s", "Latency.", explicit_bucket_boundaries_advisory=[0.1, 1.0, 10.0]
    )
    for method, route, seconds in CALLS:
        counter.add(seconds, {"method": method, "route": route})
        histogram.record(seconds, {"method": method, "route": route})
    (resource,) = encode_metrics(reader.get_metrics_data()).resource_metrics
    return list(resource.scope_metrics[0].metrics)


def _encode_ours(temporality):
    registry = CollectorRegistry()
    labels = ["method", "route"]
    counter = Counter("requests", "Requests.", labels, registry=registry)
    histogram = Histogram(
        "latency_seconds", "Latency.", labels, registry=registry, buckets=[0.1, 1, 10], unit="seconds"
    )
    for method, route, seconds in CALLS:
        counter.labels(method, route).inc(seconds)
        histogram.labels(method, route).observe(seconds)
    sink = OTLP("http://localhost/v1/metrics", temporality=temporality)
    return list_metrics(sink.encode(collect_within(registry), NOW, IDENTITY))


@pytest.mark.parametrize("temporality", TEMPORALITIES)
def test_the_messages_are_the_same(temporality):
    ours, theirs = _encode_ours(temporality), _encode_theirs(temporality)
    assert list(map(_strip, ours)) == list(map(_strip, theirs))
