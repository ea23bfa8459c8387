"""`google.protobuf`'s reading of our expositions: the messages of metrics.proto, and the samples that they stand for.

The messages are declared here, field by field, from https://github.com/prometheus/client_model.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import inf
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from asyncmetrics.core import Exemplar, Sample
from asyncmetrics.formats.numbers import format_canonical
from asyncmetrics.model.samples import BucketSpan, NativeHistogram

PACKAGE = "io.prometheus.client"
# Each field is its number, its type, and whether it is repeated ("*"); other types than scalar ones are messages.
FIELDS: dict[str, dict[str, str]] = {
    "Timestamp": {"seconds": "1 int64", "nanos": "2 int32"},
    "LabelPair": {"name": "1 string", "value": "2 string"},
    "Exemplar": {"label": "1 LabelPair*", "value": "2 double", "timestamp": "3 Timestamp"},
    "Gauge": {"value": "1 double"},
    "Counter": {"value": "1 double", "exemplar": "2 Exemplar", "created_timestamp": "3 Timestamp"},
    "Quantile": {"quantile": "1 double", "value": "2 double"},
    "Summary": {
        "sample_count": "1 uint64", "sample_sum": "2 double", "quantile": "3 Quantile*",
        "created_timestamp": "4 Timestamp",
    },
    "Untyped": {"value": "1 double"},
    "Bucket": {
        "cumulative_count": "1 uint64", "cumulative_count_float": "4 double", "upper_bound": "2 double",
        "exemplar": "3 Exemplar",
    },
    "BucketSpan": {"offset": "1 sint32", "length": "2 uint32"},
    "Histogram": {
        "sample_count": "1 uint64", "sample_count_float": "4 double", "sample_sum": "2 double", "bucket": "3 Bucket*",
        "created_timestamp": "15 Timestamp", "schema": "5 sint32", "zero_threshold": "6 double",
        "zero_count": "7 uint64", "zero_count_float": "8 double", "negative_span": "9 BucketSpan*",
        "negative_delta": "10 sint64*", "negative_count": "11 double*", "positive_span": "12 BucketSpan*",
        "positive_delta": "13 sint64*", "positive_count": "14 double*", "exemplars": "16 Exemplar*",
    },
    "Metric": {
        "label": "1 LabelPair*", "gauge": "2 Gauge", "counter": "3 Counter", "summary": "4 Summary",
        "untyped": "5 Untyped", "histogram": "7 Histogram", "timestamp_ms": "6 int64",
    },
    "MetricFamily": {
        "name": "1 string", "help": "2 string", "type": "3 int32", "metric": "4 Metric*", "unit": "5 string",
    },
}  # fmt: skip
TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")


def _build() -> Any:
    file = FileDescriptorProto(name="metrics.proto", package=PACKAGE, syntax="proto2")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, text in fields.items():
            number, kind = text.rstrip("*").split()
            label = FieldDescriptorProto.LABEL_REPEATED if text.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
            added = message.field.add(name=field, number=int(number), label=label)
            if kind in FIELDS:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
            else:
                added.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily"))


MetricFamily = _build()


def decode(data: bytes) -> list[Any]:
    """Return the messages of an exposition, each of which must have no other fields than those above."""
    families = []
    position = 0
    while position < len(data):
        size = shift = 0
        while True:
            byte = data[position]
            position += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        family = MetricFamily.FromString(data[position : position + size])
        assert family.metric
        position += size
        families.append(family)
    assert position == len(data)
    return families


def list_samples(families: list[Any]) -> list[Sample]:
    """Return the samples that a server stores for messages, with canonical ``le``, under the names of OpenMetrics."""
    return [sample for family in families for metric in family.metric for sample in _read_metric(family, metric)]


def _read_metric(family: Any, metric: Any) -> Iterator[Sample]:
    labels = _read_labels(metric)
    time = metric.timestamp_ms if metric.HasField("timestamp_ms") else None
    kind = TYPES[family.type]
    if kind in {"gauge", "unknown"}:
        yield Sample(family.name, labels, getattr(metric, "untyped" if kind == "unknown" else "gauge").value, time)
        return
    value = getattr(metric, "histogram" if kind == "gaugehistogram" else kind)
    if kind == "counter":
        exemplar = _read_exemplar(value.exemplar) if value.HasField("exemplar") else None
        yield Sample(family.name, labels, value.value, time, exemplar)
    elif kind == "summary":
        for quantile in value.quantile:
            own = {"quantile": format_canonical(repr(quantile.quantile))}
            yield Sample(family.name, {**labels, **own}, quantile.value, time)
        yield Sample(f"{family.name}_count", labels, value.sample_count, time)
        yield Sample(f"{family.name}_sum", labels, value.sample_sum, time)
    else:
        yield from _read_histogram(family.name, kind, labels, value, time)
    if value.HasField("created_timestamp"):
        created = value.created_timestamp
        yield Sample(
            f"{family.name.removesuffix('_total')}_created", labels, created.seconds + created.nanos / 1e9, time
        )


def _read_histogram(name: str, kind: str, labels: dict[str, str], value: Any, time: int | None) -> Iterator[Sample]:
    count = value.sample_count_float or value.sample_count
    native = is_native(value)
    buckets = [*value.bucket]
    for bucket in buckets:
        exemplar = _read_exemplar(bucket.exemplar) if bucket.HasField("exemplar") else None
        own = {"le": format_canonical(repr(bucket.upper_bound))}
        number = bucket.cumulative_count_float or bucket.cumulative_count
        yield Sample(f"{name}_bucket", {**labels, **own}, number, time, exemplar)
    if kind == "histogram" and (not native or buckets):
        if not buckets or buckets[-1].upper_bound < inf:
            yield Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count, time)
        yield Sample(f"{name}_count", labels, count, time)
        yield Sample(f"{name}_sum", labels, value.sample_sum, time)
    if native:
        yield Sample(name, labels, count, time, None, read_native(value))


def is_native(value: Any) -> bool:
    """Return whether Prometheus 3 takes a histogram for a native one."""
    return bool(value.positive_span or value.negative_span or value.zero_threshold > 0 or value.zero_count > 0)


def read_native(value: Any) -> NativeHistogram:
    """Return the native part of a histogram."""
    return NativeHistogram(
        value.sample_count_float or value.sample_count,
        value.sample_sum,
        value.schema,
        value.zero_threshold,
        value.zero_count_float or value.zero_count,
        [BucketSpan(span.offset, span.length) for span in value.positive_span if span.length],
        [BucketSpan(span.offset, span.length) for span in value.negative_span],
        list(accumulate(value.positive_delta)) or list(value.positive_count),
        list(accumulate(value.negative_delta)) or list(value.negative_count),
        [_read_exemplar(exemplar) for exemplar in value.exemplars],
    )


def _read_labels(message: Any) -> dict[str, str]:
    labels = {pair.name: pair.value for pair in message.label}
    assert len(labels) == len(message.label)
    return labels


def _read_exemplar(message: Any) -> Exemplar:
    time = message.timestamp
    nanoseconds = time.seconds * 10**9 + time.nanos if message.HasField("timestamp") else None
    return Exemplar(_read_labels(message), message.value, nanoseconds)
