"""What the decoder of opentelemetry-proto reads in our requests, as the samples of Prometheus that it stands for."""

from __future__ import annotations

import gzip
from itertools import accumulate

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from asyncmetrics.bridges.push.identity import Identity

IDENTITY = Identity("shop", "host:0")
NOW = 1_700_000_000.5
NOW_NS = 1_700_000_000_500_000_000


def decode(payload):
    """Return the requests of a payload."""
    return [decode_body(part.data) for part in payload.parts]


def decode_body(data):
    """Return the request in a body, which gzip may have compressed."""
    return ExportMetricsServiceRequest.FromString(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)


def list_metrics(payload):
    """Return the metrics of all requests of a payload."""
    return [
        metric
        for request in decode(payload)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def encode_one(sink, families, now=NOW):
    """Return the only metric of the payload of ``families``."""
    (metric,) = list_metrics(sink.encode(families, now, IDENTITY))
    return metric


def get_points(metric):
    """Return the data points of a metric of any type."""
    return getattr(metric, metric.WhichOneof("data")).data_points


def read_attributes(attributes):
    """Return attributes whose values are strings as a dict."""
    return {one.key: one.value.string_value for one in attributes}


def list_samples(metrics):
    """Return ``(name, labels, value, time in nanoseconds)`` of each sample that ``metrics`` stand for."""
    return [sample for metric in metrics for point in get_points(metric) for sample in _list_point(metric, point)]


def _list_point(metric, point):
    labels = read_attributes(point.attributes)
    kind = metric.WhichOneof("data")
    time = point.time_unix_nano

    def make(suffix, value, **own):
        return metric.name + suffix, tuple(sorted({**labels, **own}.items())), value, time

    match kind:
        case "gauge" | "sum":
            yield make("", point.as_double)
        case "histogram":
            counts = accumulate(point.bucket_counts)
            for bound, count in zip([*point.explicit_bounds, float("inf")], counts, strict=True):
                yield make("_bucket", float(count), le=repr(bound))
            yield make("_count", float(point.count))
            if point.HasField("sum"):
                yield make("_sum", point.sum)
        case "summary":
            for one in point.quantile_values:
                yield make("", one.value, quantile=repr(one.quantile))
            yield make("_count", float(point.count))
            yield make("_sum", point.sum)
